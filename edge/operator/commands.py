"""Ready-made commands for a held film.

Layer: operator; text only.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from edge.anatomy import Limb
from edge.errors import Reason
from edge.model import Laterality, LateralitySource

if TYPE_CHECKING:
    from edge.model import LimbResult

_SIDES = {Laterality.LEFT: "left", Laterality.RIGHT: "right"}
_RELEASED = frozenset(
    {
        Reason.SIDE_NOT_KNOWN,
        Reason.SIDE_CONFLICT,
        Reason.MIRRORED_FILM,
        Reason.LIMB_CONFLICT,
        Reason.SHAPE_IMPLAUSIBLE,
        Reason.OTHER_BODY_PART,
        Reason.LIMB_DOUBTFUL,
        Reason.GRADES_DOUBTFUL,
        Reason.DUPLICATE_CONFLICT,
    }
)
"""Reasons after which a person's word can put a film right."""
_LIMB_DOUBTED = frozenset({Reason.LIMB_CONFLICT, Reason.LIMB_DOUBTFUL, Reason.OTHER_BODY_PART})
_SIDE_DOUBTED = frozenset(
    {
        Reason.SIDE_NOT_KNOWN,
        Reason.SIDE_CONFLICT,
        Reason.MIRRORED_FILM,
        Reason.DUPLICATE_CONFLICT,
    }
)


def known_limb(reason: str, body: LimbResult | None) -> Limb | None:
    """The limb, where nothing speaks against what was found."""
    return None if body is None or reason in _LIMB_DOUBTED else body.limb


def known_side(reason: str, body: LimbResult | None) -> Laterality | None:
    """The side, where somebody stated it: what the joints alone tell is no statement."""
    if body is None or reason in _SIDE_DOUBTED:
        return None
    return None if body.laterality_source is LateralitySource.GEOMETRY else body.laterality


def commands_for(job: int, reason: str, body: LimbResult | None) -> dict[str, str]:
    """Commands by what they say, e.g. ``left hand``; the person chooses one."""
    found = {}
    if reason in _RELEASED:
        limb, side = known_limb(reason, body), known_side(reason, body)
        limbs = tuple(Limb) if limb is None else (limb,)
        sides = tuple(Laterality) if side is None else (side,)
        for one_limb, one_side in product(limbs, sides):
            command = f"sharpedge release {job} --side {one_side} --limb {one_limb}"
            found[f"{_SIDES[one_side]} {one_limb}"] = command
    found["no score"] = f"sharpedge dismiss {job}"
    return found
