"""Stage 12: sums over the joints that were scored; a missing joint is never a zero.

Layer: vocabulary; pure functions over results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.anatomy import NARROWING_MAXIMUM, Limb, has_narrowing
from edge.model import JointScore, Subtotal, Subtotals

if TYPE_CHECKING:
    from collections.abc import Iterable


def _subtotal(grades: list[int], n_expected: int, joint_maximum: int) -> Subtotal:
    return Subtotal(
        score=sum(grades) if grades else None,
        n_scored=len(grades),
        n_expected=n_expected,
        maximum=n_expected * joint_maximum,
        attainable=len(grades) * joint_maximum,
    )


def limb_subtotals(limb: Limb, joints: Iterable[JointScore]) -> Subtotals:
    """Erosion and narrowing of one limb. The thumb's IP never enters the narrowing sum.

    A joint whose name is uncertain counts: the sum asks only which limb it belongs to.
    """
    scored = [(joint.name or joint.name_candidate, joint) for joint in joints]
    erosion = [joint.erosion for _, joint in scored if joint.erosion is not None]
    narrowing = [
        joint.narrowing
        for name, joint in scored
        if joint.narrowing is not None and (name is None or has_narrowing(limb, name))
    ]
    n_narrowing = sum(has_narrowing(limb, name) for name in limb.joints)
    return Subtotals(
        erosion=_subtotal(erosion, len(limb.joints), limb.erosion_maximum),
        narrowing=_subtotal(narrowing, n_narrowing, NARROWING_MAXIMUM),
    )


def add(first: Subtotal, second: Subtotal) -> Subtotal:
    """Sum of two subtotals, e.g. of the left and the right hand."""
    scores = [s.score for s in (first, second) if s.score is not None]
    return Subtotal(
        score=sum(scores) if scores else None,
        n_scored=first.n_scored + second.n_scored,
        n_expected=first.n_expected + second.n_expected,
        maximum=first.maximum + second.maximum,
        attainable=first.attainable + second.attainable,
    )
