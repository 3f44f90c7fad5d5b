import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.filters.rank import entropy as rank_entropy

from edge.anatomy import Limb
from edge.model import Laterality
from edge.pipeline import entropy
from edge.pipeline.contrast import equalise
from edge.pipeline.entropy import local_entropy
from edge.pipeline.mask import classical_mask, entropy_everywhere, filled, rich
from phantom import render_film, sample_limb


def at_every_pixel(picture, window_px):
    return rank_entropy(picture, np.ones((window_px, window_px), np.uint8))


@pytest.fixture(scope="module")
def canvas():
    rng = np.random.default_rng(12)
    film = render_film(sample_limb(rng, Limb.HAND, Laterality.RIGHT), rng, long_side_px=1500)
    return equalise(film.pixels, 2.0, 8)


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from([1, 2, 9, 256]),
    st.sampled_from([3, 9, 37]),
    st.integers(1, 7),
    st.integers(0, 2**32),
)
def test_entropy_is_that_of_every_pixels_window(size, levels, window_px, step_px, seed):
    pytest.importorskip("numba")
    picture = np.random.default_rng(seed).integers(0, levels, size).astype(np.uint8)
    found = local_entropy(picture, window_px, step_px)
    expected = at_every_pixel(picture, window_px)[::step_px, ::step_px]
    assert found == pytest.approx(expected, abs=1e-9)


def test_every_fourth_pixel_gives_the_mask_of_every_pixel(canvas):
    pytest.importorskip("numba")
    entropy = entropy_everywhere(canvas)
    assert entropy.shape == canvas.shape
    full = at_every_pixel(canvas, 37)
    for ours, by_full in (
        (rich(entropy) > 0, rich(full) > 0),
        (classical_mask(canvas), filled(rich(full))),
    ):
        assert (ours & by_full).sum() / (ours | by_full).sum() >= 0.985


@pytest.fixture
def no_numba(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    entropy._compiled.cache_clear()
    yield
    entropy._compiled.cache_clear()


@pytest.mark.usefixtures("no_numba")
def test_without_the_compiler_the_mask_is_made_on_a_smaller_canvas(canvas):
    assert local_entropy(canvas, 37, 4) is None
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
        assert local_entropy(canvas[:50, :50], 37, 4).shape == (13, 13)
    finally:
        entropy._compiled.cache_clear()
    assert kept == [True]
