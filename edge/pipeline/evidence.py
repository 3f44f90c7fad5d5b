"""Decides whether a film gives enough evidence for the grades of a limb, else why it is held.

Layer: pipeline; pure functions over pictures, sightings and graded joints.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edge.errors import NullReason, Reason
from edge.model import LateralitySource
from edge.pipeline.find import CONVINCING, SAME_JOINT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.model import GreyImage, JointScore, StatedIdentity
    from edge.pipeline.find import Sighting

DOUBTS = frozenset({NullReason.UNFAMILIAR, NullReason.DOUBTFUL, NullReason.LOW_CONFIDENCE})
"""Reasons of a joint without a grade that speak against the film, not of its resolution."""

LEAST_LIMB_LEVELS = 32
"""Fewer distinct grey levels among the joints, and the film was squeezed before it came here. Of 79
limbs on real films two have 42 and 46, on 27 to 42 rows of pixels; all others have over 60."""


def few_grey_levels(film: GreyImage, sighting: Sighting) -> Reason | None:
    """Hold a limb whose joints show too few grey levels on a film [h, w] uint8."""
    points = sighting.points()
    left, top = np.maximum(points.min(axis=0), 0).astype(int)
    right, bottom = points.max(axis=0).astype(int) + 1
    shown = np.count_nonzero(np.bincount(film[top:bottom, left:right].ravel(), minlength=256))
    return Reason.FEW_GREY_LEVELS if shown < LEAST_LIMB_LEVELS else None


def nothing_found(film: GreyImage) -> Reason:
    """Why no limb was found on a film [h, w] uint8: too few grey levels, or no limb."""
    shown = np.count_nonzero(np.bincount(film.ravel(), minlength=256))
    # A film of one grey shows nothing, and more levels of it would show nothing either.
    return Reason.FEW_GREY_LEVELS if 1 < shown < LEAST_LIMB_LEVELS else Reason.NOT_HAND_OR_FOOT


def is_released(stated: StatedIdentity) -> bool:
    """Whether a person has released the film, with its limb or side."""
    return LateralitySource.OPERATOR in (stated.limb_source, stated.laterality_source)


def looks_doubtful(first: Sighting, second: Sighting | None) -> Reason | None:
    """Hold a limb that the second, weaker look does not confirm.

    Both looks are on the canvas. A weaker second look alone holds nothing. It does where fewer
    than half of the joints agree, and where the first look did not convince either: then only
    file name or tags say that there is a hand or foot.
    """
    agree = 0 if second is None else _agreeing(first, second)
    if 2 * agree < len(first.limb.joints) or first.merit < CONVINCING:
        return Reason.LIMB_DOUBTFUL
    return None


def _agreeing(first: Sighting, second: Sighting) -> int:
    """How many joints both looks give the same name in the same place."""
    there = dict(second.named())
    reach = SAME_JOINT * first.identity.shape.scale
    return sum(
        name in there and math.dist(found.centre, there[name].centre) <= reach
        for name, found in first.named()
    )


def grades_doubtful(joints: Sequence[JointScore]) -> Reason | None:
    """Hold a limb of which fewer than half of the joints have a grade, because of doubt.

    Joints that are too small, missing or covered do not count as doubt: they hold nothing.
    """
    graded = sum(joint.erosion is not None for joint in joints)
    doubtful = sum(joint.erosion_reason in DOUBTS for joint in joints)
    few = 2 * graded < len(joints) <= 2 * (graded + doubtful)
    return Reason.GRADES_DOUBTFUL if few else None


def withheld(joints: Sequence[JointScore], why: NullReason) -> list[JointScore]:
    """The same joints without their grades; those that had none keep their reason."""
    return [joint.model_copy(update=_withheld(joint, why)) for joint in joints]


def _withheld(joint: JointScore, why: NullReason) -> dict[str, str | None]:
    changed: dict[str, str | None] = {}
    for kind in ("erosion", "narrowing"):
        if getattr(joint, kind) is not None:
            changed |= {
                kind: None,
                f"{kind}_expected": None,
                f"{kind}_reason": why.value,
            }
    return changed
