"""The values of the trainings on a data set."""

import pytest

torch = pytest.importorskip("torch")
from training.tasks.detector import shortened  # noqa: E402
from training.tasks.recipes import DATA_SET_RECIPES  # noqa: E402

pytestmark = pytest.mark.training


PAPER = DATA_SET_RECIPES["paper"]


def test_the_papers_values_are_the_papers():
    heads, mask, detector = PAPER.heads, PAPER.mask, PAPER.detector
    assert (heads.epochs, heads.learning_rate, heads.balance) == (250, 1e-4, "undersample")
    assert (mask.learning_rate, mask.batch, mask.epochs, mask.soft_dice) == (1e-4, 16, 200, False)
    assert (detector.samples, detector.rate_steps) == (4_000 * 64, (3_200 * 64, 3_600 * 64))
    assert set(DATA_SET_RECIPES) == {"demo", "paper"}
    assert all(recipe.heads.split == "patient" for recipe in DATA_SET_RECIPES.values())


def test_a_shorter_run_keeps_its_shape():
    short = shortened(PAPER.detector, 640)
    assert (short.samples, short.warm_up, short.rate_steps) == (640, 160, (512, 576))
