from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawn_markers import without_letters

from edge.anatomy import Limb, has_narrowing, joint_class, shape_template
from edge.errors import Reason
from edge.imaging.decode import decode_film
from edge.model import Detection, Laterality, LateralitySource, Status
from edge.pipeline.detect import detect
from edge.pipeline.find import FirstLook, name_detections
from edge.pipeline.settings import PipelineSettings
from edge.scoring.film_scorer import UNDISPUTED, FilmScorer, OperatorStatement

SIDES = ["LH", "RH", "LF", "RF"]


def png(pixels):
    ok, data = cv2.imencode(".png", pixels)
    assert ok
    return data.tobytes()


def only(outcome):
    assert len(outcome.limbs) == 1
    return outcome.limbs[0].result


def reach_px(truth):
    return truth.unit_px * (0.2 if truth.limb is Limb.HAND else 0.1)


@pytest.mark.parametrize("side", SIDES)
def test_every_joint_of_a_simulated_film_is_found_named_and_scored(undoubting, patient, side):
    truth = patient[side].film
    outcome = undoubting.score(png(truth.pixels), f"X1-{side}.png")
    result = only(outcome)
    assert result.status is Status.SCORED
    assert (result.limb, result.laterality) == (truth.limb, truth.laterality)
    assert result.laterality_source is LateralitySource.FILENAME
    found = {joint.name: joint for joint in result.joints}
    for joint in truth.joints:
        assert joint.name in found
        off = np.hypot(*np.subtract(found[joint.name].centre, joint.centre))
        assert off <= reach_px(truth)
        assert found[joint.name].erosion is not None
        graded = found[joint.name].narrowing is not None
        assert graded == has_narrowing(truth.limb, joint.name)
    assert result.n_scored == result.n_expected == len(truth.limb.joints)
    assert result.subtotals is not None
    assert result.subtotals.erosion.n_scored == len(truth.limb.joints)
    assert set(outcome.stage_ms) >= {"decode", "find", "frame", "mask", "detect", "score"}


def test_transform_lays_the_film_on_the_canvas(scorer, patient):
    result = only(scorer.score(png(patient["RH"].film.pixels), "X1-RH.png"))
    matrix = np.array(result.transform)
    for joint in result.joints:
        x, y, _ = matrix @ (*joint.centre, 1.0)
        assert 0 < x < 1200
        assert 0 < y < 1500


def test_turned_film_gives_the_same_joints_in_its_own_pixels(scorer, patient):
    pixels = patient["LH"].film.pixels
    upright = only(scorer.score(png(pixels), "X1-LH.png"))
    turned = only(scorer.score(png(np.rot90(pixels, 2)), "X1-LH.png"))
    assert turned.status is Status.SCORED
    height, width = pixels.shape
    for one, other in zip(upright.joints, turned.joints, strict=True):
        assert one.name == other.name
        mapped = (width - 1 - other.centre[0], height - 1 - other.centre[1])
        assert np.hypot(*np.subtract(one.centre, mapped)) <= reach_px(patient["LH"].film)


def test_mask_comes_back_in_film_pixels(scorer, patient):
    truth = patient["RF"].film
    outcome = scorer.score(png(truth.pixels), "X1-RF.png")
    mask = cv2.imdecode(np.frombuffer(outcome.limbs[0].mask_png, np.uint8), 0)
    assert mask.shape == truth.pixels.shape
    centres = [joint.centre for joint in truth.joints]
    assert all(mask[round(y), round(x)] > 127 for x, y in centres)


def test_mirrored_film_with_a_stated_side_is_held_without_scores(scorer, patient):
    mirrored = patient["LH"].film.pixels[:, ::-1]
    result = only(scorer.score(png(mirrored), "X1-LH.png"))
    assert (result.status, result.reason) == (Status.HELD, Reason.SIDE_CONFLICT)
    assert result.laterality is Laterality.LEFT
    assert "filename L, geometry R" in result.flags
    assert [joint.name for joint in result.joints] == list(Limb.HAND.joints)
    assert all(joint.erosion is None and joint.erosion_reason == "held" for joint in result.joints)
    assert result.subtotals is None


