"""Joint spaces of both sides of a study."""

from __future__ import annotations

import pytest

from edge.anatomy import Limb
from edge.contract.payloads import MeasuredSpace, NoDifference, StudyLimb
from edge.model import PixelSource
from edge.outputs.left_right import left_right
from edge.totals import limb_subtotals


def limb(spaces, kind=Limb.HAND):
    return StudyLimb(
        id="5ce4d5c1-0451-5ebc-8015-0fed7e05bc72",
        subtotals=limb_subtotals(kind, ()),
        n_scored=0,
        n_expected=10,
        spaces=spaces,
    )


def wide(mm, source=PixelSource.CALIBRATED):
    return MeasuredSpace(mean_px=12.0, mean_mm=mm, source=None if mm is None else source)


def compared(left, right):
    sides = {
        "LH": limb({} if left is None else {"MCP2": left}),
        "RH": limb({} if right is None else {"MCP2": right}),
    }
    return left_right(sides.items())["hands"]["MCP2"]


def test_the_difference_is_left_less_right():
    assert compared(wide(1.5), wide(1.2)).difference_mm == pytest.approx(0.3)
    assert compared(wide(1.2), wide(1.5)).difference_mm == pytest.approx(-0.3)


@pytest.mark.parametrize(
    ("left", "right", "reason"),
    [
        (None, wide(1.0), NoDifference.LEFT_NOT_MEASURED),
        (wide(1.0), None, NoDifference.RIGHT_NOT_MEASURED),
        (wide(None), wide(1.0), NoDifference.SCALE_NOT_KNOWN),
        (wide(None), wide(None), NoDifference.SCALE_NOT_KNOWN),
        (wide(1.0), wide(1.0, PixelSource.DETECTOR), NoDifference.SCALES_DIFFER),
    ],
)
def test_what_cannot_be_compared_says_why(left, right, reason):
    found = compared(left, right)
    assert found.reason is reason
    assert found.difference_mm is None


def test_every_joint_of_a_whole_pair_has_an_entry():
    hands = left_right([("LH", limb({"MCP2": wide(1.0)})), ("RH", limb({}))])["hands"]
    assert tuple(hands) == Limb.HAND.joints
    assert hands["PIP3"].reason is NoDifference.NOT_MEASURED


def test_a_pair_that_is_not_whole_or_not_measured_is_left_out():
    measured = limb({"MTP1": wide(1.0)}, Limb.FOOT)
    assert left_right([("LF", measured)]) == {}
    assert left_right([("LH", limb({})), ("RH", limb({}))]) == {}
    assert set(left_right([("LF", measured), ("RF", measured)])) == {"feet"}
