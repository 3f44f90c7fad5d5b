"""Colours of joints by their grades, and the legend that explains them.

Layer: pipeline; values and pure functions.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from edge.anatomy import NARROWING_MAXIMUM

if TYPE_CHECKING:
    from edge.anatomy import Limb
    from edge.model import JointScore

Colour = tuple[int, int, int]
"""Red, green, blue."""

STEPS: tuple[Colour, ...] = (
    (63, 127, 221),
    (133, 201, 242),
    (242, 247, 249),
    (255, 210, 63),
    (245, 131, 42),
    (209, 31, 58),
)
"""Blue (no damage) by white to red (the worst). Any two differ by more than 18 units of CIE 1976
L*a*b* for normal vision and for each of the three colour deficiencies (Machado 2009)."""
NOT_GRADED: Colour = (140, 140, 140)
INK: Colour = (238, 238, 238)
FAINT_INK: Colour = (176, 176, 176)
WARNING_INK: Colour = STEPS[3]
PAPER: Colour = (16, 16, 16)


class LegendEntry(NamedTuple):
    """A colour and the grades that it stands for."""

    colour: Colour
    words: str


def step_of(erosion: int | None, narrowing: int | None, limb: Limb) -> int | None:
    """Index in `STEPS` of the worse of both grades as a share of its maximum; None for neither."""
    shares = [
        grade / maximum
        for grade, maximum in ((erosion, limb.erosion_maximum), (narrowing, NARROWING_MAXIMUM))
        if grade is not None
    ]
    if not shares:
        return None
    return min(math.ceil(max(shares) * (len(STEPS) - 1)), len(STEPS) - 1)


def colour_of(joint: JointScore, limb: Limb | None) -> Colour:
    """Colour of a joint; grey where it has no grade."""
    step = None if limb is None else step_of(joint.erosion, joint.narrowing, limb)
    return NOT_GRADED if step is None else STEPS[step]


def legend(limb: Limb) -> list[LegendEntry]:
    """Each colour with the erosion and narrowing grades that give it, then what E and N mean."""
    entries = []
    for step, colour in enumerate(STEPS):
        erosion = [g for g in range(limb.erosion_maximum + 1) if step_of(g, None, limb) == step]
        narrowing = [g for g in range(NARROWING_MAXIMUM + 1) if step_of(None, g, limb) == step]
        words = [
            f"{letter} {_span(grades)}"
            for letter, grades in (("E", erosion), ("N", narrowing))
            if grades
        ]
        entries.append(LegendEntry(colour, "  ".join(words)))
    return [
        *entries,
        LegendEntry(NOT_GRADED, "not graded"),
        LegendEntry(PAPER, "E erosion, N narrowing"),
    ]


def _span(grades: list[int]) -> str:
    return str(grades[0]) if len(grades) == 1 else f"{grades[0]}-{grades[-1]}"
