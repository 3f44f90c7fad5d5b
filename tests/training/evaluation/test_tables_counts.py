"""What is counted of films, joints and boxes, and how a limb is turned."""

import numpy as np
import pytest
from labelled_limbs import VERSIONS, answered, limb_of, measure, places_of, report_of, truth_of

from edge.anatomy import Limb
from edge.model import Laterality, LimbResult, Status
from training.evaluation import film_findings, scorer_findings, statistics
from training.evaluation.assemble import upright_landmarks
from training.evaluation.measure import Measured, match
from training.evaluation.rows import Rows
from training.evaluation.sums import totals
from training.evaluation.tables import REACH, tabulate, turn_deg
from training.evaluation.truth import (
    Kind,
)


@pytest.mark.parametrize("limb", list(Limb))
@pytest.mark.parametrize("turn", [-170, -60, 0, 30, 135])
@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_the_turn_of_a_limb_is_read_off_its_joints(limb, turn, flip):
    upright = np.array(list(places_of(limb).values())) * (flip, 1.0)
    angle = np.radians(turn)
    points = upright @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    apart = turn_deg(limb, list(limb.joints), points) - turn
    assert (apart + 180) % 360 - 180 == pytest.approx(0, abs=1)


def test_landmarks_of_a_set_are_turned_upright(tmp_path, truths):
    labelled, _ = measure(tmp_path, truths)
    for image in upright_landmarks(labelled):
        assert turn_deg(image.limb, list(image.names), image.points) == pytest.approx(0, abs=1)


def test_of_two_hands_on_a_film_each_is_compared_with_the_nearer_result(tmp_path):
    here, there = truth_of("two.jpg"), truth_of("two.jpg")
    moved = tuple(
        joint.model_copy(update={"centre": (joint.centre[0] + 3000, joint.centre[1])})
        for joint in there.joints
    )
    there = there.model_copy(update={"joints": moved})
    assert match(here, (there, here)) == 1
    assert match(there, (there, here)) == 0
    assert match(here, (truth_of("two.jpg", Limb.FOOT),)) is None
    _, tables = measure(tmp_path, [here, there])
    assert len(tables.films) == 2


def test_a_joint_counts_as_found_up_to_the_stated_reach(tmp_path):
    truth = truth_of("P1-LH.jpg")
    places = {joint.name: joint.centre for joint in truth.joints}
    unit = np.hypot(*np.subtract(places["MCP3"], places["PIP3"]))
    for off, found in ((0.95, 1.0), (1.05, 0.0)):
        far = off * REACH[Limb.HAND] * unit

        def move(result, far=far):
            joints = [
                joint.model_copy(update={"centre": (joint.centre[0], joint.centre[1] + far)})
                for joint in result.joints
            ]
            return result.model_copy(update={"joints": tuple(joints)})

        labelled, tables = measure(tmp_path, [truth], move)
        assert report_of(labelled, tables).detection.groups[0].found.value == found


def test_a_hundred_films_are_summed_up_in_seconds(tmp_path):
    rng = np.random.default_rng(0)
    truths = [
        truth_of(f"P{i}-{side}{limb.value[0].upper()}.jpg", limb, int(rng.integers(6)), 1)
        for i in range(25)
        for limb in Limb
        for side in Laterality
    ]
    labelled, tables = measure(tmp_path, truths)
    rows = Rows.of(tables)
    assert len(scorer_findings.scorers(rows)) == 4
    assert [total.maximum for total in totals(rows)] == [36, 50, 24, 60, 72, 100, 48, 120, 340]
    assert film_findings.detection(rows).groups[0].joints == 500
    assert rows.weights.shape == (statistics.DRAWS + 1, 25)
    assert labelled.kind is Kind.PHANTOM


def test_boxes_of_which_only_the_class_is_known_count_for_precision_alone(tmp_path):
    whole = truth_of("P1-LH.jpg")
    bare = whole.model_copy(update={"joints": ()})
    boxes = limb_of(tmp_path, whole).boxes
    limb = limb_of(tmp_path, bare, class_boxes=boxes)
    tables = tabulate([Measured(limb, (answered(whole),), 0)])
    found = film_findings.detection(Rows.of(tables))
    assert [(one.label, one.truths, one.ap50.value) for one in found.classes] == [
        ("hand MCP", 5, 1.0),
        ("hand PIP", 5, 1.0),
    ]
    assert found.groups[0].joints == 0
    assert found.groups[0].found.value is None


def test_a_rejected_film_has_no_joints_and_no_limb(tmp_path, truths):
    def reject(result):
        return LimbResult(
            file=result.file, limb_index=0, status=Status.REJECTED, reason="corrupt",
            versions=VERSIONS,
        )  # fmt: skip

    limbs = [limb_of(tmp_path, truth) for truth in truths]
    tables = tabulate([Measured(limb, (reject(limb.truth),), None) for limb in limbs])
    fate = film_findings.fates(Rows.of(tables))[0]
    assert fate.limb_right.value == fate.fate_right.value == 0
    assert [(one.status, one.reason, one.films) for one in fate.outcomes] == [
        ("rejected", "corrupt", 4)
    ]
    assert not any(row.found for row in tables.joints)
