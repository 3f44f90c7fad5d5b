"""The flag says which marker was read and where it lies on the film as stored."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.model import Laterality, Radiograph, StatedIdentity
from edge.pipeline.marker.flag import ShownMarker, marker_flag, shown_markers
from edge.pipeline.marker.read import Marker

TURNED = np.array([[0.0, -1.0, 799.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def film_of(to_upright):
    return Radiograph(np.zeros((10, 10), np.uint8), (10, 10), to_upright, StatedIdentity())


@given(
    st.sampled_from(list(Laterality)),
    st.booleans(),
    st.integers(0, 5000), st.integers(0, 5000), st.integers(1, 300), st.integers(1, 300),
)  # fmt: skip
def test_what_a_flag_says_can_be_read_back(side, mirrored, x, y, width, height):
    marker = Marker(side, mirrored, 0.0, 1.0, (x, y, width, height))
    (shown,) = shown_markers(["mask_implausible", marker_flag(marker, film_of(np.eye(3)))])
    assert shown == ShownMarker(marker.words, (x, y, x + width, y + height))


def test_the_place_is_that_on_the_film_as_stored():
    marker = Marker(Laterality.RIGHT, mirrored=False, turn_deg=0.0, probability=1.0,
                    box=(100, 200, 30, 40))  # fmt: skip
    (shown,) = shown_markers([marker_flag(marker, film_of(TURNED))])
    left, top, right, bottom = shown.box
    for x, y in ((100, 200), (130, 240)):
        stored = np.linalg.inv(TURNED) @ (x, y, 1)
        assert left - 1 <= stored[0] <= right + 1
        assert top - 1 <= stored[1] <= bottom + 1
    assert (right - left, bottom - top) == (40, 30)


def test_other_flags_are_no_markers():
    assert (
        shown_markers(["marker R, geometry L", "second_look_weaker", "marker Q at 1 2 3 4"]) == []
    )
