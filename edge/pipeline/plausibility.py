"""Stage 11b: decides whether a grade of the scorer is plausible for a joint.

Layer: pipeline; pure functions over arrays. A joint gets no grade where its crop is unlike those
that the scorer learnt from, where it shows what cannot be graded, or where the scorer itself is in
doubt. The first is judged against numbers in the scorer's passport, the second by an output of the
scorer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.pipeline.ordinal import GradeEstimate

Floats = npt.NDArray[np.float64]

STATISTICS = ("mean", "deviation", "log_gradient", "log_grain", "black", "white")
"""What is measured of a crop: brightness, contrast, edges, grain, and both ends of the scale."""
PASSPORT_KEY = "familiar_crops"
EXCLUSIONS = ("covered", "growth_plates", "unfamiliar")
"""What a scorer's output ``exclusion`` [n, 3] gives probabilities of, where it has one.

The bones cover the joint space (an oblique or end-on view); growth plates are open; blurred, or no
joint at all.
"""
_LEAST_PROBABILITY = 1e-6


def crop_statistics(crops: npt.NDArray[np.uint8]) -> Floats:
    """`STATISTICS` of crops [n, s, s]: [n, 6] float64."""
    found = np.empty((len(crops), len(STATISTICS)))
    for row, crop in zip(found, crops, strict=True):
        x = crop.astype(np.float32)
        across, down = cv2.Sobel(x, cv2.CV_32F, 1, 0), cv2.Sobel(x, cv2.CV_32F, 0, 1)
        row[:] = (
            x.mean(),
            x.std(),
            np.log1p(float(cv2.magnitude(across, down).mean())),
            np.log1p(float(cv2.Laplacian(x, cv2.CV_32F).std())),
            (crop <= 4).mean(),
            (crop >= 250).mean(),
        )
    return found


@dataclass(frozen=True)
class FamiliarCrops:
    """What crops looked like that a scorer learnt from: mean [6], precision [6, 6], and a limit.

    ``limit`` bounds the squared Mahalanobis distance.
    """

    mean: Floats
    precision: Floats
    limit: float

    @classmethod
    def of(cls, training: Mapping[str, Any]) -> FamiliarCrops | None:
        """Read a passport's ``training``; None where it holds no statistics."""
        kept = training.get(PASSPORT_KEY)
        if not kept or tuple(kept["statistics"]) != STATISTICS:
            return None
        return cls(np.array(kept["mean"]), np.array(kept["precision"]), float(kept["limit"]))

    def distances(self, crops: npt.NDArray[np.uint8]) -> Floats:
        """Squared Mahalanobis distance of each crop [n, s, s]: [n]."""
        off = crop_statistics(crops) - self.mean
        return np.asarray(np.einsum("ni,ij,nj->n", off, self.precision, off))

    def knows(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        """Whether each crop [n, s, s] looks like those: [n]."""
        return np.asarray(self.distances(crops) <= self.limit)


@dataclass(frozen=True)
class Exclusion:
    """Probabilities of one joint's `EXCLUSIONS`."""

    covered: float
    growth_plates: float
    unfamiliar: float


def growth_plate_evidence(exclusions: Sequence[Exclusion]) -> float:
    """Mean log-odds that the joints of one limb show growth plates; above 0 they do."""
    odds = np.clip(
        [found.growth_plates for found in exclusions], _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY
    )
    return float(np.mean(np.log(odds / (1 - odds)))) if exclusions else -np.inf


def doubt(estimate: GradeEstimate) -> float:
    """Chance, by the scorer's own account, that a grade is off by more than one."""
    return off_by_more(estimate.probabilities, estimate.grade)


def off_by_more(probabilities: Floats, grade: int) -> float:
    """Chance that the true grade, distributed as [grades], is not within one of ``grade``."""
    near = slice(max(grade - 1, 0), grade + 2)
    return float(1 - probabilities[near].sum())