def test_side_that_nobody_states_is_held(scorer, patient):
    result = only(scorer.score(png(without_letters(patient["RF"].film)), "scan17.png"))
    assert (result.status, result.reason) == (Status.HELD, Reason.SIDE_NOT_KNOWN)
    assert result.laterality_source is LateralitySource.GEOMETRY
    assert result.laterality is Laterality.RIGHT


def test_site_may_accept_the_side_from_geometry(engines, patient):
    scorer = FilmScorer(engines, PipelineSettings(accept_side_from_geometry=True))
    result = only(scorer.score(png(patient["RF"].film.pixels), "scan17.png"))
    assert result.status is Status.SCORED
    assert result.laterality is Laterality.RIGHT


def test_operators_word_is_final(scorer, patient):
    mirrored = patient["LH"].film.pixels[:, ::-1]
    word = OperatorStatement(Limb.HAND, Laterality.LEFT)
    result = only(scorer.score(png(mirrored), "X1-LH.png", word))
    assert result.status is Status.SCORED
    assert result.laterality_source is LateralitySource.OPERATOR
    assert "operator_against_geometry" in result.flags


def test_hand_under_a_foots_name_is_held(scorer, patient):
    result = only(scorer.score(png(patient["LH"].film.pixels), "X1-LF.png"))
    assert (result.status, result.reason) == (Status.HELD, Reason.LIMB_CONFLICT)


def test_film_without_a_limb_is_rejected(scorer):
    noise = np.random.default_rng(1).integers(0, 256, (800, 600)).astype(np.uint8)
    result = only(scorer.score(png(cv2.GaussianBlur(noise, (0, 0), 3)), "X1-LH.png"))
    assert (result.status, result.reason) == (Status.REJECTED, Reason.NOT_HAND_OR_FOOT)


def test_bad_bytes_become_a_rejected_result_not_an_error(scorer):
    result = only(scorer.score(b"no film", "X1-LH.jpg"))
    assert (result.status, result.reason) == (Status.REJECTED, Reason.NOT_AN_IMAGE)
    assert result.advice


