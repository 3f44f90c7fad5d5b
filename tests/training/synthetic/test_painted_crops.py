"""Shards of painted crops."""

from __future__ import annotations

import numpy as np
from healthy_films import healthy

from edge.anatomy import Limb
from training.synthetic.crops import UNKNOWN, read_crops
from training.synthetic.painted_crops import paint_crop_shards, painted_crops
from training.synthetic.painted_films import sharp_films


def test_a_folder_of_paintings_holds_both_limbs_and_their_grades(tmp_path):
    paintings = dict.fromkeys(Limb, 2)
    films = sharp_films([healthy(limb)[0] for limb in Limb])
    paint_crop_shards(tmp_path, films, 1, paintings, 32, 1, "painted", varied=True)
    crops = read_crops(tmp_path, "painted")
    assert len(crops) == 2 * 10 + 2 * 6
    hands = crops.limb == list(Limb).index(Limb.HAND)
    assert hands.sum() == 20
    assert crops.erosion[hands].max() <= Limb.HAND.erosion_maximum
    assert (crops.narrowing == UNKNOWN).sum() == 2
    before = (tmp_path / "crops-painted-0000.npz").read_bytes()
    paint_crop_shards(tmp_path, films, 1, paintings, 32, 2, "painted", varied=True)
    assert (tmp_path / "crops-painted-0000.npz").read_bytes() == before
    other = painted_crops(films, 2, 32, 9, varied=False)
    assert not np.array_equal(other.pixels[:10], crops.pixels[:10])
