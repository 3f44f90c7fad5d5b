"""A film whose side nobody states: its marker decides where the joints agree, else it is held."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawn_markers import marked, without_letters

from edge.errors import Reason
from edge.model import Laterality, LateralitySource, OperatorStatement, PictureForm, Status
from edge.pipeline.marker.flag import shown_markers
from edge.pipeline.picture.words import Caption
from edge.pipeline.settings import PipelineSettings
from edge.scoring import film_scorer
from edge.scoring.film_scorer import FilmScorer


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


@pytest.fixture(scope="module")
def left_hand(scorer, bare):
    """A left hand with its L, and what becomes of it under a name that states nothing."""
    film = marked(bare["LH"], "L")
    return film, scorer.score(png(film), "scan17.png")


def test_letter_and_joints_that_agree_give_side_and_grades(scorer, left_hand):
    film, outcome = left_hand
    result = only(outcome)
    assert (result.laterality, result.laterality_source) == ("L", LateralitySource.MARKER)
    named = only(scorer.score(png(film), "X1-LH.png"))
    assert result.status is named.status is Status.SCORED
    assert result.joints == named.joints
    (flag,) = [flag for flag in result.flags if flag.startswith("marker ")]
    assert flag.startswith("marker L at ")


@pytest.mark.parametrize("name", ["RH", "RF"])
def test_a_film_turned_round_with_its_marker_is_read_the_same(scorer, bare, name):
    film = marked(bare[name], "R")
    result = only(scorer.score(png(np.rot90(film, 2)), "scan17.png"))
    assert (result.laterality, result.laterality_source) == ("R", LateralitySource.MARKER)


def test_a_film_turned_over_with_its_marker_is_held_as_mirrored(scorer, left_hand):
    result = only(scorer.score(png(left_hand[0][:, ::-1]), "scan17.png"))
    assert (result.status, result.reason) == (Status.HELD, Reason.MIRRORED_FILM)
    assert all(joint.erosion is None for joint in result.joints)
    assert "marker L mirrored, geometry R" in result.flags


def test_a_letter_that_the_joints_contradict_holds_the_film(scorer, bare):
    result = only(scorer.score(png(marked(bare["LF"], "R")), "scan17.png"))
    assert (result.status, result.reason) == (Status.HELD, Reason.SIDE_CONFLICT)
    assert "marker R, geometry L" in result.flags


def test_a_film_with_a_word_alone_is_held_as_before(scorer, bare):
    result = only(scorer.score(png(marked(bare["LH"], "LEFT")), "scan17.png"))
    assert (result.status, result.reason) == (Status.HELD, Reason.SIDE_NOT_KNOWN)


def test_a_site_may_switch_it_off(engines, left_hand):
    off = FilmScorer(engines, PipelineSettings(read_markers=False))
    outcome = off.score(png(left_hand[0]), "scan17.png")
    assert only(outcome).reason == Reason.SIDE_NOT_KNOWN
    assert "marker" in left_hand[1].stage_ms
    assert "marker" not in outcome.stage_ms


def test_no_marker_is_looked_for_where_the_side_is_stated(scorer, bare, monkeypatch):
    def never(*_):
        raise AssertionError

    monkeypatch.setattr(film_scorer, "read_markers", never)
    word = OperatorStatement(None, Laterality.LEFT)
    result = only(scorer.score(png(marked(bare["LH"], "R")), "scan17.png", word))
    assert (result.status, result.laterality) == (Status.SCORED, Laterality.LEFT)


def test_the_pictures_show_the_marker(left_hand):
    film, outcome = left_hand
    drawing = outcome.limbs[0].drawing
    (marker,) = shown_markers(outcome.limbs[0].result.flags)
    left, top, right, bottom = marker.box
    reach = bottom - top
    labels = cv2.imdecode(np.frombuffer(drawing.transparent(), np.uint8), -1)
    assert labels.shape[:2] == film.shape
    assert labels[top - reach : bottom + reach, left - reach : right + reach, 3].any()
    for picture in (drawing.sent(Caption(), PictureForm.MASKED), drawing.local(Caption())):
        assert picture is not None
