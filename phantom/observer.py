"""The ideal observer: which share of phantom grades the true geometry alone determines.

Layer: phantom; numpy only. It sees true geometry with .1 mm (sd) of noise on each profile line, one
line a millimetre across the joint, and knows the bone's width but not how far this joint's own norm
lies from what that width promises.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.anatomy import NARROWING_MAXIMUM, Limb, has_narrowing
from edge.model import Laterality
from phantom.damage import AREA_SHARES
from phantom.skeleton import sample_limb

if TYPE_CHECKING:
    from phantom.geometry import JointModel
    from phantom.style import StyleName

LEAST_LIMBS = 120
LINE_NOISE_MM = 0.1
_RATIO_BORDERS = (0.85, 0.70, 0.50)
_FOCAL_DIFFERENCE = 0.22
_SUBLUXATION, _LUXATION = 0.13, 0.5


@dataclass(frozen=True)
class Ceiling:
    """One scorer's ideal observer on phantoms: shares of 0..1, mean over the grades."""

    scorer: str
    joints: int
    balanced_exact: float
    balanced_within_one: float

    def __str__(self) -> str:
        return (
            f"{self.scorer:<16}phantom, ideal observer: {100 * self.balanced_exact:.1f} % exact, "
            f"{100 * self.balanced_within_one:.1f} % within one grade (balanced, "
            f"{self.joints} joints)"
        )


def ceiling(
    limbs: int, seed: int, style: StyleName = "eval", *, borderline: bool = False
) -> tuple[Ceiling, ...]:
    """The observer's score for each of the four scorers on ``limbs`` hands and as many feet.

    At least `LEAST_LIMBS` of each are drawn: a balanced mean needs every grade often enough.
    """
    rng = np.random.default_rng((seed, 1))
    rows: list[Ceiling] = []
    for limb in Limb:
        pairs: dict[str, list[tuple[int, int]]] = {"narrowing": [], "erosion": []}
        for _ in range(max(limbs, LEAST_LIMBS)):
            model = sample_limb(rng, limb, Laterality.LEFT, "flat", style, borderline=borderline)
            for joint in model.joints:
                top = limb.erosion_maximum
                pairs["erosion"].append((joint.grade.erosion, read_erosion(rng, joint, top)))
                if has_narrowing(limb, joint.name) and joint.grade.narrowing is not None:
                    pairs["narrowing"].append((joint.grade.narrowing, read_narrowing(rng, joint)))
        rows += [_score(f"{limb.value} {name}", pairs[name]) for name in ("narrowing", "erosion")]
    return tuple(rows)


def read_narrowing(rng: np.random.Generator, joint: JointModel) -> int:
    """The grade that the noisy joint space shows."""
    if joint.fused:
        return NARROWING_MAXIMUM
    shift = abs(joint.shift_share) + rng.normal(0, LINE_NOISE_MM / (2 * joint.half_width_mm))
    if shift > _LUXATION:
        return NARROWING_MAXIMUM
    if shift > _SUBLUXATION:
        return 3
    lines = max(3, int(joint.half_width_mm))
    places = np.linspace(0, 1, lines)
    space = np.interp(places, np.linspace(0, 1, len(joint.space_mm)), joint.space_mm)
    ratio = (space + rng.normal(0, LINE_NOISE_MM, lines)) / joint.promised_norm_mm
    thirds = [float(part.mean()) for part in np.array_split(ratio, 3)]
    if max(thirds) - min(thirds) > _FOCAL_DIFFERENCE:
        return 1
    mean = float(ratio.mean())
    return sum(mean < border for border in _RATIO_BORDERS)


def read_erosion(rng: np.random.Generator, joint: JointModel, maximum: int) -> int:
    """The grade that the noisy area of the bites shows, both sides added."""
    borders = [
        math.sqrt(AREA_SHARES[g][1] * AREA_SHARES[g + 1][0]) for g in range(1, len(AREA_SHARES))
    ]
    borders.insert(0, AREA_SHARES[1][0] / 2)
    width = 2 * joint.half_width_mm
    total = 0
    for share in joint.bite_shares:
        outline_mm = 2 * math.sqrt(math.pi * share) * width
        noise = LINE_NOISE_MM * math.sqrt(max(outline_mm, 1.0)) / width**2
        total += sum(share + rng.normal(0, noise) > border for border in borders)
    return min(total, maximum)


def _score(scorer: str, pairs: list[tuple[int, int]]) -> Ceiling:
    truth, seen = np.array(pairs).T
    grades = np.unique(truth)
    exact = [float((seen[truth == g] == g).mean()) for g in grades]
    close = [float((np.abs(seen[truth == g] - g) <= 1).mean()) for g in grades]
    return Ceiling(scorer, len(pairs), float(np.mean(exact)), float(np.mean(close)))
