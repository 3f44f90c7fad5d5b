"""Sums of grades beside the true ones: of one limb, of both hands or feet, of a patient.

Layer: training.evaluation; pure functions over tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge import anatomy
from edge.anatomy import has_narrowing
from edge.model import PARTIAL_SVH_NAME
from training.evaluation.agreement import agreement
from training.evaluation.findings import TotalFindings
from training.evaluation.measure import NOT_SCORED
from training.evaluation.rows import PAPER_TABLE_1, graded, grades_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from training.evaluation.rows import Rows
    from training.evaluation.tables import GradeRow

LEAST_SHARE_OF_JOINTS = 0.8
"""A total is compared when at least this share of its joints has both grades."""
LIMBS, PATIENTS = "limbs", "patients"
_BOTH = {limb: f"both {facts.plural}" for limb, facts in anatomy.LIMBS.items()}


def totals(rows: Rows) -> tuple[TotalFindings, ...]:
    """Sums of single limbs, then of patients; those that no limb or patient has are left out."""
    single, both = [], []
    for limb, kind in PAPER_TABLE_1:
        mine = graded(rows.tables, limb, kind)
        expected = sum(kind == "erosion" or has_narrowing(limb, name) for name in limb.joints)
        top = expected * (grades_of(limb, kind) - 1)
        what = kind.capitalize()
        single.append(_total(rows, f"{what}, one {limb}", LIMBS, top, mine, expected))
        both.append(_total(rows, f"{what}, {_BOTH[limb]}", PATIENTS, 2 * top, mine, 2 * expected))
    whole = _total(
        rows,
        PARTIAL_SVH_NAME,
        PATIENTS,
        sum(maximum for _, maximum, _ in both),
        rows.tables.grades,
        sum(expected for _, _, expected in both),
    )
    return tuple(found for found, _, _ in (*single, *both, whole) if found is not None)


def _total(
    rows: Rows, label: str, unit: str, maximum: int, grades: Iterable[GradeRow], expected: int
) -> tuple[TotalFindings | None, int, int]:
    """Compare sums over the joints that have both grades: a missing joint is never a zero.

    Returns the maximum and the number of joints of one total as well.
    """
    films = rows.tables.films
    units: dict[int, list[GradeRow]] = {}
    for row in grades:
        units.setdefault(row.film if unit == LIMBS else films[row.film].patient, []).append(row)
    pairs, clusters = [], []
    for members in units.values():
        both = [row for row in members if row.given != NOT_SCORED]
        if len(both) >= LEAST_SHARE_OF_JOINTS * expected:
            pairs.append((float(sum(r.true for r in both)), float(sum(r.given for r in both))))
            clusters.append(films[both[0].film].patient)
    if not pairs:
        return None, maximum, expected
    table, whose = np.array(pairs, np.float64), np.array(clusters, np.int64)
    found = agreement(rows.weights_of(whose), whose, table[:, 0], table[:, 1])
    left_out = len(units) - len(pairs)
    return TotalFindings(label, unit, maximum, left_out, found, tuple(pairs)), maximum, expected
