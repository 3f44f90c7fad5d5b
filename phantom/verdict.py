"""The tables of ``sharpedge phantom --check`` and ``--ceiling``, each with its result.

Layer: phantom; text only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from phantom.measure import check
from phantom.observer import ceiling

if TYPE_CHECKING:
    from phantom.style import StyleName

LEAST_EXACT = 0.95
"""Balanced share of grades that geometry must determine: less would limit every scorer's figure."""


@dataclass(frozen=True)
class Table:
    """Lines to print, the last of them the result."""

    lines: tuple[str, ...]
    passed: bool


def check_table(limbs: int, seed: int, style: StyleName) -> Table:
    """Figures of simulated films beside the ranges of real ones."""
    rows = check(limbs, seed, style)
    inside = sum(row.inside for row in rows)
    passed = inside == len(rows)
    verdict = f"check: {inside} of {len(rows)} figures inside: {_result(passed)}"
    return Table((*map(str, rows), verdict), passed)


def ceiling_table(limbs: int, seed: int, style: StyleName) -> Table:
    """What an ideal observer of the true geometry reads, a row a scorer."""
    rows = ceiling(limbs, seed, style)
    high = sum(row.balanced_exact >= LEAST_EXACT for row in rows)
    passed = high == len(rows)
    verdict = (
        f"ceiling: {high} of {len(rows)} scorers reach {100 * LEAST_EXACT:.0f} % exact: "
        f"{_result(passed)}"
    )
    return Table((*map(str, rows), verdict), passed)


def _result(passed: bool) -> str:
    return "passed" if passed else "FAILED"
