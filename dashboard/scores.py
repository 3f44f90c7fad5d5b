"""Grades in words and colours, and the range of each.

Layer: dashboard; pure. The steps are those of the labelled picture's palette.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edge.contract.vocabulary import (
    LIMBS,
    NARROWING_MAXIMUM,
    NULL_REASONS,
    REASONS,
    Limb,
    NullReason,
    Reason,
    has_narrowing,
)

if TYPE_CHECKING:
    from edge.contract.vocabulary import JointScore, LimbResult

STEPS = 6
"""From no damage (0) to the worst (5)."""
SIDES = {"L": "left", "R": "right"}
KINDS = ("erosion", "narrowing")


def maximum_of(limb: Limb, joint: str, kind: str) -> int | None:
    """Highest grade of a joint; None where the method has no such grade."""
    if joint not in LIMBS[limb].joints:
        return None
    if kind == "erosion":
        return LIMBS[limb].erosion_maximum
    return NARROWING_MAXIMUM if has_narrowing(limb, joint) else None


def step_of(limb: Limb, erosion: int | None, narrowing: int | None) -> int | None:
    """Step of the worse of both grades as a share of its maximum; None for neither."""
    shares = [
        grade / maximum
        for grade, maximum in (
            (erosion, LIMBS[limb].erosion_maximum), (narrowing, NARROWING_MAXIMUM)
        )
        if grade is not None
    ]  # fmt: skip
    return min(math.ceil(max(shares) * (STEPS - 1)), STEPS - 1) if shares else None


def null_words(code: str | None) -> str:
    """Why a grade is missing, in words."""
    if code is None:
        return "not graded"
    try:
        return NULL_REASONS[NullReason(code)]
    except ValueError:
        return code.replace("_", " ")


def reason_words(code: str | None) -> str:
    """Why a film has no score, in words."""
    if code is None:
        return ""
    try:
        return REASONS[Reason(code)].meaning
    except ValueError:
        return null_words(code)


def limb_words(side: str | None, limb: str | None) -> str:
    """``left hand``; what is not known is said."""
    return f"{SIDES.get(side or '', 'side not known:')} {limb or 'limb not known'}"


def name_of(joint: JointScore) -> str:
    """Name of a joint, with a question mark where it is not certain."""
    return joint.name or (f"{joint.name_candidate}?" if joint.name_candidate else "?")


def place_of(result: LimbResult) -> str | None:
    """``LH``, ``RH``, ``LF`` or ``RF``; None where side or limb is not known."""
    if result.laterality is None or result.limb is None:
        return None
    return f"{result.laterality.value}{LIMBS[result.limb].letter}"
