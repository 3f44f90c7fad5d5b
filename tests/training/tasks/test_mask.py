"""The mask training: examples, early stopping, and learning an outline."""

import json

import cv2
import numpy as np
import pytest

from edge.anatomy import Limb

torch = pytest.importorskip("torch")

from training.errors import TrainingError  # noqa: E402
from training.synthetic.outlines import MaskExample, canvas_example  # noqa: E402
from training.synthetic.phantom_films import PhantomFilms  # noqa: E402
from training.tasks.mask import (  # noqa: E402
    MaskExamples,
    MaskPools,
    dice,
    mask_sample,
    plan_of,
    train_mask,
)
from training.tasks.recipes import DEMO_RECIPES, MaskRecipe  # noqa: E402

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def examples(phantoms_dir):
    found = []
    for film in PhantomFilms(phantoms_dir, Limb.HAND).films:
        outline = cv2.imread(str(phantoms_dir / f"mask-{film.film}"), cv2.IMREAD_GRAYSCALE)
        found.append(canvas_example(film, outline))
    return [example for example in found if example is not None]


def test_examples_have_a_limb_inside_and_air_outside(examples):
    assert len(examples) >= 4
    for example in examples:
        assert example.canvas.shape == example.outline.shape == (600, 480)
        assert set(np.unique(example.outline)) == {0, 255}
        inside = example.outline == 255
        assert 0.08 < inside.mean() < 0.75


def test_an_outline_turns_with_its_canvas(examples):
    canvas = np.where(examples[0].outline > 0, 200, 10).astype(np.uint8)
    example = MaskExample(canvas, examples[0].outline)
    for seed in range(5):
        image, outline = mask_sample(example, (128, 104), np.random.default_rng(seed))
        assert image.shape == outline.shape == (128, 104)
        inside, outside = image[outline == 255], image[outline == 0]
        assert inside.mean() > outside.mean() + 60


def tiny(**values):
    return MaskRecipe(size=(64, 52), batch=4, learning_rate=1e-2, **values)


def test_it_learns_an_outline_and_repeats_itself(examples, tmp_path, same_weights):
    figures = []
    for name in ("first", "again"):
        learnt = MaskExamples(examples, [], examples[:2], [])
        figures.append(train_mask(tmp_path / name, learnt, tiny(samples=240)))
    assert figures[0]["dice_phantom"] > 0.7
    assert "dice_real_outline" not in figures[0]
    states = [
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["model"]
        for name in ("first", "again")
    ]
    same_weights(*states)


def test_early_stopping_ends_a_run_for_good_with_the_best_epochs_weights(examples, tmp_path):
    # A rate far too high: the first epochs are the best, and patience ends it.
    pool = MaskExamples((examples * 5)[:20], [], examples[:1], [])
    recipe = MaskRecipe(
        size=(64, 52), batch=6, learning_rate=0.5, rate_falls=False, soft_dice=False,
        epochs=40, patience_epochs=2,
    )  # fmt: skip
    figures = train_mask(tmp_path, pool, recipe)
    assert figures["seen"] < 40 * 18
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    for name, tensor in state["model"].items():
        assert torch.equal(tensor, state["early"]["weights"][name]), name
    assert train_mask(tmp_path, pool, recipe) == {}
    losses = [
        json.loads(line)["validation_loss"]
        for line in (tmp_path / "log.jsonl").read_text().splitlines()
    ]
    assert min(losses) == pytest.approx(state["early"]["best"])
    assert losses.index(min(losses)) == len(losses) - 3


def test_the_tenth_that_judges_is_not_learnt_from(examples):
    named = [MaskExample(e.canvas, e.outline) for e in (examples * 10)[:25]]
    learnt, judged = MaskPools(named, named[:5]).without_tenth()
    assert len(judged) == 3 + 1
    ids = {id(example) for example in learnt.phantoms}
    assert ids.isdisjoint(id(example) for example in judged[:3])
    assert len(learnt) == 22 + 4


def test_an_epoch_of_the_paper_sees_as_many_samples_as_there_are_examples():
    plan = plan_of(DEMO_RECIPES["paper"].mask, 660)
    assert plan.every_samples == 656
    assert plan.samples == 200 * 656


def test_without_phantoms_it_says_so(tmp_path):
    with pytest.raises(TrainingError, match="too few outlines to learn from"):
        train_mask(tmp_path / "mask-hand", MaskExamples([], [], [], []), tiny(samples=4))


def test_dice_is_the_overlap():
    first = np.array([True, True, False, False])
    assert dice(first, first) == 1
    assert dice(first, ~first) == 0
    assert dice(first, np.array([True, False, False, False])) == pytest.approx(2 / 3)
    assert dice(~first & first, ~first & first) == 1
