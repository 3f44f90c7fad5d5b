"""Letters on films are read, whatever their turn; what is no marker is not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawn_markers import plain_film, with_text

from edge.model import Laterality
from edge.pipeline.marker.read import read_markers

PLACE = (300.0, 260.0)
SIDES = {"R": Laterality.RIGHT, "L": Laterality.LEFT}


def off_deg(one, other):
    return abs((one - other + 180) % 360 - 180)


@pytest.mark.parametrize("text", ["R", "L"])
@pytest.mark.parametrize("turn_deg", [0, 90, 180, 270, 25, -150])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_letter_is_read_in_any_turn(text, turn_deg, mirrored):
    film = with_text(plain_film(), text, PLACE, turn_deg=turn_deg)
    if mirrored:
        film = np.ascontiguousarray(film[:, ::-1])
    (marker,) = read_markers(film)
    assert (marker.side, marker.mirrored) == (SIDES[text], mirrored)
    assert off_deg(marker.turn_deg, -turn_deg if mirrored else turn_deg) < 15
    x = film.shape[1] - PLACE[0] if mirrored else PLACE[0]
    assert np.hypot(marker.centre[0] - x, marker.centre[1] - PLACE[1]) < 10


@pytest.mark.parametrize("height_px", [28, 48, 80])
@pytest.mark.parametrize("below", ["", "HAND", "JS 23"])
def test_size_and_what_stands_below_do_not_matter(height_px, below):
    film = with_text(plain_film(), "R", PLACE, height_px, below=below)
    assert [marker.words for marker in read_markers(film)] == ["R"]


def test_a_film_of_other_polarity_and_size_reads_the_same():
    film = with_text(plain_film(), "R", PLACE, below="FOOT")
    large = cv2.resize(film, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    for picture in (np.subtract(255, film), large, film[:500, :440]):
        assert [marker.words for marker in read_markers(np.ascontiguousarray(picture))] == ["R"]


def test_a_hole_in_a_bright_plate_is_read():
    film = plain_film()
    film[200:320, 220:380] = 240
    film = with_text(film, "R", PLACE, 50, level=40)
    assert [marker.words for marker in read_markers(film)] == ["R"]


@pytest.mark.parametrize(
    "text",
    ["RT", "LT", "LEFT", "RIGHT", "PORTABLE", "LR", "L1", "RRL", "K", "B", "P", "A", "E", "F", "7",
     "1", "T", "Y", "V", "C", "I", "Z", "4"],
)  # fmt: skip
@pytest.mark.parametrize("turn_deg", [0, 180])
def test_words_and_other_letters_are_no_markers(text, turn_deg):
    assert read_markers(with_text(plain_film(), text, PLACE, turn_deg=turn_deg)) == ()


@pytest.mark.parametrize("thick_px", [4, 10, 16])
@pytest.mark.parametrize("turn_deg", [0, 90, 180, 270])
def test_corner_brackets_are_no_markers(thick_px, turn_deg):
    film = plain_film()
    corner = np.array([(280, 240), (280, 290), (330, 290)], np.int32)
    cv2.polylines(film, [corner], False, 235, thick_px)
    turned = np.ascontiguousarray(np.rot90(film, turn_deg // 90))
    assert read_markers(turned) == ()


def test_a_letter_that_the_edge_cuts_is_not_read():
    film = with_text(plain_film(), "R", (300.0, 20.0), 60)
    assert read_markers(np.ascontiguousarray(film[14:])) == ()


@pytest.mark.parametrize("shape", [(64, 64), (1, 900), (3000, 20)])
def test_a_film_of_any_shape_can_be_read(shape):
    assert read_markers(np.zeros(shape, np.uint8)) == ()
    noise = np.random.default_rng(1).integers(0, 256, shape)
    assert read_markers(np.asarray(noise, np.uint8)) == ()
