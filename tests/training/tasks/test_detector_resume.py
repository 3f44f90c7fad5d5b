"""A detector interrupted and resumed ends with the same weights."""

import json

import pytest

torch = pytest.importorskip("torch")
from training.models.darknet import read_cfg  # noqa: E402
from training.run.checkpoint import read_checkpoint  # noqa: E402
from training.run.run_folder import last_figures  # noqa: E402
from training.synthetic.phantom_films import PhantomFilms  # noqa: E402
from training.tasks.detector import DetectorExamples, train_detector  # noqa: E402
from training.tasks.recipes import DetectorRecipe  # noqa: E402

pytestmark = pytest.mark.training


ALWAYS = -1.0
"""Seconds between checkpoints: one after every batch."""


class PowerCutError(Exception):
    """Stands for whatever ends a process; checkpoints are all that is left of it."""


def logged(run):
    return [json.loads(line)["seen"] for line in (run / "log.jsonl").read_text().splitlines()]


class FailingPhantoms(PhantomFilms):
    """Gives some films, then fails, as a disk does."""

    left = 7

    def pick(self, rng):
        self.left -= 1
        if self.left < 0:
            raise PowerCutError
        return super().pick(rng)


def test_a_detector_ends_the_same_whether_it_was_cut_off_or_not(
    tiny_cfg, hand_phantoms, phantoms_dir, tmp_path, same_weights
):
    cfg, limb = read_cfg(tiny_cfg), hand_phantoms.films[0].limb
    recipe = DetectorRecipe(samples=12, batch=2, size_px=96, warm_up=4, checkpoint_every_s=ALWAYS)
    once, twice = tmp_path / "once", tmp_path / "twice"
    figures = train_detector(cfg, once, DetectorExamples([], [], hand_phantoms), recipe)
    assert figures["seen"] == 12
    assert "found" not in figures
    with pytest.raises(PowerCutError):
        train_detector(
            cfg, twice, DetectorExamples([], [], FailingPhantoms(phantoms_dir, limb)), recipe
        )
    assert read_checkpoint(twice / "checkpoint.pt")["seen"] == 6
    again = train_detector(cfg, twice, DetectorExamples([], [], hand_phantoms), recipe)
    assert again["seen"] == 12
    first, second = (read_checkpoint(run / "checkpoint.pt") for run in (once, twice))
    for part in ("model", "average"):
        same_weights(first[part], second[part])
    assert logged(twice) == [2, 4, 6, 8, 10, 12]


def test_another_seed_is_another_detector(tiny_cfg, hand_phantoms, tmp_path):
    weights = []
    for seed in (1, 1, 2):
        run = tmp_path / f"{len(weights)}"
        recipe = DetectorRecipe(samples=2, batch=2, size_px=96, seed=seed)
        train_detector(read_cfg(tiny_cfg), run, DetectorExamples([], [], hand_phantoms), recipe)
        state = read_checkpoint(run / "checkpoint.pt")["model"]
        weights.append(torch.cat([tensor.float().ravel() for tensor in state.values()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_finished_run_is_left_alone(tiny_cfg, hand_phantoms, tmp_path):
    recipe = DetectorRecipe(samples=2, batch=2, size_px=96)
    train_detector(read_cfg(tiny_cfg), tmp_path, DetectorExamples([], [], hand_phantoms), recipe)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    assert (
        train_detector(
            read_cfg(tiny_cfg), tmp_path, DetectorExamples([], [], hand_phantoms), recipe
        )
        == {}
    )
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert last_figures(tmp_path)["seen"] == 2


def test_a_foot_begins_with_the_hands_weights_only_when_it_is_new(
    tiny_cfg, hand_phantoms, tmp_path, same_weights
):
    cfg, hand, foot = read_cfg(tiny_cfg), tmp_path / "hand", tmp_path / "foot"
    train_detector(
        cfg,
        hand,
        DetectorExamples([], [], hand_phantoms),
        DetectorRecipe(samples=4, batch=2, size_px=96),
    )
    still = DetectorRecipe(samples=2, batch=2, size_px=96, learning_rate=0.0)
    train_detector(
        cfg, foot, DetectorExamples([], [], hand_phantoms), still, hand / "checkpoint.pt"
    )
    wanted = read_checkpoint(hand / "checkpoint.pt")["model"]
    found = read_checkpoint(foot / "checkpoint.pt")["model"]
    learnt = [name for name in wanted if name.endswith(("weight", "bias"))]
    same_weights({n: wanted[n] for n in learnt}, {n: found[n] for n in learnt})
    (hand / "checkpoint.pt").unlink()
    longer = DetectorRecipe(samples=4, batch=2, size_px=96)
    assert (
        train_detector(
            cfg, foot, DetectorExamples([], [], hand_phantoms), longer, hand / "checkpoint.pt"
        )["seen"]
        == 4
    )
