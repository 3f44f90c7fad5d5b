from __future__ import annotations

import pytest
from bench_reports import all_series, report_of


@pytest.fixture(scope="session")
def report():
    return report_of(all_series())
