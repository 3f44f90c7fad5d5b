"""What a picture shows: a film that stays unmasked, and nothing written on one that leaves."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from edge.model import Mask
from edge.pipeline.frame import warp
from edge.pipeline.picture.view import film_view, framed_view, limb_region, masked_view

SIDES = ("LH", "RH", "LF", "RF")
CANVAS = (1200, 1500)
SEEN = 60
"""Grey level from which a stroke is seen on black."""
NAMES = (
    "MUSTERMANN ERIKA", "Smith, John", "O. NAKAMURA 1961", "Ng Li", "PAT 004512",
    "DOE JANE F 12.03.1958",
)  # fmt: skip


def png(pixels):
    ok, data = cv2.imencode(".png", pixels)
    assert ok
    return data.tobytes()


@pytest.fixture(scope="module")
def drawings(scorer, patient):
    """The four films of a patient, each with what its pictures are drawn from."""
    found = {}
    for side in SIDES:
        outcome = scorer.score(png(patient[side].film.pixels), f"P0001-{side}.png")
        found[side] = outcome.limbs[0].drawing
    return found


def burn_in(pixels, limb, rng):
    """Write one to three names beside the limb, some of them close to it; the film and the ink."""
    height, width = pixels.shape
    ink = np.zeros_like(pixels)
    written = 0
    for _ in range(300):
        one = np.zeros_like(pixels)
        scale = rng.uniform(0.6, 2.2) * height / 2000
        thickness = max(1, round(rng.uniform(1, 7) * height / 2000))
        at = (int(rng.uniform(0, 0.8 * width)), int(rng.uniform(0.03, 0.97) * height))
        face = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX)[rng.integers(2)]
        cv2.putText(
            one, NAMES[rng.integers(len(NAMES))], at, face, scale, 255, thickness, cv2.LINE_AA
        )
        on = one > 128
        if on.sum() < 150 or (on & limb).any():
            continue
        ink = np.maximum(ink, one)
        written += 1
        if written == rng.integers(1, 4):
            break
    level = (255, 230, 200)[rng.integers(3)]
    burned = np.maximum(pixels, (ink * (level / 255)).astype(np.uint8))
    assert written
    return burned, ink


def visible_share(shown, ink):
    """Share of the strokes of names that can be seen in a picture, of all in its field."""
    height, width = shown.picture.shape[:2]
    mapped = cv2.warpAffine(ink, shown.to_picture[:2], (width, height)) > 128
    return np.count_nonzero(mapped & (shown.picture[..., 0] > SEEN)) / max(1, mapped.sum())


@pytest.mark.parametrize("number", range(200))
def test_no_name_on_200_films_is_readable_in_a_picture_that_is_sent(drawings, patient, number):
    side = SIDES[number % 4]
    drawing, result = drawings[side], drawings[side].analysis.result
    rng = np.random.default_rng(number)
    burned, ink = burn_in(drawing.film.pixels, patient[side].film.mask, rng)
    plain = warp(burned, drawing.analysis.to_canvas, CANVAS)
    film, mask = replace(drawing.film, pixels=burned), drawing.analysis.mask
    assert visible_share(framed_view(film, result, plain, mask, 1200), ink) < 0.03
    assert visible_share(masked_view(result, plain, plain, mask, 1200), ink) < 0.03


@pytest.mark.parametrize("side", SIDES)
def test_nor_when_the_network_made_its_mask_of_the_film_with_the_names(scorer, patient, side):
    truth = patient[side].film
    burned, ink = burn_in(truth.pixels, truth.mask, np.random.default_rng(4))
    drawing = scorer.score(png(burned), f"P0001-{side}.png").limbs[0].drawing
    it = drawing.analysis
    framed = framed_view(drawing.film, it.result, it.plain, it.mask, 1200)
    assert visible_share(framed, ink) < 0.03
    assert visible_share(masked_view(it.result, it.plain, it.plain, it.mask, 1200), ink) < 0.03


def without_writing(drawing, limb):
    """The film with nothing but ground round the limb."""
    near = cv2.dilate(limb.astype(np.uint8), np.ones((61, 61), np.uint8)) > 0
    return np.where(near, drawing.film.pixels, 12).astype(np.uint8)


def test_a_framed_picture_keeps_one_marker_beside_the_frame(drawings, patient):
    drawing, limb = drawings["LH"], patient["LH"].film.mask
    pixels = without_writing(drawing, limb)
    height, width = pixels.shape
    free = cv2.distanceTransform((~limb).astype(np.uint8), cv2.DIST_L2, 5)
    free[: height // 4] = free[-height // 8 :] = 0
    free[:, : width // 10] = free[:, -width // 8 :] = 0
    y, x = np.unravel_index(free.argmax(), free.shape)
    ink = np.zeros_like(pixels)
    cv2.putText(ink, "L", (int(x), int(y)), cv2.FONT_HERSHEY_SIMPLEX, 1.5, 255, 5, cv2.LINE_AA)
    film = replace(drawing.film, pixels=np.maximum(pixels, ink))
    it = drawing.analysis
    plain = warp(film.pixels, it.to_canvas, CANVAS)
    shown = framed_view(film, it.result, plain, it.mask, 1200)
    assert visible_share(shown, ink) > 0.9


def test_a_framed_picture_has_the_grey_levels_of_the_film(drawings):
    drawing = drawings["RH"]
    it = drawing.analysis
    shown = framed_view(drawing.film, it.result, it.plain, it.mask, 1500)
    middle = np.array(it.result.joints[7].centre)
    x, y = (shown.to_picture[:2, :2] @ middle + shown.to_picture[:2, 2]).round().astype(int)
    stored_x, stored_y = middle.round().astype(int)
    seen = shown.picture[y - 3 : y + 4, x - 3 : x + 4, 0].mean()
    film = drawing.film.pixels[stored_y - 3 : stored_y + 4, stored_x - 3 : stored_x + 4].mean()
    assert abs(seen - film) < 6


@pytest.mark.parametrize("side", SIDES)
def test_a_film_that_stays_shows_what_is_written_beside_the_limb(drawings, patient, side):
    drawing = drawings[side]
    film = drawing.film
    ink = np.zeros_like(film.pixels)
    height, width = ink.shape
    cv2.putText(ink, "R", (width // 12, height // 2), cv2.FONT_HERSHEY_SIMPLEX, 2, 255, 6)
    ink[patient[side].film.mask] = 0
    burned = replace(film, pixels=np.maximum(film.pixels, ink))
    shown = film_view(burned, drawing.analysis.result, CANVAS, 1500)
    assert max(shown.picture.shape[:2]) == 1500
    assert visible_share(shown, ink) > 0.95


def test_where_the_mask_was_not_accepted_only_the_joints_hull_is_shown():
    """A mask that lets everything through must not show what is written at the film's edge."""
    plain = np.full((1500, 1200), 90, np.uint8)
    everything = Mask(np.ones(plain.shape, np.bool_), ("mask_implausible",))
    joints = np.array([(400.0, 600.0), (800.0, 600.0), (600.0, 1000.0)])
    shown = limb_region(plain, everything, joints)
    assert shown[int(600 * 0.5), int(600 * 0.5)]
    assert not shown[:100].any()
    assert not shown[:, :80].any()
    assert not limb_region(plain, everything, np.zeros((0, 2))).any()
