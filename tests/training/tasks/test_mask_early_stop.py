"""Early stopping across a checkpoint."""

import pytest

torch = pytest.importorskip("torch")
from training.run.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from training.tasks.mask import EarlyStop  # noqa: E402

pytestmark = pytest.mark.training


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
