"""What may be a letter is found and cut out the same, whatever its size and polarity."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawn_markers import plain_film, with_text
from hypothesis import given
from hypothesis import strategies as st

from edge.pipeline.marker.candidates import CROP_PX, MOST, crop_candidates, find_candidates

PLACE = (300.0, 250.0)
film_shapes = st.tuples(st.integers(1, 90), st.integers(1, 90))


def at_place(candidates):
    return [
        one
        for one in candidates
        if max(abs(one.centre[0] - PLACE[0]), abs(one.centre[1] - PLACE[1])) < 8
    ]


@pytest.mark.parametrize("height_px", [14, 30, 70])
@pytest.mark.parametrize("dark", [False, True])
def test_a_letter_is_one_candidate_as_large_as_itself(height_px, dark):
    film = with_text(plain_film((800, 640)), "R", PLACE, height_px)
    found = at_place(find_candidates(np.subtract(255, film) if dark else film))
    (letter,) = [one for one in found if one.dark is dark and one.side > 0.7 * height_px]
    assert letter.side == pytest.approx(height_px, rel=0.25)


def test_a_letter_is_bright_in_its_crops_whatever_the_films_polarity():
    film = with_text(plain_film((800, 640)), "L", PLACE, 40)
    crops = []
    for picture in (film, np.subtract(255, film)):
        (letter,) = [one for one in at_place(find_candidates(picture)) if one.side > 30]
        crops.append(crop_candidates(picture, [letter])[0])
    assert crops[0].shape == (2, CROP_PX, CROP_PX)
    assert np.abs(crops[0] - crops[1]).mean() < 0.02
    corner = crops[0][0, :6, -6:]
    assert corner.max() < 0.3
    assert crops[0][0].max() > 0.9


def test_nothing_is_found_at_the_edge_or_in_what_is_too_large():
    film = plain_film((800, 640))
    cv2.rectangle(film, (0, 300), (25, 340), 235, -1)
    cv2.rectangle(film, (300, 300), (480, 560), 235, 8)
    found = find_candidates(film)
    assert not [one for one in found if one.x == 0 or one.side > 120]


@given(film_shapes, st.integers(0, 2**32 - 1))
def test_any_film_gives_boxes_inside_it_and_crops_in_range(shape, seed):
    rng = np.random.default_rng(seed)
    film = np.asarray(rng.integers(0, 256, shape), np.uint8)
    film = cv2.resize(film, None, fx=4, fy=4)
    found = find_candidates(film)
    assert len(found) <= MOST
    for one in found:
        assert one.x > 0
        assert one.y > 0
        assert one.x + one.width < film.shape[1]
        assert one.y + one.height < film.shape[0]
    crops = crop_candidates(film, found)
    assert crops.shape == (len(found), 2, CROP_PX, CROP_PX)
    assert np.isfinite(crops).all()
    assert crops.min(initial=0) >= 0
    assert crops.max(initial=1) <= 1
