"""The labelled picture as a whole: joints where they are, words below, sizes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from limb_results import FILM, a_result

from edge.anatomy import Limb
from edge.model import JointSpace, Radiograph, StatedIdentity, Status
from edge.pipeline.overlay import (
    SCREEN,
    THUMBNAIL,
    draw_film,
    draw_transparent,
    side_by_side,
)
from edge.pipeline.picture.colours import NOT_GRADED, STEPS
from edge.pipeline.picture.words import Caption

CANVAS = (1200, 1500)


def a_film(level=70, size=FILM):
    width, height = size
    pixels = np.full((height, width), level, np.uint8)
    return Radiograph(pixels, size, np.eye(3), StatedIdentity())


def shows(picture, colour):
    """Whether any pixel of a picture has this colour (red, green, blue)."""
    return bool((picture == colour[::-1]).all(axis=2).any())


def test_joints_have_the_colour_of_their_grades():
    grades = {"MCP2": {"erosion": 5}, "PIP3": {"erosion": None, "narrowing": None,
              "erosion_reason": "occluded", "narrowing_reason": "occluded"}}  # fmt: skip
    picture = draw_film(a_film(), a_result(grades=grades), CANVAS)
    upper = picture[: len(picture) // 2]
    assert all(shows(upper, colour) for colour in (STEPS[5], NOT_GRADED, STEPS[3]))
    assert not shows(upper, STEPS[4])


def test_sizes_are_those_asked_for():
    film, result = a_film(), a_result()
    screen = draw_film(film, result, CANVAS)
    small = draw_film(film, result, CANVAS, size=THUMBNAIL)
    assert screen.shape[0] > SCREEN.film_px
    assert THUMBNAIL.film_px < small.shape[0] < 420
    assert small.shape[1] < 420


@pytest.mark.parametrize("size", [SCREEN, THUMBNAIL])
def test_the_words_lie_below_the_film_and_not_on_it(size):
    """The strip grows with what it has to say; the film above it stays the same."""
    film, result = a_film(), a_result()
    short = draw_film(film, result, CANVAS, Caption(), size)
    long = draw_film(film, result, CANVAS, Caption("x" * 80, "site/room/box", "now"), size)
    shared = min(short.shape[0], long.shape[0]) * 2 // 3
    assert np.array_equal(short[:shared], long[:shared])
    if size is SCREEN:
        assert long.shape[0] > short.shape[0]


def test_a_result_without_a_place_on_its_film_is_refused():
    rejected = a_result(status=Status.REJECTED, reason="corrupt", transform=None)
    with pytest.raises(ValueError, match="corrupt"):
        draw_film(a_film(), rejected, CANVAS)


@pytest.mark.parametrize("limb", Limb)
def test_labels_alone_are_drawn_at_the_film_s_own_size_over_nothing(limb):
    result = a_result(limb)
    picture = draw_transparent(result, a_film())
    assert picture.shape == (FILM[1], FILM[0], 4)
    drawn = picture[..., 3] > 0
    assert 0.005 < drawn.mean() < 0.25
    for joint in result.joints:
        x, y = (round(value) for value in joint.centre)
        assert not drawn[y - 3 : y + 4, x - 3 : x + 4].any()
        left, top, *_ = (round(value) for value in joint.box)
        assert drawn[top - 2 : top + 3, left - 2 : left + 3].any()
    # The notice lies in a corner of its own.
    assert drawn[-40:, :40].all()


def test_a_film_smaller_than_the_notice_still_has_its_labels():
    result = a_result(size=(160, 200))
    assert draw_transparent(result, a_film(size=(160, 200)))[..., 3].any()


def test_two_pictures_stand_beside_each_other_whatever_their_heights():
    left, right = np.full((50, 30, 3), 9, np.uint8), np.full((70, 40, 3), 99, np.uint8)
    both = side_by_side(left, right)
    assert both.shape[0] == 70
    assert np.array_equal(both[:50, :30], left)
    assert np.array_equal(both[:, -40:], right)


def test_a_turned_film_is_shown_upright():
    """The canvas turns it; what lies at the left edge of the film then lies at the top."""
    film = a_film(40)
    cv2.rectangle(film.pixels, (0, 800), (120, 1200), 250, -1)
    turned = [[0.0, -0.75, 1500.0], [0.75, 0.0, 0.0], [0.0, 0.0, 1.0]]
    picture = draw_film(film, a_result(transform=turned), (1500, 1200))
    rows = picture[..., 0].mean(axis=1)
    assert rows[:60].max() > rows[400:700].max()


def test_the_edges_of_joint_spaces_are_drawn_when_asked_for():
    edge = ((700.0, 900.0), (760.0, 900.0))
    space = JointSpace(mean_px=12.0, proximal_edge=edge, distal_edge=((700, 888), (760, 888)))
    result = a_result(grades={"MCP3": {"space": space}})
    film = a_film()
    plain = draw_film(film, result, (1200, 1500))
    with_lines = draw_film(film, result, (1200, 1500), space_lines=True)
    assert np.array_equal(plain, draw_film(film, a_result(), (1200, 1500)))
    changed = np.argwhere((plain != with_lines).any(axis=2))
    assert 0 < len(changed) < 400
    # A thin line: two rows and their blurred neighbours at most, for each edge.
    assert len(np.unique(changed[:, 0])) <= 6
