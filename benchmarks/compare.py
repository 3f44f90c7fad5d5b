"""Compares two reports: ratios of the series that both hold, with intervals.

Layer: benchmarks; pure functions over reports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.figures import CYCLE
from benchmarks.intervals import Interval, ratio_of_medians
from benchmarks.table import Table, as_text, number, with_interval
from benchmarks.verdict import title_of

if TYPE_CHECKING:
    from benchmarks.report import Report
    from benchmarks.series import Series

_SAME_MACHINE = ("processor", "architecture", "cores", "memory_mib", "system")
_SAME_LOAD = ("seed",)


@dataclass(frozen=True)
class Compared:
    """One series of both reports; ``ratio`` is the median of the second by that of the first."""

    series: Series
    before: float
    after: float
    ratio: Interval

    @property
    def finding(self) -> str:
        """What the interval allows to say."""
        if self.ratio.holds_one:
            return "no difference shown"
        return "greater" if self.ratio.value > 1 else "smaller"


def compare(first: Report, second: Report) -> list[Compared]:
    """Every series that both reports hold, in the order of the first."""
    there = {_key(series): (series, figures) for series, figures in second.measured_series}
    found = []
    for series, figures in first.measured_series:
        other = there.get(_key(series))
        # A ratio to nothing says nothing: queue depths may be 0.
        if other is None or figures.median <= 0:
            continue
        cycle = int(series.labels.get(CYCLE, "1"))
        ratio = ratio_of_medians(series.values, other[0].values, cycle)
        found.append(Compared(series, figures.median, other[1].median, ratio))
    return found


def warnings(first: Report, second: Report) -> list[str]:
    """Why the two reports should not be compared without a thought."""
    told = []
    for key in _SAME_MACHINE:
        one, other = first.machine.get(key), second.machine.get(key)
        if one != other:
            told.append(f"the machines differ: {key} {one} against {other}")
    for key in _SAME_LOAD:
        one, other = first.settings.get(key), second.settings.get(key)
        if one != other:
            told.append(f"the films differ: {key} {one} against {other}")
    for name, report in (("first", first), ("second", second)):
        if not report.verdict.publishable:
            told.append(f"the {name} report is not publishable: {report.verdict.reasons[0]}")
    return told


def as_lines(first: Report, second: Report) -> list[str]:
    """The comparison as a person reads it."""
    rows = compare(first, second)
    lines = [f"warning: {warning}" for warning in warnings(first, second)]
    if not rows:
        return [*lines, "the reports hold no series in common"]
    table = Table(
        "ratios",
        ("benchmark", "series", "first p50", "second p50", "unit", "second by first", "finding"),
        [
            (
                row.series.bench,
                title_of(row.series),
                number(row.before),
                number(row.after),
                row.series.unit,
                with_interval(row.ratio),
                row.finding,
            )
            for row in rows
        ],
    )
    outside = sum(not row.ratio.holds_one for row in rows)
    return [
        *lines,
        *as_text(table),
        f"{outside} of {len(rows)} series differ beyond the 95 % interval of their ratio",
    ]


def _key(series: Series) -> tuple[object, ...]:
    return series.bench, series.name, series.unit, tuple(sorted(series.labels.items()))
