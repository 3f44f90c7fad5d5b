"""Coverage, error and repeatability of measured joint spaces."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.anatomy import Limb
from training.evaluation.space_findings import space_groups, space_repeats, space_text
from training.evaluation.space_rows import CHANGES, RepeatRow, SpaceRow


def row(narrowing=0, width=1.5, true=1.4, erosion=0, reason=None):
    return SpaceRow(0, Limb.HAND, "MCP2", narrowing, erosion, width, true, reason)


def test_errors_are_of_joints_that_were_measured_and_have_a_truth():
    rows = [row(width=1.5), row(width=1.3), row(width=None, reason="blurred"), row(true=None)]
    (group,) = (one for one in space_groups(rows) if one.name == "narrowing 0")
    assert (group.joints, group.measured, group.errors) == (4, 3, 2)
    assert group.mean_error_mm == pytest.approx(0.0)
    assert group.sd_error_mm == pytest.approx(0.1)
    assert group.largest_error_mm == pytest.approx(0.1)
    assert group.reasons == {"blurred": 1}


def test_a_fused_joint_counts_in_no_group_of_open_joints():
    found = {
        one.name: one for one in space_groups([row(), row(narrowing=4, width=None, true=None)])
    }
    assert found["narrowing grades 0-3"].joints == 1
    assert found["hand, all joints"].joints == 2
    assert found["narrowing 4"].measured == 0


def test_the_spread_of_repeats_is_that_of_one_measurement():
    rng = np.random.default_rng(2)
    names = [change.name for change in CHANGES]
    rows = [
        RepeatRow(Limb.HAND, "MCP2", {name: 1.5 + rng.normal(0, 0.04) for name in names})
        for _ in range(400)
    ]
    found = space_repeats(rows)
    assert [one.change for one in found[:-1]] == names[1:]
    assert all(one.sd_mm == pytest.approx(0.04, abs=0.006) for one in found)
    assert found[-1].joints == 400
    assert any("sd 0.04" in line for line in space_text((), found))


def test_nothing_repeated_gives_no_figures():
    assert space_repeats([]) == ()
    assert space_repeats([RepeatRow(Limb.FOOT, "MTP1", {CHANGES[0].name: 1.0})]) == ()


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_a_change_keeps_the_middle_of_a_film_and_scales_it(change):
    film = np.zeros((80, 100), np.uint8)
    cv2.circle(film, (50, 40), 20, 200, -1)
    changed = cv2.imdecode(np.frombuffer(change.encode(film), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert changed.shape == (round(80 * change.zoom), round(100 * change.zoom))
    area = np.count_nonzero(changed > 100) / np.count_nonzero(film > 100)
    assert area == pytest.approx(change.zoom**2, rel=0.04)
