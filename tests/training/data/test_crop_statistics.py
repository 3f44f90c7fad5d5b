"""Familiar crops and unfamiliar ones."""

import numpy as np

from edge.pipeline.plausibility import PASSPORT_KEY, FamiliarCrops
from training.data.crop_statistics import describe_crops
from training.synthetic.crops import draw_crops


def test_crops_that_were_learnt_from_are_familiar_and_noise_is_not():
    crops = draw_crops(60, 48, 5, "train").pixels
    known = FamiliarCrops.of({PASSPORT_KEY: describe_crops(crops)})
    assert known is not None
    assert known.knows(crops).all()
    noise = np.random.default_rng(1).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    assert not known.knows(noise).any()
