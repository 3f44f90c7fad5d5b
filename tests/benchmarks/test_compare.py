from __future__ import annotations

import pytest
from bench_reports import all_series, report_of

from benchmarks.compare import as_lines, compare, warnings


@pytest.fixture(scope="module")
def slower():
    return report_of(all_series(scale=1.3))


def test_ratios_of_every_common_series_and_which_lie_outside_their_interval(report, slower):
    rows = compare(report, slower)
    assert len(rows) == len(report.series)
    whole = next(row for row in rows if row.series.name == "whole film")
    assert whole.ratio.value == pytest.approx(1.3, abs=0.01)
    assert whole.ratio.low < whole.ratio.value < whole.ratio.high
    assert whole.finding == "greater"
    memory = next(row for row in rows if row.series.name == "memory")
    assert (memory.ratio.value, memory.finding) == (1, "no difference shown")


def test_a_report_differs_nowhere_from_itself(report):
    assert {row.finding for row in compare(report, report)} == {"no difference shown"}
    assert as_lines(report, report)[-1].startswith(f"0 of {len(report.series)} series differ")


def test_only_series_that_both_hold_are_compared(report):
    part = report_of([one for one in all_series() if one.bench == "engine"])
    assert {row.series.bench for row in compare(report, part)} == {"engine"}
    empty = report_of([])
    assert as_lines(report, empty)[-1] == "the reports hold no series in common"


def test_other_machines_other_films_and_loaded_runs_are_warned_of(report):
    other = report.model_copy(
        update={
            "machine": {**report.machine, "cores": 64, "processor": "another"},
            "settings": {**report.settings, "seed": 8},
        }
    )
    told = "\n".join(warnings(report, other))
    assert "the machines differ: processor" in told
    assert "the machines differ: cores" in told
    assert "the films differ: seed 7" in told
    assert "the first report is not publishable: " in told
    assert "machines differ" not in "\n".join(warnings(report, report))
