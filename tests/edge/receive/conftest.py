"""What the tests of the receiver leave behind."""

from __future__ import annotations

import pytest
from receiving import close_connections


@pytest.fixture(autouse=True)
def _no_open_connections():
    yield
    close_connections()
