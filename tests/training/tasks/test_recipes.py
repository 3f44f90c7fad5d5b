"""The values of the demo trainings."""

import pytest

from edge.anatomy import Limb
from edge.system.paths import engines_home

torch = pytest.importorskip("torch")
from training.tasks.recipes import (  # noqa: E402
    DEMO_RECIPES,
    options_of,
    with_options,
)

pytestmark = pytest.mark.training


PAPER = DEMO_RECIPES["paper"]


def test_the_recipes_fit_the_shipped_engines():
    shipped = {}
    for path in engines_home().glob("*.toml"):
        lines = dict(
            line.split(" = ", 1) for line in path.read_text().splitlines() if " = " in line
        )
        shipped[path.stem] = int(lines["height"]), int(lines["width"])
    assert set(DEMO_RECIPES) == {"demo", "further", "heads", "paper"}
    for recipe in DEMO_RECIPES.values():
        for limb, detector in (("hand", recipe.hand_detector), ("foot", recipe.foot_detector)):
            assert shipped[f"{limb}-detect"] == (detector.size_px, detector.size_px)
            assert shipped[f"{limb}-mask"] == recipe.mask.size
            assert shipped[f"{limb}-score"] == (recipe.crop_px, recipe.crop_px)


def test_a_file_names_the_options_that_it_was_made_with():
    further = DEMO_RECIPES["further"]
    made = with_options(
        further, limb=Limb.FOOT, crop_px=128, samples=36_000, start_share=0.5, seed=22
    )
    assert options_of(made) == (
        " --recipe further --limb foot --crop-px 128 --seed 22 --samples 36000 --start-share 0.5"
    )
    assert (made.limb_trunk.samples, made.limb_trunk.start_share) == (36_000, 0.5)
    assert made.paintings == {Limb.FOOT: further.foot_paintings}
    for recipe in DEMO_RECIPES.values():
        unchanged = with_options(recipe)
        assert unchanged == recipe
        assert options_of(recipe) == ("" if recipe.name == "demo" else f" --recipe {recipe.name}")


def test_the_papers_values_are_the_published_ones():
    mask, head = PAPER.mask, PAPER.head
    assert (mask.learning_rate, mask.batch, mask.epochs) == (1e-4, 16, 200)
    assert not mask.soft_dice
    assert (head.epochs, head.learning_rate, head.undersample_zero) == (250, 1e-4, True)
    assert (head.test_share, head.validation_share) == (0.1, 0.1)
