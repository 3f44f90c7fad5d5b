import cv2
import numpy as np
import pytest

from benchmarks.entropy_mask import (
    LEAST_OVERLAP,
    canvas_of,
    comparisons,
    full_size_entropy,
    main,
    overlap,
)
from edge.anatomy import Limb
from edge.errors import EdgeError
from edge.model import DISCLAIMER, Laterality
from edge.pipeline.settings import PipelineSettings
from phantom import render_film, sample_limb


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(13)
    for limb in Limb:
        film = render_film(sample_limb(rng, limb, Laterality.LEFT), rng, long_side_px=900)
        cv2.imwrite(str(folder / f"{limb}.png"), film.pixels)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no film")
    return folder


def test_overlap_is_intersection_over_union():
    one = np.array([[True, True, False, False]])
    assert overlap(one, np.array([[True, False, True, False]])) == pytest.approx(1 / 3)
    assert overlap(one, one) == 1
    assert overlap(one & ~one, one & ~one) == 1


def test_full_size_entropy_has_a_value_for_every_pixel():
    canvas = canvas_of(np.zeros((90, 60), np.uint8), PipelineSettings())
    entropy = full_size_entropy(canvas)
    assert entropy.shape == canvas.shape == (1500, 1200)
    assert not entropy.any()


def test_every_film_is_a_row_and_what_cannot_be_read_is_said(films, capsys):
    pytest.importorskip("numba")
    main([films])
    out, err = capsys.readouterr()
    assert "| foot.png |" in out
    assert "| hand.png |" in out
    assert "\n2 films: " in out
    assert DISCLAIMER.capitalize() in out
    assert "broken.jpg left out" in err


def test_simulated_films_reach_the_bar(films):
    pytest.importorskip("numba")
    for row in comparisons([films]):
        assert row.before >= LEAST_OVERLAP
        assert row.ratio > 1


def test_without_the_compiler_nothing_is_compared(films, monkeypatch):
    monkeypatch.setattr("benchmarks.entropy_mask.entropy_everywhere", lambda _canvas: None)
    with pytest.raises(EdgeError, match="numba is not installed"):
        next(comparisons([films]))
