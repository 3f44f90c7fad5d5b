"""Stage 12: how one limb ends: scored, not graded, held or rejected, and why.

Layer: pipeline; pure functions over the vocabulary.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from edge.errors import NULL_REASONS, REASONS, NullReason
from edge.model import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.errors import Reason
    from edge.model import JointScore


class Fate(NamedTuple):
    """Status of a limb with the code of its reason and what to do; both null where scored."""

    status: Status
    reason: str | None = None
    advice: str | None = None


def fate_of(reason: Reason | None, joints: Sequence[JointScore]) -> Fate:
    """Decide how a limb ends.

    Parameters
    ----------
    reason : Reason or None
        Why the limb is held or rejected, None where it is not.
    joints : sequence of JointScore
        With grades or with the reason why there is none.

    Returns
    -------
    Fate
        ``not_graded``, with the commonest reason of the joints, where no joint has a grade.
    """
    if reason is not None:
        return Fate(REASONS[reason].status, str(reason), REASONS[reason].advice)
    if any(joint.erosion is not None or joint.narrowing is not None for joint in joints):
        return Fate(Status.SCORED)
    why = Counter(
        code
        for joint in joints
        for code in (joint.erosion_reason, joint.narrowing_reason)
        if code is not None and code != NullReason.NOT_IN_SVH
    )
    code = why.most_common(1)[0][0] if why else str(NullReason.LOW_CONFIDENCE)
    return Fate(Status.NOT_GRADED, code, NULL_REASONS[NullReason(code)])