def test_small_joints_are_shown_but_not_scored(scorer, patient):
    truth = patient["RH"].film
    zoom = 70 / truth.unit_px
    small = cv2.resize(truth.pixels, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    result = only(scorer.score(png(small), "X1-RH.png"))
    assert (result.status, result.reason) == (Status.NOT_GRADED, "low_resolution")
    assert result.n_scored == 0
    assert result.subtotals is None
    assert {joint.erosion_reason for joint in result.joints} == {"low_resolution"}
    assert all(joint.box is not None for joint in result.joints)


def test_middling_resolution_is_flagged(undoubting, patient):
    truth = patient["RH"].film
    zoom = 128 / truth.unit_px
    small = cv2.resize(truth.pixels, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    result = only(undoubting.score(png(small), "X1-RH.png"))
    assert result.n_scored == 10
    assert all("low_resolution" in joint.flags for joint in result.joints)


def test_two_hands_on_one_film_become_two_limbs_or_are_held(scorer, patient):
    left, right = (
        cv2.resize(film.pixels, None, fx=200 / film.unit_px, fy=200 / film.unit_px)
        for film in (patient["LH"].film, patient["RH"].film)
    )
    height = max(left.shape[0], right.shape[0])
    sheets = [np.pad(film, ((0, height - film.shape[0]), (40, 40))) for film in (left, right)]
    outcome = scorer.score(png(np.hstack(sheets)), "X1.png")
    results = [limb.result for limb in outcome.limbs]
    if len(results) == 2:
        assert {result.laterality for result in results} == set(Laterality)
        assert [result.limb_index for result in results] == [0, 1]
    else:
        assert results[0].reason == Reason.TWO_LIMBS


def looked_for(engines, monkeypatch, pixels, name):
    """Limbs whose detector looked at a film while it was searched, and the film's result."""
    limbs = []

    def look(engine, limb, *rest):
        limbs.append(limb)
        return detect(engine, limb, *rest)

    scorer = FilmScorer(engines, PipelineSettings())
    monkeypatch.setattr("edge.pipeline.find.detect", look)
    film = decode_film(png(pixels), name, 80)
    sightings, verdict = scorer._find(film)
    return limbs, sightings[0].limb, verdict


@pytest.mark.parametrize("side", ["LH", "RF"])
def test_the_stated_limb_seen_clearly_is_the_only_one_looked_for(
    engines, patient, monkeypatch, side
):
    truth = patient[side].film
    limbs, found, verdict = looked_for(engines, monkeypatch, truth.pixels, f"X1-{side}.png")
    assert limbs == [truth.limb]
    assert (found, verdict) == (truth.limb, None)


@pytest.mark.parametrize(
    ("side", "name", "reason"),
    [
        ("LH", "X1-LF.png", Reason.LIMB_CONFLICT),
        ("RF", "X1-RH.png", Reason.LIMB_CONFLICT),
        ("RF", "scan17.png", None),
    ],
)
def test_each_detector_looks_once_where_the_second_one_settles_it(
    engines, patient, monkeypatch, side, name, reason
):
    truth = patient[side].film
    limbs, found, verdict = looked_for(engines, monkeypatch, truth.pixels, name)
    other = Limb.FOOT if truth.limb is Limb.HAND else Limb.HAND
    assert limbs == [other, truth.limb]
    assert (found, verdict) == (truth.limb, reason)


def disputed(scorer, truth, monkeypatch, name="X1.png", operator=None):
    """Result of a film that its own limb's detector saw less clearly than the other's."""
    places = {joint.name: joint.box for joint in truth.joints}
    other = Limb.FOOT if truth.limb is Limb.HAND else Limb.HAND
    own = [Detection(joint_class(name), 0.6, places[name]) for name in truth.limb.joints]
    elsewhere = shape_template(other).mean * truth.unit_px / 2 + 500
    strange = [
        Detection(joint_class(name), 0.65, (x - 20, y - 20, 40, 40))
        for name, (x, y) in zip(other.joints, elsewhere, strict=True)
    ]
    looks = {
        truth.limb: FirstLook((name_detections(truth.limb, own),)),
        other: FirstLook((name_detections(other, strange),)),
    }
    assert UNDISPUTED > looks[other].merit > looks[truth.limb].merit
    for look in ("glance", "first_look"):
        monkeypatch.setattr(
            f"edge.scoring.film_scorer.{look}", lambda _engine, limb, *_, **__: looks[limb]
        )
    monkeypatch.setattr("edge.scoring.film_scorer.FIRST_LOOK_SIDE_PX", 10_000)
    return only(scorer.score(png(truth.pixels), name, operator))


def test_disputed_limb_is_settled_on_the_framed_picture(scorer, patient, monkeypatch):
    """Knuckles alone look like toes: from afar the foot's detector is the surer one."""
    assert disputed(scorer, patient["LH"].film, monkeypatch).limb is Limb.HAND


def test_foot_that_may_be_a_childs_hand_is_held_until_a_person_says_so(
    scorer, patient, monkeypatch
):
    truth = patient["RF"].film
    result = disputed(scorer, truth, monkeypatch, "X1-RF.png")
    assert (result.limb, result.reason) == (Limb.FOOT, Reason.SHAPE_IMPLAUSIBLE)
    word = OperatorStatement(limb=Limb.FOOT, laterality=Laterality.RIGHT)
    assert disputed(scorer, truth, monkeypatch, operator=word).status is Status.SCORED


def test_scored_film_says_what_it_was_like_and_a_held_one_does_not(scorer, patient):
    truth = patient["RF"].film
    (scored,) = scorer.score(png(truth.pixels), "X1-RF.png").limbs
    assert scored.figures["unit_px"] == pytest.approx(truth.unit_px, rel=0.1)
    assert 0 <= scored.figures["left_out"] < 0.5
    assert 0 < scored.figures["mean"] < 255
    (held,) = scorer.score(png(without_letters(truth)), "X1.png").limbs
    assert held.figures == {}
