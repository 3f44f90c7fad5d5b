"""The pages over a store of SQLite."""

from __future__ import annotations

import pytest
from clinic import Clinic


@pytest.fixture
def clinic(database):
    return Clinic(database)
