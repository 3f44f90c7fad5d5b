from edge.anatomy import Limb
from edge.model import JointScore
from edge.totals import add, limb_subtotals


def joints(limb, erosion=1, narrowing=1):
    return [JointScore(name=name, erosion=erosion, narrowing=narrowing) for name in limb.joints]


def test_maxima_of_four_limbs_are_those_of_partial_svh():
    hand, foot = (limb_subtotals(limb, joints(limb)) for limb in (Limb.HAND, Limb.FOOT))
    assert add(hand.erosion, hand.erosion).maximum == 100
    assert add(hand.narrowing, hand.narrowing).maximum == 72
    assert add(foot.erosion, foot.erosion).maximum == 120
    assert add(foot.narrowing, foot.narrowing).maximum == 48


def test_thumb_ip_never_enters_the_narrowing_sum():
    scored = [JointScore(name="IP1", erosion=0, narrowing=4)]
    assert limb_subtotals(Limb.HAND, scored).narrowing.score is None


def test_missing_joint_is_no_zero():
    part = [JointScore(name="MTP1", erosion=3, narrowing=None)]
    subtotals = limb_subtotals(Limb.FOOT, part)
    assert (subtotals.erosion.score, subtotals.erosion.n_scored) == (3, 1)
    assert (subtotals.erosion.attainable, subtotals.erosion.maximum) == (10, 60)
    assert subtotals.narrowing.score is None
    assert subtotals.narrowing.attainable == 0


def test_adding_keeps_what_one_side_has():
    full = limb_subtotals(Limb.FOOT, joints(Limb.FOOT)).erosion
    none = limb_subtotals(Limb.FOOT, []).erosion
    assert add(full, none).score == 6
    assert add(none, none).score is None


def test_joint_of_uncertain_name_counts_but_a_likely_thumb_never_narrows():
    likely = [
        JointScore(name_candidate="MCP2", erosion=2, narrowing=3),
        JointScore(name_candidate="IP1", erosion=1, narrowing=4),
    ]
    subtotals = limb_subtotals(Limb.HAND, likely)
    assert (subtotals.erosion.score, subtotals.narrowing.score) == (3, 3)
