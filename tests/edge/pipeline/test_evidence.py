"""Limbs that are held although joints were found: looks that disagree, grades in doubt."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.anatomy import Limb, joint_box_side_px, joint_class, shape_template
from edge.errors import NullReason, Reason
from edge.model import (
    Detection,
    JointScore,
    Laterality,
    LateralitySource,
    OperatorStatement,
    StatedIdentity,
    Status,
)
from edge.pipeline.evidence import (
    DOUBTS,
    few_grey_levels,
    grades_doubtful,
    is_released,
    looks_doubtful,
    withheld,
)
from edge.pipeline.find import name_detections
from edge.pipeline.template import unit_px


def sighting(limb, *, confidence=0.9, moved=0):
    """A sighting of a whole limb in which ``moved`` joints lie elsewhere."""
    points = shape_template(limb).mean * 90.0 + (600, 500)
    unit = unit_px(limb, limb.joints, points)
    found = []
    for name, (x, y) in zip(limb.joints, points, strict=True):
        side = joint_box_side_px(limb, name, unit)
        found.append(
            Detection(joint_class(name), confidence, (x - side / 2, y - side / 2, side, side))
        )
    seen = name_detections(limb, found)
    assert seen is not None
    moved_away = tuple(
        replace(d, box=(d.box[0] + 90, *d.box[1:])) if i < moved else d
        for i, d in enumerate(seen.detections)
    )
    return replace(seen, detections=moved_away)


@pytest.mark.parametrize("limb", list(Limb))
def test_a_weaker_second_look_that_agrees_holds_nothing(limb):
    assert looks_doubtful(sighting(limb), sighting(limb, confidence=0.6)) is None


@pytest.mark.parametrize("limb", list(Limb))
def test_a_limb_that_only_name_or_tags_support_is_held(limb):
    first = sighting(limb, confidence=0.5)
    assert looks_doubtful(first, sighting(limb, confidence=0.3)) is Reason.LIMB_DOUBTFUL
    assert looks_doubtful(sighting(limb), None) is Reason.LIMB_DOUBTFUL


@pytest.mark.parametrize("limb", list(Limb))
def test_looks_must_agree_on_half_of_the_joints(limb):
    joints = len(limb.joints)
    for moved in range(joints + 1):
        second = sighting(limb, confidence=0.6, moved=moved)
        held = looks_doubtful(sighting(limb), second) is Reason.LIMB_DOUBTFUL
        assert held == (2 * (joints - moved) < joints)


def joint(grade, reason=None):
    return JointScore(
        erosion=grade,
        erosion_expected=None if grade is None else float(grade),
        erosion_reason=None if reason is None else str(reason),
        narrowing=grade,
        narrowing_expected=None if grade is None else float(grade),
        narrowing_reason=None if reason is None else str(reason),
    )


REASONS = [reason for reason in NullReason if reason is not NullReason.NOT_IN_SVH]


@given(st.lists(st.sampled_from([None, *REASONS]), min_size=6, max_size=10))
def test_a_limb_is_held_where_doubt_leaves_fewer_than_half_of_its_grades(reasons):
    joints = [joint(1 if reason is None else None, reason) for reason in reasons]
    graded, doubtful = reasons.count(None), sum(reason in DOUBTS for reason in reasons)
    few = graded < len(joints) / 2
    because_of_doubt = graded + doubtful >= len(joints) / 2
    assert (grades_doubtful(joints) is Reason.GRADES_DOUBTFUL) == (few and because_of_doubt)


def test_resolution_alone_holds_nothing():
    small = [joint(None, NullReason.LOW_RESOLUTION)] * 6
    assert grades_doubtful(small) is None


@given(st.lists(st.sampled_from([None, *REASONS]), min_size=1, max_size=10))
def test_what_is_withheld_has_no_grade_and_a_reason(reasons):
    joints = withheld(
        [joint(3 if reason is None else None, reason) for reason in reasons], NullReason.HELD
    )
    assert all(one.erosion is None and one.narrowing is None for one in joints)
    assert all(one.erosion_expected is None and one.narrowing_expected is None for one in joints)
    assert [one.erosion_reason for one in joints] == [str(why or "held") for why in reasons]
    assert [one.narrowing_reason for one in joints] == [str(why or "held") for why in reasons]


def test_a_person_has_looked_where_any_word_is_the_operators():
    assert not is_released(StatedIdentity(Limb.HAND, LateralitySource.FILENAME))
    assert is_released(StatedIdentity(Limb.HAND, LateralitySource.OPERATOR))
    assert is_released(
        StatedIdentity(laterality=Laterality.LEFT, laterality_source=LateralitySource.OPERATOR)
    )


@pytest.mark.parametrize("steps", [2, 17, 31, 33, 64, 256])
def test_levels_are_counted_among_the_joints_only(steps):
    y, x = np.mgrid[:1200, :1200]
    noise = (x * 7 + y * 13) % 256
    film = (noise * steps // 256 * 255 // steps).astype(np.uint8)
    film[:20] = np.arange(1200) % 256  # a grey wedge at the edge is no limb
    held = few_grey_levels(film, sighting(Limb.HAND)) is Reason.FEW_GREY_LEVELS
    assert held == (steps < 32)


def limb_of(scorer, patient, operator=None):
    done, data = cv2.imencode(".png", patient["LH"].film.pixels)
    assert done
    return scorer.score(data.tobytes(), "P1-LH.png", operator).limbs[0].result


CHEST = Path(__file__).parents[4] / "shared" / "data" / "dicom" / "wg04" / "RG1_J2KI.dcm"


@pytest.mark.skipif(not CHEST.exists(), reason=f"no {CHEST}")
@pytest.mark.parametrize("tagged", [True, False])
def test_a_real_chest_film_under_a_foots_name_is_held(scorer, tagged):
    data = CHEST.read_bytes()
    if not tagged:
        tags = pydicom.dcmread(BytesIO(data))
        del tags.BodyPartExamined, tags.StudyDescription
        out = BytesIO()
        tags.save_as(out)
        data = out.getvalue()
    result = scorer.score(data, "X-RF.dcm").limbs[0].result
    reason = Reason.OTHER_BODY_PART if tagged else Reason.LIMB_DOUBTFUL
    assert (result.status, result.reason) == (Status.HELD, reason)
    assert ("BodyPartExamined CHEST" in result.flags) == tagged


RELEASED = OperatorStatement(Limb.HAND, Laterality.LEFT)


def test_a_film_whose_second_look_sees_nothing_is_held_without_grades(scorer, patient, monkeypatch):
    monkeypatch.setattr("edge.pipeline.limb.second_look", lambda *_: None)
    result = limb_of(scorer, patient)
    assert (result.status, result.reason) == (Status.HELD, Reason.LIMB_DOUBTFUL)
    assert result.n_scored == 0
    assert "second_look_weaker" in result.flags
    assert limb_of(scorer, patient, RELEASED).status is Status.SCORED


def test_a_film_of_doubtful_grades_is_held_without_grades(scorer, patient, monkeypatch):
    monkeypatch.setattr("edge.pipeline.joints.doubt", lambda _: 1.0)
    result = limb_of(scorer, patient)
    assert (result.status, result.reason) == (Status.HELD, Reason.GRADES_DOUBTFUL)
    assert result.subtotals is None
    assert all(one.erosion is None and one.narrowing is None for one in result.joints)
    assert limb_of(scorer, patient, RELEASED).status is Status.NOT_GRADED
