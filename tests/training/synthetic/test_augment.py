"""Random poses and exposures: labels follow the pixels, and joints stay visible."""

import numpy as np
import pytest

from edge.anatomy import Limb, shape_template
from edge.pipeline.template import apply
from training.datasets.labelled_films import LabelledFilm
from training.synthetic.augment import (
    detector_sample,
    random_background_loss,
    random_exposure,
    random_patches,
    random_pose,
    warp,
)

pytestmark = pytest.mark.training


def dotted_film(limb=Limb.HAND, spread=130.0):
    """A dark film with one bright square at each joint."""
    points = shape_template(limb).mean * spread + (350, 450)
    pixels = np.zeros((900, 700), np.uint8)
    for x, y in points.round().astype(int):
        pixels[y - 5 : y + 6, x - 5 : x + 6] = 255
    return LabelledFilm("dots", limb, pixels, 1.0, limb.joints, points, unit=spread)


@pytest.mark.parametrize("limb", list(Limb))
@pytest.mark.parametrize("seed", range(12))
def test_points_follow_the_warp(limb, seed):
    film = dotted_film(limb)
    matrix = random_pose(film, 416, np.random.default_rng(seed))
    image = warp(film.pixels, matrix, 416)
    for x, y in apply(matrix, film.points):
        if 8 < x < 408 and 8 < y < 408:
            near = image[round(y) - 8 : round(y) + 9, round(x) - 8 : round(x) + 9].astype(float)
            ys, xs = np.mgrid[-8:9, -8:9]
            centre = np.array([(xs * near).sum(), (ys * near).sum()]) / near.sum()
            off = centre + np.array([round(x) - x, round(y) - y])
            assert np.abs(off).max() < 1.0


@pytest.mark.parametrize("seed", range(20))
def test_a_sample_keeps_every_joint_and_its_class_and_scales_its_box(seed):
    film = dotted_film()
    image, boxes = detector_sample(film, 256, np.random.default_rng(seed))
    assert image.shape == (256, 256)
    assert image.dtype == np.uint8
    assert boxes.shape == (10, 4)
    assert sorted(boxes[:, 0]) == [0] * 5 + [1] * 5
    found = np.hypot(*(boxes[6, 1:3] - boxes[7, 1:3]))
    true = np.hypot(*(film.points[6] - film.points[7]))
    np.testing.assert_allclose(boxes[:, 3], film.boxes[:, 2] * found / true)


def test_poses_turn_mirror_and_zoom_over_the_stated_range():
    film = dotted_film()
    rng = np.random.default_rng(0)
    linear = np.array([random_pose(film, 416, rng)[:2, :2] for _ in range(400)])
    determinant = np.linalg.det(linear)
    assert 0.4 < (determinant < 0).mean() < 0.6
    zoom = np.sqrt(np.abs(determinant)) * 900 / 416
    assert zoom.min() >= np.exp(-0.25) - 1e-9
    turn = np.degrees(np.arctan2(linear[:, 1, 1], linear[:, 0, 1]))
    off = np.abs((turn + 45) % 90 - 45)
    assert off.max() <= 12 + 1e-6
    assert len(np.unique((np.round(turn / 90) % 4).astype(int))) == 4


@pytest.mark.parametrize("seed", range(40))
def test_patches_never_cover_a_joint(seed):
    rng = np.random.default_rng(seed)
    points = rng.uniform(20, 236, (10, 2))
    image = np.full((256, 256), 77, np.uint8)
    patched = random_patches(image, points, 10, rng)
    assert (image == 77).all()
    for x, y in points.round().astype(int):
        assert (patched[y - 9 : y + 9, x - 9 : x + 9] == 77).all()


def test_patches_do_appear():
    rng = np.random.default_rng(1)
    image = np.full((256, 256), 77, np.uint8)
    points = np.array([[128.0, 128.0]])
    changed = [(random_patches(image, points, 10, rng) != 77).any() for _ in range(40)]
    assert sum(changed) > 15


@pytest.mark.parametrize("seed", range(10))
def test_background_loss_keeps_joints_and_loses_background(hand_phantoms, seed):
    film = hand_phantoms.films[seed % len(hand_phantoms)]
    rng = np.random.default_rng(seed)
    cut = random_background_loss(film.pixels, film.points, film.unit, rng)
    kept = cut > 0
    for (x, y), side in zip(film.points, film.boxes[:, 2], strict=True):
        reach = max(2, round(side / 6))
        rows = slice(max(round(y) - reach, 0), round(y) + reach + 1)
        columns = slice(max(round(x) - reach, 0), round(x) + reach + 1)
        was = film.pixels[rows, columns] > 0
        assert kept[rows, columns][was].mean() > 0.95
    assert kept.mean() < 0.9
    assert (cut[kept] == film.pixels[kept]).all()


def test_exposure_is_decided_by_the_generator_alone(hand_phantoms):
    pixels = hand_phantoms.films[0].pixels
    first, again, other = (
        random_exposure(pixels, np.random.default_rng(seed)) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
