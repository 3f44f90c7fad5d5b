"""Interrupted and resumed: the loop ends where it would have ended, or says why it cannot."""

import json
import math

import pytest

from training.errors import TrainingError

torch = pytest.importorskip("torch")
from training.run import loop  # noqa: E402
from training.run.checkpoint import read_checkpoint  # noqa: E402

pytestmark = pytest.mark.training


ALWAYS = -1.0
"""Seconds between checkpoints: one after every batch."""


class PowerCutError(Exception):
    """Stands for whatever ends a process; checkpoints are all that is left of it."""


def logged(run):
    return [json.loads(line)["seen"] for line in (run / "log.jsonl").read_text().splitlines()]


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
    (tmp_path / ".checkpoint.pt.1.part").write_bytes(b"half")
    longer = loop.Plan(16, 4, ALWAYS)
    assert loop.run(tmp_path, parts, longer, make, step, lambda _final: {})["seen"] == 16
    assert [path.name for path in tmp_path.glob(".*")] == []


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


def test_every_batch_is_another_and_so_is_every_seed():
    draws = {
        (seed, seen): loop.batch_rng(seed, seen).random()
        for seed in range(4)
        for seen in range(0, 40, 4)
    }
    assert len(set(draws.values())) == len(draws)
    assert loop.batch_rng(1, 4).random() == draws[1, 4]
