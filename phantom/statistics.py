"""Which grades a patient has: flat for evaluation, or with the marginals of a real cohort.

Layer: phantom; numpy only. A latent severity of the patient, of the joint (shared by both sides)
and of the side make a correlated normal score, whose rank picks the grade: marginals are met
exactly, whatever the correlations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import erf, sqrt
from typing import Literal

import numpy as np

from edge.anatomy import NARROWING_MAXIMUM, Limb, has_narrowing
from edge.model import Laterality
from phantom.geometry import JointGrade

GradeSetting = Literal["flat", "real"]
Grades = Mapping[str, JointGrade]

REAL_COUNTS: dict[tuple[Limb, str], tuple[int, ...]] = {
    (Limb.HAND, "narrowing"): (4093, 296, 287, 143, 149),
    (Limb.HAND, "erosion"): (5085, 213, 138, 43, 14, 27),
    (Limb.FOOT, "narrowing"): (2792, 73, 248, 107, 92),
    (Limb.FOOT, "erosion"): (2802, 120, 161, 92, 40, 44, 11, 14, 11, 8, 9),
}
"""Marginals of a public cohort's training part."""

_PATIENT, _JOINT = 0.40, 0.30
_OFTEN_HIT = {"MTP5": 0.35, "MCP2": 0.30, "MCP3": 0.30, "MCP1": -0.1, "IP1": -0.15, "MTP2": -0.1}


@dataclass(frozen=True)
class Patient:
    """One patient's grades: limb and side -> joint -> grade."""

    grades: dict[tuple[Limb, Laterality], dict[str, JointGrade]]


def sample_patient(rng: np.random.Generator, setting: GradeSetting) -> Patient:
    """Grades of both hands and both feet; sides correlate by about .7, the two scores by .5."""
    severity = rng.standard_normal(3)  # both scores, erosion's own, narrowing's own
    grades: dict[tuple[Limb, Laterality], dict[str, JointGrade]] = {}
    for limb in Limb:
        shared = rng.standard_normal((len(limb.joints), 3))
        for side in Laterality:
            own = rng.standard_normal((len(limb.joints), 3))
            grades[limb, side] = {
                name: _joint(rng, limb, name, setting, severity, shared[i], own[i])
                for i, name in enumerate(limb.joints)
            }
    return Patient(grades)


def sample_grades(
    rng: np.random.Generator, limb: Limb, setting: GradeSetting
) -> dict[str, JointGrade]:
    """Grades of one limb by itself."""
    severity = rng.standard_normal(3)
    noise = rng.standard_normal((len(limb.joints), 2, 3))
    return {
        name: _joint(rng, limb, name, setting, severity, noise[i, 0], noise[i, 1])
        for i, name in enumerate(limb.joints)
    }


def split_erosion(rng: np.random.Generator, limb: Limb, total: int) -> tuple[int, int]:
    """Proximal and distal part of an erosion grade, each 0-5.

    A foot's grade is the sum of two sides by definition; a hand's mostly lies on one side.
    """
    if limb is Limb.FOOT:
        low, high = max(0, total - 5), min(5, total)
        proximal = int(rng.integers(low, high + 1))
        return proximal, total - proximal
    minor = 1 if total >= 3 and rng.random() < 0.3 else 0
    if rng.random() < 0.6:
        return total - minor, minor
    return minor, total - minor


def _joint(
    rng: np.random.Generator,
    limb: Limb,
    name: str,
    setting: GradeSetting,
    patient: np.ndarray,
    shared: np.ndarray,
    own: np.ndarray,
) -> JointGrade:
    score = sqrt(_PATIENT) * patient + sqrt(_JOINT) * shared + sqrt(1 - _PATIENT - _JOINT) * own
    if setting == "real":
        score = score + _OFTEN_HIT.get(name, 0.0)
    # Half of each score's variance is common to erosion and narrowing: correlation one half.
    erosion = sqrt(0.5) * (score[0] + score[1])
    narrowing = sqrt(0.5) * (score[0] + score[2])
    total = _grade(limb, "erosion", setting, erosion, limb.erosion_maximum)
    narrow = _grade(limb, "narrowing", setting, narrowing, NARROWING_MAXIMUM)
    sides = split_erosion(rng, limb, total)
    return JointGrade(sides, narrow if has_narrowing(limb, name) else None)


def _grade(limb: Limb, scorer: str, setting: GradeSetting, score: float, maximum: int) -> int:
    rank = 0.5 * (1 + erf(float(score) / sqrt(2)))
    if setting == "flat":
        return min(int(rank * (maximum + 1)), maximum)
    counts = np.cumsum(REAL_COUNTS[limb, scorer])
    return int(np.searchsorted(counts / counts[-1], rank))
