"""A side marker of one or two letters is found; a name is not taken for one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.pipeline.picture.marker import find_marker

SIZE = (1000, 800)


def film():
    """A dark film with a bright limb in the middle; returns it and where the limb is."""
    picture = np.full(SIZE, 20, np.uint8)
    limb = np.zeros(SIZE, np.uint8)
    cv2.ellipse(limb, (400, 550), (170, 380), 0, 0, 360, 1, -1)
    picture[limb > 0] = 140
    return cv2.GaussianBlur(picture, (0, 0), 3), limb > 0


def write(picture, text, at, scale=1.6, level=235):
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, level, 5, cv2.LINE_AA)


@pytest.mark.parametrize("text", ["L", "R", "LH", "RF", "D", "K"])
def test_a_marker_is_found_whole(text):
    picture, limb = film()
    clean = picture.copy()
    write(picture, text, (40, 120))
    found = find_marker(picture, limb)
    assert found is not None
    ys, xs = np.nonzero(picture != clean)
    assert found.left <= xs.min() + 2
    assert found.top <= ys.min() + 2
    assert found.right >= xs.max() - 2
    assert found.bottom >= ys.max() - 2


@pytest.mark.parametrize("text", ["DOE", "J DOE", "MUSTERMANN", "NG LI", "12.03.58", "R HAND"])
def test_a_name_is_no_marker(text):
    picture, limb = film()
    write(picture, text, (20, 120), 1.0)
    assert find_marker(picture, limb) is None


def test_a_marker_beside_a_name_is_no_marker():
    picture, limb = film()
    write(picture, "R", (40, 120))
    write(picture, "MUSTER", (20, 180), 0.9)
    assert find_marker(picture, limb) is None


def test_of_two_markers_none_is_shown():
    """Letters that are set widely may be a name's."""
    picture, limb = film()
    write(picture, "R", (40, 120))
    write(picture, "K", (700, 900))
    assert find_marker(picture, limb) is None


def test_what_touches_the_limb_is_no_marker():
    picture, limb = film()
    write(picture, "R", (225, 560))
    assert find_marker(picture, limb) is None


def test_what_lies_at_the_edge_is_no_marker():
    """There collimators end in stripes that look like letters."""
    picture, limb = film()
    apart = picture.copy()
    write(picture, "R", (0, 120))
    write(apart, "R", (40, 120))
    assert find_marker(apart, limb) is not None
    assert find_marker(picture, limb) is None


def test_a_film_without_writing_has_no_marker():
    assert find_marker(*film()) is None
