"""Crops out of whole limbs: cut where the joints are, with the film's own grades and outline."""

import numpy as np

from edge.anatomy import Limb
from edge.model import Laterality
from phantom import render_film, sample_limb
from training.datasets.labelled_films import LabelledFilm
from training.synthetic.crops import UNKNOWN, read_crops
from training.synthetic.framed_crops import draw_framed_shards, film_crops, framed_crops


def drawn(limb, long_side_px=900):
    rng = np.random.default_rng(5)
    film = render_film(
        sample_limb(rng, limb, Laterality.LEFT, "flat"), rng, long_side_px=long_side_px
    )
    names = tuple(joint.name for joint in film.joints)
    points = np.array([joint.centre for joint in film.joints])
    return LabelledFilm("drawn", limb, film.pixels, 1.0, names, points, film.unit_px)


def test_crops_are_cut_at_the_joints():
    film = drawn(Limb.HAND)
    crops = film_crops(film, film.names, 48, np.random.default_rng(2))
    assert len(crops) == 10
    assert all(crop.shape == (48, 48) and crop.dtype == np.uint8 for crop in crops)
    assert all(crop[16:32, 16:32].mean() > 60 for crop in crops)


def test_a_known_outline_blackens_what_lies_outside():
    film = drawn(Limb.FOOT)
    nothing = np.zeros(film.pixels.shape, np.uint8)

    class Always:
        """A generator whose crops are always masked and never off their place."""

        random = staticmethod(lambda: 0.0)

        @staticmethod
        def uniform(low, high, size=None):
            middle = (low + high) / 2
            return middle if size is None else np.full(size, middle)

    black = film_crops(film, film.names, 48, Always(), nothing)
    seen = film_crops(film, film.names, 48, Always(), nothing + 255)
    assert all(crop.max() == 0 for crop in black)
    assert all(crop.mean() > 30 for crop in seen)


def test_framed_crops_carry_every_joint_of_a_limb_with_its_grade():
    crops = framed_crops(Limb.FOOT, 2, 48, 3)
    assert len(crops) == 2 * 6
    assert set(crops.limb) == {list(Limb).index(Limb.FOOT)}
    assert (crops.erosion[crops.erosion != UNKNOWN] <= 10).all()
    assert len(set(crops.erosion)) > 3
    assert np.array_equal(crops.pixels, framed_crops(Limb.FOOT, 2, 48, 3).pixels)


def test_a_folder_of_framed_crops_holds_both_limbs_and_is_left_alone(tmp_path):
    draw_framed_shards(tmp_path, 1, 1, 32, 1)
    crops = read_crops(tmp_path, "framed")
    assert len(crops) == 10 + 6
    before = (tmp_path / "crops-framed-0000.npz").read_bytes()
    draw_framed_shards(tmp_path, 1, 1, 32, 2)
    assert (tmp_path / "crops-framed-0000.npz").read_bytes() == before
