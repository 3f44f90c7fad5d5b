"""Simulated crops, their shards and their augmentation."""

import numpy as np
import pytest

from training.errors import TrainingError
from training.synthetic.crops import UNKNOWN, augment, draw_crop_shards, draw_crops, read_crops


def test_crops_are_decided_by_their_seed_and_kept_shards_are_left_alone(tmp_path):
    draw_crop_shards(tmp_path, 1, 6, 32, seed=4)
    first = (tmp_path / "crops-train-0000.npz").read_bytes()
    draw_crop_shards(tmp_path, 2, 6, 32, seed=4)
    assert (tmp_path / "crops-train-0000.npz").read_bytes() == first
    both = read_crops(tmp_path)
    assert both.pixels.shape == (12, 32, 32)
    drawn = draw_crops(6, 32, 4 * 100_003 + 1, "train")
    np.testing.assert_array_equal(both.pixels[6:], drawn.pixels)
    np.testing.assert_array_equal(both.erosion[6:], drawn.erosion)
    assert (both.pixels[:6] != both.pixels[6:]).any()


def test_the_thumbs_ip_has_no_narrowing_and_grades_stay_in_range():
    crops = draw_crops(60, 32, 1, "train")
    hand = crops.limb == 0
    assert set(np.unique(crops.limb)) == {0, 1}
    assert (crops.narrowing[hand] == UNKNOWN).any()
    assert (crops.narrowing[~hand] >= 0).all()
    assert crops.erosion[hand].max() <= 5
    assert crops.erosion[~hand].max() <= 10
    assert crops.narrowing.max() <= 4


def test_a_folder_of_two_sizes_or_none_says_what_to_do(tmp_path):
    with pytest.raises(TrainingError, match="delete the folder"):
        read_crops(tmp_path)
    draw_crop_shards(tmp_path, 1, 2, 32, seed=1)
    draw_crop_shards(tmp_path, 2, 2, 40, seed=1)
    with pytest.raises(TrainingError, match="of one size"):
        read_crops(tmp_path)


def test_augmentation_keeps_the_joint_in_the_middle():
    crop = np.zeros((1, 96, 96), np.uint8)
    crop[0, 40:56, 40:56] = 255
    for seed in range(20):
        out = augment(crop, np.random.default_rng(seed))[0].astype(float)
        bright = out > (out.max() + out.min()) / 2
        rows, columns = bright.nonzero()
        assert abs(rows.mean() - 47.5) < 4
        assert abs(columns.mean() - 47.5) < 4
        assert 0.7 < bright.sum() / 256 < 1.4
