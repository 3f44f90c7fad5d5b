"""Drawn markers lie where they say, and only an L or R that stands alone is one."""

from __future__ import annotations

import numpy as np
import pytest

from edge.model import Laterality
from training.errors import TrainingError
from training.synthetic.marker_crops import WINDOW_PX, crops_of_window, draw_window
from training.synthetic.marker_glyphs import draw_group, find_faces, lay


@pytest.fixture(scope="module")
def faces():
    try:
        return find_faces()
    except TrainingError as error:
        pytest.skip(str(error))


def ground():
    rng = np.random.default_rng(2)
    return np.asarray(rng.normal(50, 2, (WINDOW_PX, WINDOW_PX)).clip(0, 255), np.uint8)


def test_a_marker_is_drawn_in_the_box_that_is_told(faces):
    rng = np.random.default_rng(4)
    for _ in range(20):
        group = draw_group(faces, rng, marker=True)
        assert group.side in set(Laterality)
        film, drawn = lay(ground(), group, (210, 210), rng)
        assert drawn is not None
        x, y, width, height = drawn.box
        assert abs(x + width / 2 - 210) < 15
        assert abs(y + height / 2 - 210) < 15
        changed = np.abs(film.astype(int) - ground()) > 40
        assert changed[y : y + height, x : x + width].any()


def test_other_letters_words_and_shapes_are_none(faces):
    rng = np.random.default_rng(5)
    assert all(draw_group(faces, rng, marker=False).side is None for _ in range(40))


def test_a_folder_without_fonts_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="no font"):
        find_faces((tmp_path,))


def test_crops_say_what_they_show(faces):
    rng = np.random.default_rng(6)
    film = np.asarray(rng.normal(60, 2, (500, 700)).clip(0, 255), np.uint8)
    window, markers = draw_window(film, faces, rng)
    assert window.shape == (WINDOW_PX, WINDOW_PX)
    found = crops_of_window(window, markers, rng)
    assert found.crops.dtype == np.uint8
    assert len(found) == len(found.crops) == len(found.turns_deg)
    assert 0 < np.count_nonzero(found.classes) <= 4 * len(markers)
    assert set(found.classes) <= set(range(5))
    assert np.all(found.turns_deg[found.classes == 0] == 0)
