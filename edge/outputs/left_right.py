"""Compares the joint spaces of both sides of a study.

Layer: outputs; pure functions over the contract.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from edge.anatomy import LIMBS
from edge.contract.payloads import MeasuredSpace, NoDifference, SideDifference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.contract.payloads import StudyLimb
    from edge.model import LimbResult

Pair = Literal["hands", "feet"]
_PAIRS: dict[Pair, str] = {"hands": "H", "feet": "F"}


def measured_spaces(result: LimbResult) -> dict[str, MeasuredSpace]:
    """Joint spaces of a result that have a width, by joint."""
    source = None if result.pixel_size is None else result.pixel_size.source
    return {
        joint.name: MeasuredSpace(
            mean_px=joint.space.mean_px, mean_mm=joint.space.mean_mm, source=source
        )
        for joint in result.joints
        if joint.name is not None and joint.space is not None and joint.space.mean_px is not None
    }


def left_right(sides: Iterable[tuple[str, StudyLimb]]) -> dict[Pair, dict[str, SideDifference]]:
    """Compare both sides joint by joint, where both films of a pair are there.

    Parameters
    ----------
    sides : iterable of (str, StudyLimb)
        The study's limbs with their places: LH, RH, LF, RF.

    Returns
    -------
    dict
        ``hands`` and ``feet`` to joint to difference; without a pair that is not whole, or of
        which nothing was measured.
    """
    limbs = dict(sides)
    found: dict[Pair, dict[str, SideDifference]] = {}
    for pair, letter in _PAIRS.items():
        left, right = limbs.get(f"L{letter}"), limbs.get(f"R{letter}")
        if left is None or right is None or not (left.spaces or right.spaces):
            continue
        joints = next(facts.joints for facts in LIMBS.values() if facts.letter == letter)
        found[pair] = {
            joint: _compared(left.spaces.get(joint), right.spaces.get(joint)) for joint in joints
        }
    return found


def _compared(left: MeasuredSpace | None, right: MeasuredSpace | None) -> SideDifference:
    if left is None and right is None:
        return SideDifference(reason=NoDifference.NOT_MEASURED)
    if left is None:
        return SideDifference(reason=NoDifference.LEFT_NOT_MEASURED)
    if right is None:
        return SideDifference(reason=NoDifference.RIGHT_NOT_MEASURED)
    if left.mean_mm is None or right.mean_mm is None:
        return SideDifference(reason=NoDifference.SCALE_NOT_KNOWN)
    if left.source is not right.source:
        return SideDifference(reason=NoDifference.SCALES_DIFFER)
    return SideDifference(difference_mm=round(left.mean_mm - right.mean_mm, 3))
