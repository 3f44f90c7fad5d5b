import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.filters.rank import entropy as rank_entropy

from edge.anatomy import Limb
from edge.model import Laterality
from edge.pipeline import entropy
from edge.pipeline.contrast import equalise
from edge.pipeline.entropy import entropy_at, entropy_near
from edge.pipeline.mask import classical_mask, entropy_everywhere, filled, rich
from phantom import render_film, sample_limb


def at_every_pixel(picture, window_px):
    return rank_entropy(picture, np.ones((window_px, window_px), np.uint8))


@pytest.fixture(scope="module")
def canvas():
    rng = np.random.default_rng(12)
    film = render_film(sample_limb(rng, Limb.HAND, Laterality.RIGHT), rng, long_side_px=1500)
    return equalise(film.pixels, 2.0, 8)


SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@settings(max_examples=40, deadline=None)
@given(
    SIZES,
    st.sampled_from([1, 2, 9, 256]),
    st.sampled_from([3, 9, 37]),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30),
    st.integers(0, 2**32),
)
def test_entropy_is_that_of_the_window_wherever_it_came_from(size, levels, window_px, walk, seed):
    pytest.importorskip("numba")
    picture = np.random.default_rng(seed).integers(0, levels, size).astype(np.uint8)
    places = np.floor(np.array(walk) * (np.array(size) - 1e-6)).astype(np.int64)
    found = entropy_at(picture, window_px, places)
    expected = at_every_pixel(picture, window_px)[places[:, 0], places[:, 1]]
    assert found == pytest.approx(expected, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(SIZES, st.integers(0, 2**32))
def test_every_fourth_pixel_is_exact_and_none_lies_above_the_largest(size, seed):
    pytest.importorskip("numba")
    rng = np.random.default_rng(seed)
    picture = cv2.GaussianBlur(rng.integers(0, 256, size).astype(np.uint8), (0, 0), 3)
    exact = at_every_pixel(picture, 9)
    found = entropy_near(picture, 9, lambda entropy: float(np.median(entropy)))
    assert found.shape == exact.shape
    assert found[::4, ::4] == pytest.approx(exact[::4, ::4], abs=1e-6)
    assert found.max() <= exact.max() + 1e-6


def test_the_mask_is_that_of_the_entropy_of_every_pixel(canvas):
    pytest.importorskip("numba")
    entropy, full = entropy_everywhere(canvas), at_every_pixel(canvas, 37)
    for ours, by_full in (
        (rich(entropy) > 0, rich(full) > 0),
        (classical_mask(canvas), filled(rich(full))),
    ):
        assert (ours & by_full).sum() / (ours | by_full).sum() >= 0.999


@pytest.fixture
def no_numba(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    entropy._compiled.cache_clear()
    yield
    entropy._compiled.cache_clear()


@pytest.mark.usefixtures("no_numba")
def test_without_the_compiler_the_mask_is_made_on_a_smaller_canvas(canvas):
    assert entropy_at(canvas, 37, np.zeros((1, 2), np.int64)) is None
    assert entropy_near(canvas, 37, np.max) is None
    small = classical_mask(canvas)
    full = filled(rich(at_every_pixel(canvas, 37)))
    assert (small & full).sum() / (small | full).sum() > 0.9


def test_where_no_compiled_code_can_be_kept_it_is_compiled_anew(canvas, monkeypatch):
    numba = pytest.importorskip("numba")
    kept, compile_it = [], numba.njit

    def njit(*, cache=False, nogil=False):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        kept.append(nogil)
        return compile_it(nogil=nogil)

    monkeypatch.setattr(numba, "njit", njit)
    entropy._compiled.cache_clear()
    try:
        places = np.array([(700, 300), (701, 300)])
        assert len(entropy_at(canvas, 37, places)) == 2
    finally:
        entropy._compiled.cache_clear()
    assert kept == [True]
