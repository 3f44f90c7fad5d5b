"""A table of texts, in Markdown and for a terminal.

Layer: benchmarks; pure functions over texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.figures import Figures
    from benchmarks.intervals import Interval

BOUND = "bound (99 % confidence)"


@dataclass(frozen=True)
class Table:
    """A title, the names of the columns, rows of as many cells."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def as_markdown(table: Table) -> list[str]:
    """Lines of the table in Markdown."""
    rows = [table.columns, ("---",) * len(table.columns), *table.rows]
    return ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows]


def as_text(table: Table) -> list[str]:
    """Lines of the table with aligned columns."""
    rows = [table.columns, *table.rows]
    widths = [max(len(row[place]) for row in rows) for place in range(len(table.columns))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def number(value: float) -> str:
    """A number with three significant digits, large ones in full."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def bound_cell(figures: Figures) -> str:
    """The highest percentile that the runs bound; how many p99 needs is in the page's head."""
    found = figures.bound
    return "too few runs" if found is None else f"p{found[0] * 100:.0f} <= {number(found[1])}"


def with_interval(interval: Interval) -> str:
    """A value with the ends of its interval."""
    low, value, high = (number(part) for part in interval)
    return f"{value} ({low}-{high})"
