"""A set's tables with the bootstrap draws of its patients, and the rows of each scorer.

Layer: training.evaluation; pure functions over tables.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edge.anatomy import LIMBS, NARROWING_MAXIMUM, Limb
from training.evaluation import statistics as st

if TYPE_CHECKING:
    from collections.abc import Iterable

    from training.evaluation.statistics import Floats, Ints
    from training.evaluation.tables import GradeRow, Tables

PAPER_TABLE_1 = {
    (Limb.HAND, "narrowing"): (0.8207, 0.9730),
    (Limb.HAND, "erosion"): (0.7877, 0.9463),
    (Limb.FOOT, "narrowing"): (0.8376, 0.9151),
    (Limb.FOOT, "erosion"): (0.5783, 0.9249),
}
"""Balanced accuracy and balanced accuracy within one, in the order of the paper's figure 6."""


def task_name(limb: Limb, kind: str) -> str:
    """Name of a scorer as the paper's Table 1 gives it."""
    return f"{kind.capitalize()} ({LIMBS[limb].plural})"


def grades_of(limb: Limb, kind: str) -> int:
    """Number of grades of a scorer."""
    return 1 + (limb.erosion_maximum if kind == "erosion" else NARROWING_MAXIMUM)


@dataclass(frozen=True, eq=False)
class Rows:
    """A set's tables with the bootstrap draws of its patients."""

    tables: Tables
    weights: Floats

    @classmethod
    def of(cls, tables: Tables) -> Rows:
        """Draw the patients of a set."""
        return cls(tables, st.draw_weights(len(tables.patients)))

    def weights_of(self, clusters: Ints) -> Floats:
        """Weights for figures over some patients; a single patient has no interval."""
        few = len(np.unique(clusters)) < st.LEAST_CLUSTERS
        return self.weights[:1] if few else self.weights

    def patients(self, films: Iterable[int]) -> Ints:
        """Patient of each film index."""
        return np.array([self.tables.films[film].patient for film in films], np.int64)


def paper_part(tables: Tables) -> Tables:
    """Keep of each scorer's joints those that the paper's split draws."""
    kept = []
    for limb, kind in PAPER_TABLE_1:
        grades = graded(tables, limb, kind)
        kept += [grades[i] for i in np.sort(st.paper_split(len(grades)))]
    return replace(tables, grades=tuple(kept))


def graded(tables: Tables, limb: Limb, kind: str) -> list[GradeRow]:
    """Rows of one scorer, in the set's order."""
    films = tables.films
    return [row for row in tables.grades if row.kind == kind and films[row.film].limb is limb]
