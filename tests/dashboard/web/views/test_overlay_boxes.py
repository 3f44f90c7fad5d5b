"""Boxes over a picture lie where its comment leads."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rooms import result

from dashboard.web.views.overlay import overlay_of, size_of


def jpeg(width, height):
    return cv2.imencode(".jpg", np.zeros((height, width), np.uint8))[1].tobytes()


@given(width=st.integers(1, 400), height=st.integers(1, 400))
@settings(max_examples=25, deadline=None)
def test_the_size_of_a_picture_is_read_from_its_header(width, height):
    assert size_of(jpeg(width, height)) == (width, height)


@given(data=st.binary(max_size=200))
@settings(deadline=None)
def test_no_bytes_raise(data):
    size_of(b"\xff\xd8" + data)


@given(zoom=st.floats(0.05, 5), x=st.floats(-500, 500), y=st.floats(-500, 500))
@settings(deadline=None)
def test_a_box_is_moved_and_grown_as_the_film_is(zoom, x, y):
    made = result(1)
    placed = f"{zoom} 0 {x} 0 {zoom} {y}"
    overlay = overlay_of(jpeg(9, 9), placed, made)
    for box, joint in zip(overlay.boxes, made.joints, strict=True):
        assert box.side == pytest.approx(joint.box[2] * zoom, abs=0.1)
        assert box.x == pytest.approx(joint.box[0] * zoom + x, abs=0.2)
        assert box.y == pytest.approx(joint.box[1] * zoom + y, abs=0.2)


@pytest.mark.parametrize(
    "placed",
    [None, "", "1 2 3", "a b c d e f", "nan 0 0 0 1 0", "1e308 0 0 0 1e308 0", "0 0 0 0 0 0"],
)
def test_without_a_place_nothing_is_drawn(placed):
    assert overlay_of(jpeg(9, 9), placed, result(1)).boxes == ()
