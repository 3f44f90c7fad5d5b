from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.pipeline import shrink
from edge.pipeline.shrink import shrunk


def plain(pixels, size):
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


@given(
    st.integers(700, 1400), st.integers(720, 1500), st.floats(0.1, 0.7), st.integers(0, 2**32 - 1)
)
@settings(max_examples=60, deadline=None)
def test_two_halves_are_the_whole_picture_s_own_pixels(height, width, zoom, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    size = (round(width * zoom), round(height * zoom))
    assert np.array_equal(shrunk(pixels, size), plain(pixels, size))


@pytest.mark.parametrize("shape", [(2500, 2000), (2000, 2500), (2501, 2000), (2501, 2001)])
def test_portrait_landscape_and_odd_sizes_are_exact(shape):
    pixels = np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)
    for size in ((1024, 819), (819, 1024), (256, 208), (255, 255), (256, 256)):
        assert np.array_equal(shrunk(pixels, size), plain(pixels, size))


def test_a_second_thread_is_used_only_where_opencv_may_use_two(monkeypatch):
    pixels = np.zeros((1000, 1000), np.uint8)

    def forbidden():
        raise AssertionError

    monkeypatch.setattr(shrink, "_helper", forbidden)
    monkeypatch.setattr(cv2, "getNumThreads", lambda: 1)
    assert shrunk(pixels, (100, 100)).shape == (100, 100)
    monkeypatch.setattr(cv2, "getNumThreads", lambda: 2)
    assert shrunk(pixels[:400], (100, 100)).shape == (100, 100)
    with pytest.raises(AssertionError):
        shrunk(pixels, (100, 100))
