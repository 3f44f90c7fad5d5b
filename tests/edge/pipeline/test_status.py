"""A limb without any grade is never called scored."""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.anatomy import Limb
from edge.contract.payloads import StudyLimb
from edge.errors import NULL_REASONS, NullReason, Reason
from edge.model import JointScore, LimbResult, Status, Versions
from edge.outputs.study import StudyBody, with_limb
from edge.pipeline.status import fate_of
from edge.scoring.score_files import exit_status
from edge.totals import limb_subtotals

ONE, TWO = (str(uuid5(NAMESPACE_URL, it)) for it in "12")
CODES = [None, *map(str, NullReason)]
JOINTS = st.builds(
    JointScore,
    erosion=st.one_of(st.none(), st.integers(0, 5)),
    narrowing=st.one_of(st.none(), st.integers(0, 4)),
    erosion_reason=st.sampled_from(CODES),
    narrowing_reason=st.sampled_from(CODES),
)


@given(st.lists(JOINTS, max_size=10))
def test_scored_means_that_a_grade_is_there(joints):
    graded = any(it.erosion is not None or it.narrowing is not None for it in joints)
    fate = fate_of(None, joints)
    assert fate.status is (Status.SCORED if graded else Status.NOT_GRADED)
    assert (fate.reason is None) == graded
    assert fate.reason is None or NullReason(fate.reason) in NULL_REASONS


def test_the_reason_is_the_commonest_one_and_never_that_svh_has_no_such_grade():
    joints = [JointScore(erosion_reason="doubtful", narrowing_reason="not_in_svh")] * 3
    joints.append(JointScore(erosion_reason="implant", narrowing_reason="implant"))
    assert fate_of(None, joints).reason == "doubtful"


@pytest.mark.parametrize("reason", list(Reason))
def test_a_reason_of_the_film_wins_over_its_joints(reason):
    fate = fate_of(reason, [JointScore(erosion=1)])
    assert (fate.status, fate.reason) != (Status.SCORED, None)
    assert fate.reason == str(reason)


def result(status, **fields):
    return LimbResult(
        file="a.jpg", limb_index=0, status=status, limb=Limb.HAND, laterality="L",
        versions=Versions(software="test"), **fields,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("statuses", "wanted"),
    [
        ([Status.SCORED], 0),
        ([Status.SCORED, Status.NOT_GRADED], 3),
        ([Status.NOT_GRADED, Status.REJECTED], 4),
    ],
)
def test_score_tells_by_its_exit_status_that_a_limb_was_not_graded(statuses, wanted):
    assert exit_status([result(status) for status in statuses]) == wanted


def test_a_repeat_without_grades_replaces_no_graded_limb_of_a_study():
    joints = tuple(JointScore(name=name, erosion=1) for name in Limb.HAND.joints)
    totals = limb_subtotals(Limb.HAND, joints)
    first = with_limb(StudyBody(), "LH", result(Status.SCORED, subtotals=totals), ONE)
    second = with_limb(first, "LH", result(Status.NOT_GRADED), TWO)
    assert second.limbs["LH"].subtotals == totals
    alone = with_limb(StudyBody(), "LH", result(Status.NOT_GRADED), TWO)
    assert isinstance(alone.limbs["LH"], StudyLimb)
