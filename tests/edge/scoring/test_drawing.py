"""Pictures as files: JPEG and PNG that a viewer opens."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
from limb_results import FILM, a_result

from edge.errors import FilmError
from edge.model import PictureForm, Status
from edge.pipeline.overlay import SCREEN, THUMBNAIL
from edge.pipeline.picture.colours import colour_of
from edge.pipeline.picture.words import Caption
from edge.scoring.drawing import beside, local_picture


def opened(data, flags=cv2.IMREAD_COLOR):
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags)


def png_of_a_film():
    ok, data = cv2.imencode(".png", np.full((FILM[1], FILM[0]), 60, np.uint8))
    assert ok
    return data.tobytes()


@pytest.fixture(scope="module")
def drawing(scorer, patient):
    ok, data = cv2.imencode(".png", patient["RF"].film.pixels)
    assert ok
    return scorer.score(data.tobytes(), "P1-RF.png").limbs[0].drawing


@pytest.mark.parametrize("form", PictureForm)
def test_a_picture_that_leaves_is_a_jpeg_of_either_form(drawing, form):
    picture = opened(drawing.sent(Caption("film-1.png"), form))
    assert picture.shape[0] > 1000


@pytest.mark.parametrize("form", PictureForm)
def test_a_picture_that_leaves_says_where_the_film_lies_in_it(drawing, form):
    """At the corner of each joint's box its bracket is found, in the colour of its grades."""
    data = drawing.sent(Caption("film-1.png"), form)
    text = re.search(rb"sharpedge placed ([-0-9.e+ ]+)", data[:500])[1]
    to_picture = np.array(text.split(), float).reshape(2, 3)
    result, picture = drawing.analysis.result, opened(data)
    zoom = np.sqrt(abs(np.linalg.det(to_picture[:, :2])))
    found = []
    for joint in result.joints:
        x, y = to_picture @ (*joint.centre, 1) - joint.box[2] * zoom / 2
        near = picture[round(y) : round(y) + 2, round(x) + 3 : round(x) + 9].reshape(-1, 3)
        colour = np.array(colour_of(joint, result.limb)[::-1], float)
        found.append(np.abs(near - colour).mean(axis=1).min())
    assert len(found) == 6
    assert max(found) < 40


def test_a_picture_that_stays_has_the_film_s_longer_side_on_screen(drawing):
    assert opened(drawing.local(Caption("P1-RF.png"))).shape[0] > SCREEN.film_px
    small = opened(drawing.local(Caption("P1-RF.png"), THUMBNAIL))
    assert max(small.shape) < 420


def test_labels_alone_are_a_transparent_png_of_the_film_s_size(drawing):
    picture = opened(drawing.transparent(), cv2.IMREAD_UNCHANGED)
    width, height = drawing.film.stored_size
    assert picture.shape == (height, width, 4)
    assert (picture[..., 3] == 0).mean() > 0.7


def test_a_film_and_its_result_suffice_for_a_picture(drawing):
    """As the page on the appliance draws: no engines, no mask."""
    result = drawing.analysis.result
    ok, data = cv2.imencode(".png", drawing.film.pixels)
    assert ok
    again = local_picture(data.tobytes(), "P1-RF.png", result, Caption("P1-RF.png"))
    assert again == drawing.local(Caption("P1-RF.png"))


def test_what_is_no_film_or_was_rejected_gives_no_picture():
    with pytest.raises(FilmError):
        local_picture(b"no film", "x.png", a_result(), Caption())
    rejected = a_result(status=Status.REJECTED, transform=None)
    with pytest.raises(ValueError, match="without a place"):
        local_picture(png_of_a_film(), "x.png", rejected, Caption())


def test_two_pictures_beside_each_other_need_both():
    whole = local_picture(png_of_a_film(), "x.png", a_result(), Caption())
    both = opened(beside(whole, whole))
    assert both.shape[1] > 2 * opened(whole).shape[1]
    assert beside(whole, b"damaged") is None
