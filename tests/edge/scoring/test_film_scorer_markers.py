"""A film whose side nobody states: its marker decides where the joints agree, else it is held."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawn_markers import marked, without_letters

from edge.errors import Reason
from edge.model import Laterality, LateralitySource, OperatorStatement, Status
from edge.pipeline.marker import read
from edge.pipeline.settings import PipelineSettings
from edge.scoring import film_scorer
from edge.scoring.film_scorer import FilmScorer

SIDES = {"LH": "L", "RH": "R", "LF": "L", "RF": "R"}
OTHER = {"L": "R", "R": "L"}


def png(pixels):
    ok, data = cv2.imencode(".png", np.ascontiguousarray(pixels))
    assert ok
    return data.tobytes()


@pytest.fixture(scope="module")
def bare(patient):
    """Films by LH RH LF RF on which every letter is painted over."""
    return {name: without_letters(film.film) for name, film in patient.items()}


def only(outcome):
    assert len(outcome.limbs) == 1
    return outcome.limbs[0].result


@pytest.mark.parametrize("name", SIDES)
def test_letter_and_joints_that_agree_give_side_and_grades(scorer, bare, name):
    film = marked(bare[name], SIDES[name])
    result = only(scorer.score(png(film), "scan17.png"))
    assert (result.laterality, result.laterality_source) == (SIDES[name], LateralitySource.MARKER)
    named = only(scorer.score(png(film), f"X1-{name}.png"))
    assert result.status is named.status is Status.SCORED
    assert result.joints == named.joints
    (flag,) = [flag for flag in result.flags if flag.startswith("marker ")]
    assert flag.startswith(f"marker {SIDES[name]} at ")


def test_a_film_turned_round_with_its_marker_is_read_the_same(scorer, bare):
    film = marked(bare["RH"], "R")
    result = only(scorer.score(png(np.rot90(film, 2)), "scan17.png"))
    assert (result.laterality, result.laterality_source) == ("R", LateralitySource.MARKER)


@pytest.mark.parametrize("name", ["LH", "RF"])
def test_a_film_turned_over_with_its_marker_is_held_as_mirrored(scorer, bare, name):
    film = marked(bare[name], SIDES[name])[:, ::-1]
    result = only(scorer.score(png(film), "scan17.png"))
    assert (result.status, result.reason) == (Status.HELD, Reason.MIRRORED_FILM)
    assert all(joint.erosion is None for joint in result.joints)
    assert any("mirrored" in flag for flag in result.flags)


@pytest.mark.parametrize("name", ["RH", "LF"])
def test_a_letter_that_the_joints_contradict_holds_the_film(scorer, bare, name):
    film = marked(bare[name], OTHER[SIDES[name]])
    result = only(scorer.score(png(film), "scan17.png"))
    assert (result.status, result.reason) == (Status.HELD, Reason.SIDE_CONFLICT)
    assert f"marker {OTHER[SIDES[name]]}, geometry {SIDES[name]}" in result.flags


@pytest.mark.parametrize("text", ["", "LEFT", "RT", "K", "PORTABLE"])
def test_a_film_that_shows_no_marker_is_held_as_before(scorer, bare, text):
    film = bare["LH"] if not text else marked(bare["LH"], text)
    result = only(scorer.score(png(film), "scan17.png"))
    assert (result.status, result.reason) == (Status.HELD, Reason.SIDE_NOT_KNOWN)


def test_a_site_may_switch_it_off(engines, bare):
    film = marked(bare["LH"], "L")
    off = FilmScorer(engines, PipelineSettings(read_markers=False))
    outcome = off.score(png(film), "scan17.png")
    assert only(outcome).reason == Reason.SIDE_NOT_KNOWN
    assert "marker" not in outcome.stage_ms


def test_no_marker_is_looked_for_where_the_side_is_stated(scorer, bare, monkeypatch):
    def never(*_):
        raise AssertionError

    monkeypatch.setattr(film_scorer, "read_markers", never)
    film = marked(bare["LH"], "R")
    assert only(scorer.score(png(film), "X1-LH.png")).status is Status.SCORED
    word = OperatorStatement(None, Laterality.LEFT)
    assert only(scorer.score(png(film), "scan17.png", word)).status is Status.SCORED
    assert read.read_markers is not never


def test_the_picture_shows_the_marker(scorer, bare):
    film = marked(bare["LH"], "L")
    limb = scorer.score(png(film), "scan17.png").limbs[0]
    silent = limb.drawing.analysis.result.model_copy(update={"flags": ()})
    (flag,) = [flag for flag in limb.result.flags if flag.startswith("marker ")]
    x, y, width, height = map(int, flag.rpartition(" at ")[2].split())
    with_box = cv2.imdecode(np.frombuffer(limb.drawing.transparent(), np.uint8), -1)
    around = with_box[y - height : y + 2 * height, x - width : x + 2 * width, 3]
    assert around.any()
    assert silent.flags == ()
