"""A trunk interrupted and resumed ends with the same weights."""

import pytest

torch = pytest.importorskip("torch")
from training.run.checkpoint import read_checkpoint  # noqa: E402
from training.synthetic.crops import Crops, CropSet, draw_crops  # noqa: E402
from training.tasks.recipes import TrunkRecipe  # noqa: E402
from training.tasks.trunk import train_trunk  # noqa: E402

pytestmark = pytest.mark.training


ALWAYS = -1.0
"""Seconds between checkpoints: one after every batch."""


class PowerCutError(Exception):
    """Stands for whatever ends a process; checkpoints are all that is left of it."""


def crops(count=24, seed=0):
    return draw_crops(count, 32, seed, "train")


class FailingCrops(Crops):
    """Gives two batches, then fails."""

    asked = iter(range(2))

    def __len__(self):
        if next(self.asked, None) is None:
            raise PowerCutError
        return len(self.pixels)


def test_a_trunk_ends_the_same_whether_it_was_cut_off_or_not(tmp_path, same_weights):
    recipe = TrunkRecipe(samples=12, batch=4, checkpoint_every_s=ALWAYS)
    learnt, unseen = CropSet(crops(), crops(6, 2)), CropSet(crops(8, 1), crops(4, 3))
    figures = train_trunk(tmp_path / "once", learnt, unseen, recipe)
    assert figures["seen"] == 12
    failing = CropSet(FailingCrops(**vars(learnt.simulated)), learnt.painted)
    with pytest.raises(PowerCutError):
        train_trunk(tmp_path / "twice", failing, unseen, recipe)
    assert read_checkpoint(tmp_path / "twice" / "checkpoint.pt")["seen"] == 8
    train_trunk(tmp_path / "twice", learnt, unseen, recipe)
    same_weights(
        *(read_checkpoint(tmp_path / name / "checkpoint.pt")["model"] for name in ("once", "twice"))
    )
