"""Cut off and resumed: a training ends where it would have ended, or says why it cannot."""

import json
import math

import pytest

from training.errors import TrainingError

torch = pytest.importorskip("torch")

from training.models.darknet import read_cfg  # noqa: E402
from training.run import loop  # noqa: E402
from training.run.checkpoint import load_checkpoint, read_checkpoint, save_checkpoint  # noqa: E402
from training.run.run_folder import last_figures  # noqa: E402
from training.synthetic.crops import Crops, CropSet, draw_crops  # noqa: E402
from training.synthetic.phantom_films import PhantomFilms  # noqa: E402
from training.tasks.detector import DetectorExamples, train_detector  # noqa: E402
from training.tasks.mask import EarlyStop  # noqa: E402
from training.tasks.recipes import DetectorRecipe, TrunkRecipe  # noqa: E402
from training.tasks.trunk import train_trunk  # noqa: E402

pytestmark = pytest.mark.training

ALWAYS = -1.0
"""Seconds between checkpoints: one after every batch."""


class PowerCutError(Exception):
    """Stands for whatever ends a process; checkpoints are all that is left of it."""


def logged(run):
    return [json.loads(line)["seen"] for line in (run / "log.jsonl").read_text().splitlines()]


class FailingShelf(PhantomFilms):
    """Gives some films, then fails, as a disk does."""

    left = 7

    def pick(self, rng):
        self.left -= 1
        if self.left < 0:
            raise PowerCutError
        return super().pick(rng)


def test_a_detector_ends_the_same_whether_it_was_cut_off_or_not(
    tiny_cfg, hand_shelf, shelf_dir, tmp_path, same_weights
):
    cfg, limb = read_cfg(tiny_cfg), hand_shelf.films[0].limb
    recipe = DetectorRecipe(samples=12, batch=2, size_px=96, warm_up=4, checkpoint_every_s=ALWAYS)
    once, twice = tmp_path / "once", tmp_path / "twice"
    figures = train_detector(cfg, once, DetectorExamples([], [], hand_shelf), recipe)
    assert figures["seen"] == 12
    assert "found" not in figures
    with pytest.raises(PowerCutError):
        train_detector(cfg, twice, DetectorExamples([], [], FailingShelf(shelf_dir, limb)), recipe)
    assert read_checkpoint(twice / "checkpoint.pt")["seen"] == 6
    again = train_detector(cfg, twice, DetectorExamples([], [], hand_shelf), recipe)
    assert again["seen"] == 12
    first, second = (read_checkpoint(run / "checkpoint.pt") for run in (once, twice))
    for part in ("model", "average"):
        same_weights(first[part], second[part])
    assert logged(twice) == [2, 4, 6, 8, 10, 12]


