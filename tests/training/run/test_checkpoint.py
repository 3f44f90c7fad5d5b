"""Checkpoints that are damaged, missing or of another network."""

import pytest

from training.errors import TrainingError

torch = pytest.importorskip("torch")
from training.run import loop  # noqa: E402
from training.run.checkpoint import load_checkpoint, read_checkpoint  # noqa: E402

pytestmark = pytest.mark.training


ALWAYS = -1.0
"""Seconds between checkpoints: one after every batch."""


class PowerCutError(Exception):
    """Stands for whatever ends a process; checkpoints are all that is left of it."""


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
