"""The folder of simulated films: the same seed gives the same films, and a cut-off one goes on."""

import json

import cv2
import numpy as np
import pytest

from edge.anatomy import Limb
from training.synthetic.phantom_films import PhantomFilms, draw_phantom_films

pytestmark = pytest.mark.training


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_folder_is_decided_by_its_seed_and_goes_on(tmp_path):
    once, twice, other = (tmp_path / name for name in ("once", "twice", "other"))
    draw_phantom_films(once, Limb.FOOT, 3, seed=5, longest_px=160)
    draw_phantom_films(twice, Limb.FOOT, 1, seed=5, longest_px=160)
    draw_phantom_films(twice, Limb.FOOT, 3, seed=5, longest_px=160)
    assert contents(once) == contents(twice)
    draw_phantom_films(other, Limb.FOOT, 1, seed=6, longest_px=160)
    first = cv2.imread(str(once / "foot-5-00000.png"), cv2.IMREAD_GRAYSCALE)
    assert not np.array_equal(first, cv2.imread(str(other / "foot-6-00000.png"), 0))


def test_a_line_that_was_cut_off_is_drawn_again(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        draw_phantom_films(folder, Limb.HAND, 3, seed=5, longest_px=160)
    index = cut / "index.jsonl"
    index.write_bytes(index.read_bytes()[:-20])
    assert len(PhantomFilms(cut, Limb.HAND)) == 2
    draw_phantom_films(cut, Limb.HAND, 3, seed=5, longest_px=160)
    assert contents(whole) == contents(cut)


def test_a_folder_sees_what_arrives_later_and_only_its_limb(tmp_path):
    phantoms = PhantomFilms(tmp_path, Limb.HAND)
    assert len(phantoms) == 0
    draw_phantom_films(tmp_path, Limb.HAND, 2, seed=1, longest_px=160)
    draw_phantom_films(tmp_path, Limb.FOOT, 1, seed=1, longest_px=160)
    phantoms.refresh()
    phantoms.refresh()
    assert [film.film for film in phantoms.films] == ["hand-1-00000.png", "hand-1-00001.png"]


def test_labels_lie_on_the_limb(phantoms_dir):
    for limb in Limb:
        for film in PhantomFilms(phantoms_dir, limb).films:
            mask = cv2.imread(str(phantoms_dir / f"mask-{film.film}"), cv2.IMREAD_GRAYSCALE)
            assert mask.shape == film.pixels.shape
            assert film.names == limb.joints
            columns, rows = film.points.round().astype(int).T
            inside = (columns < mask.shape[1]) & (rows < mask.shape[0])
            assert (mask[rows[inside], columns[inside]] == 255).all()


def test_the_index_names_every_file_once(phantoms_dir):
    lines = (phantoms_dir / "index.jsonl").read_text().splitlines()
    names = [json.loads(line)["file"] for line in lines]
    assert len(set(names)) == len(names) == 12
    assert all((phantoms_dir / name).exists() for name in names)