def test_another_seed_is_another_detector(tiny_cfg, hand_shelf, tmp_path):
    weights = []
    for seed in (1, 1, 2):
        run = tmp_path / f"{len(weights)}"
        recipe = DetectorRecipe(samples=2, batch=2, size_px=96, seed=seed)
        train_detector(read_cfg(tiny_cfg), run, DetectorExamples([], [], hand_shelf), recipe)
        state = read_checkpoint(run / "checkpoint.pt")["model"]
        weights.append(torch.cat([tensor.float().ravel() for tensor in state.values()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_finished_run_is_left_alone(tiny_cfg, hand_shelf, tmp_path):
    recipe = DetectorRecipe(samples=2, batch=2, size_px=96)
    train_detector(read_cfg(tiny_cfg), tmp_path, DetectorExamples([], [], hand_shelf), recipe)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    assert (
        train_detector(read_cfg(tiny_cfg), tmp_path, DetectorExamples([], [], hand_shelf), recipe)
        == {}
    )
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert last_figures(tmp_path)["seen"] == 2


def test_a_foot_begins_with_the_hands_weights_only_when_it_is_new(
    tiny_cfg, hand_shelf, tmp_path, same_weights
):
    cfg, hand, foot = read_cfg(tiny_cfg), tmp_path / "hand", tmp_path / "foot"
    train_detector(
        cfg,
        hand,
        DetectorExamples([], [], hand_shelf),
        DetectorRecipe(samples=4, batch=2, size_px=96),
    )
    still = DetectorRecipe(samples=2, batch=2, size_px=96, learning_rate=0.0)
    train_detector(cfg, foot, DetectorExamples([], [], hand_shelf), still, hand / "checkpoint.pt")
    wanted = read_checkpoint(hand / "checkpoint.pt")["model"]
    found = read_checkpoint(foot / "checkpoint.pt")["model"]
    learnt = [name for name in wanted if name.endswith(("weight", "bias"))]
    same_weights({n: wanted[n] for n in learnt}, {n: found[n] for n in learnt})
    (hand / "checkpoint.pt").unlink()
    longer = DetectorRecipe(samples=4, batch=2, size_px=96)
    assert (
        train_detector(
            cfg, foot, DetectorExamples([], [], hand_shelf), longer, hand / "checkpoint.pt"
        )["seen"]
        == 4
    )


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


def line_problem():
    """A model of one weight, its optimiser, and the three functions that `loop.run` asks for."""
    torch.manual_seed(0)
    model = torch.nn.Linear(1, 1)
    optimiser = torch.optim.SGD(model.parameters(), 0.1)

    def make(seen):
        return torch.from_numpy(loop.batch_rng(1, seen).random((4, 1), dtype="float32"))

    def step(x, _seen):
        loss = (model(x) - 3 * x).square().mean()
        return loop.descend(loss, model, optimiser, 0.1, 1.0)

    return {"model": model, "optimiser": optimiser}, make, step


def test_a_checkpoint_that_was_half_written_does_not_matter(tmp_path):
    parts, make, step = line_problem()
    plan = loop.Plan(8, 4, ALWAYS)
    loop.run(tmp_path, parts, plan, make, step, lambda _final: {})
    (tmp_path / "checkpoint.new").write_bytes(b"half")
    longer = loop.Plan(16, 4, ALWAYS)
    assert loop.run(tmp_path, parts, longer, make, step, lambda _final: {})["seen"] == 16
    assert not (tmp_path / "checkpoint.new").exists()


@pytest.mark.parametrize("damage", ["empty", "cut", "rubbish", "changed"])
def test_a_damaged_checkpoint_says_what_to_do(tmp_path, damage):
    parts, make, step = line_problem()
    loop.run(tmp_path, parts, loop.Plan(8, 4, ALWAYS), make, step, lambda _final: {})
    path = tmp_path / "checkpoint.pt"
    data = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "cut": data[: len(data) // 2],
            "rubbish": b"no checkpoint at all" * 20,
            "changed": data[:40] + b"\xff" * 200 + data[240:],
        }[damage]
    )
    with pytest.raises(TrainingError, match=r"checkpoint\.pt: .*delete it to begin"):
        load_checkpoint(path, parts)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    parts, make, step = line_problem()
    loop.run(tmp_path, parts, loop.Plan(8, 4, ALWAYS), make, step, lambda _final: {})
    with pytest.raises(TrainingError, match="another network"):
        load_checkpoint(tmp_path / "checkpoint.pt", {"model": torch.nn.Linear(2, 1)})
    with pytest.raises(TrainingError, match="another network"):
        load_checkpoint(tmp_path / "checkpoint.pt", {"other": torch.nn.Linear(1, 1)})


def test_a_checkpoint_is_never_unpickled(tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save({"seen": 1, "spent_s": 0.0, "model": PowerCutError()}, path)
    with pytest.raises(TrainingError, match="damaged or no checkpoint"):
        read_checkpoint(path)


def test_no_checkpoint_is_a_beginning_but_a_missing_one_is_an_error(tmp_path):
    assert load_checkpoint(tmp_path / "checkpoint.pt", {}) == (0, 0.0)
    with pytest.raises(TrainingError, match="train this step first"):
        read_checkpoint(tmp_path / "checkpoint.pt")


def test_what_the_feed_raises_is_raised_and_nothing_hangs(tmp_path):
    parts, make, step = line_problem()

    def failing(seen):
        if seen >= 8:
            raise PowerCutError
        return make(seen)

    with pytest.raises(PowerCutError):
        loop.run(tmp_path, parts, loop.Plan(40, 4, ALWAYS), failing, step, lambda _final: {})
    assert read_checkpoint(tmp_path / "checkpoint.pt")["seen"] == 8


def test_the_feed_ends_with_its_training():
    with loop.Feed(lambda seen: seen, 0, 5) as feed:
        assert [feed.next() for _ in range(3)] == [0, 5, 10]
    assert not feed._thread.is_alive()


def test_a_loss_that_is_not_finite_stops_before_the_weights_are_touched(tmp_path):
    parts, make, _ = line_problem()
    model, optimiser = parts["model"], parts["optimiser"]

    def step(x, seen):
        loss = model(x).mean() * (math.nan if seen >= 8 else 1.0)
        return loop.descend(loss, model, optimiser, 0.1, 1.0)

    with pytest.raises(TrainingError, match="the loss is nan"):
        loop.run(tmp_path, parts, loop.Plan(40, 4, ALWAYS), make, step, lambda _final: {})
    assert all(bool(torch.isfinite(tensor).all()) for tensor in model.state_dict().values())
    assert read_checkpoint(tmp_path / "checkpoint.pt")["seen"] == 8


def test_figures_come_at_the_same_samples_where_epochs_count(tmp_path):
    parts, make, step = line_problem()
    finals = []

    def measure(final):
        finals.append(final)
        return {}

    loop.run(tmp_path, parts, loop.Plan(30, 4, 3600.0, every_samples=12), make, step, measure)
    assert logged(tmp_path) == [12, 24, 32]
    assert finals == [False, False, True]


def test_early_stopping_survives_a_checkpoint_and_gives_the_best_weights_back(tmp_path):
    model = torch.nn.Linear(1, 1)
    early = EarlyStop(3)
    for value, loss in enumerate([5.0, 2.0, 4.0]):
        torch.nn.init.constant_(model.weight, value)
        early.record(loss, model)
    save_checkpoint(tmp_path / "c.pt", {"early": early}, 0, 0)
    resumed = EarlyStop(3)
    load_checkpoint(tmp_path / "c.pt", {"early": resumed})
    assert not resumed.stopped
    resumed.record(2.5, model)
    assert not resumed.stopped
    resumed.record(2.5, model)
    assert resumed.stopped
    resumed.restore(model)
    assert model.weight.item() == 1


def test_every_batch_is_another_and_so_is_every_seed():
    draws = {
        (seed, seen): loop.batch_rng(seed, seen).random()
        for seed in range(4)
        for seen in range(0, 40, 4)
    }
    assert len(set(draws.values())) == len(draws)
    assert loop.batch_rng(1, 4).random() == draws[1, 4]
