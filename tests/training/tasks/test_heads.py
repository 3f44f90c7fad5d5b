"""One head: balance, gate, resuming, calibration."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from training.errors import TrainingError  # noqa: E402
from training.evaluation.accuracy import decode_grades  # noqa: E402
from training.run import loop  # noqa: E402
from training.tasks.dataset_scorers import LEAST_TO_CALIBRATE  # noqa: E402
from training.tasks.heads import HeadTraining, calibrate, train_head  # noqa: E402
from training.tasks.recipes import HeadSchedule  # noqa: E402

pytestmark = pytest.mark.training


SCHEDULE = HeadSchedule(epochs=30, batch=32, learning_rate=1e-2)


QUICK = HeadTraining(SCHEDULE, "undersample")


def joints(counts, seed=0):
    """Features [n, 1, 512] in which a grade can be seen, and the grades."""
    rng = np.random.default_rng(seed)
    grades = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    features = rng.standard_normal((len(grades), 1, 512)).astype(np.float32)
    features[:, 0, :8] += 2.0 * grades[:, None]
    return torch.from_numpy(features), grades


def grade(head, features):
    with torch.no_grad():
        return decode_grades(head(features[:, 0]).sigmoid().numpy())


@pytest.mark.parametrize("gate", [False, True])
def test_a_head_learns_what_can_be_seen_and_says_it_through_the_usual_decoding(tmp_path, gate):
    features, grades = joints((120, 40, 40, 40, 40))
    head = train_head(tmp_path, features, grades, 5, replace(QUICK, gate=gate))
    unseen, truth = joints((20, 20, 20, 20, 20), seed=1)
    assert (np.abs(grade(head, unseen) - truth) <= 1).mean() > 0.9
    assert ((grade(head, unseen) == 0) == (truth == 0)).mean() > 0.85


def test_grade_0_is_thinned_in_what_is_learnt_from(tmp_path, monkeypatch):
    features, grades = joints((200, 20, 10, 10, 10))
    seen = []
    monkeypatch.setattr(loop, "run", lambda *args, **_: seen.append(args[2].samples))
    for balance in ("none", "undersample", "weights"):
        recipe = HeadTraining(replace(SCHEDULE, epochs=1, batch=10), balance)
        train_head(tmp_path / balance, features, grades, 5, recipe)
    # An epoch: all 250 joints, then 20 of grade 0 beside the 50 others, then all again.
    assert seen == [250, 70, 250]


def test_weighing_grades_finds_rare_ones_more_often(tmp_path):
    features, grades = joints((400, 8, 8, 8, 8))
    features += 1.5 * torch.randn(features.shape, generator=torch.Generator().manual_seed(1))
    unseen, truth = joints((40, 40, 40, 40, 40), seed=1)
    found = {}
    for balance in ("none", "weights"):
        recipe = HeadTraining(replace(SCHEDULE, epochs=4, learning_rate=3e-3), balance)
        head = train_head(tmp_path / balance, features, grades, 5, recipe)
        found[balance] = (grade(head, unseen)[truth > 0] > 0).mean()
    assert found["weights"] > found["none"]


def test_a_head_that_was_cut_off_ends_with_the_same_weights(tmp_path, same_weights):
    features, grades = joints((40, 20, 20, 20, 20))
    recipe = HeadTraining(replace(SCHEDULE, epochs=6), "undersample", checkpoint_every_s=0.0)
    whole = train_head(tmp_path / "whole", features, grades, 5, recipe)
    real = loop.descend
    steps = []

    def cut_off(*args):
        steps.append(1)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return real(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "descend", cut_off)
        with pytest.raises(KeyboardInterrupt):
            train_head(tmp_path / "cut", features, grades, 5, recipe)
    resumed = train_head(tmp_path / "cut", features, grades, 5, recipe)
    same_weights(whole.state_dict(), resumed.state_dict())


def test_grades_that_are_all_one_are_refused(tmp_path):
    features, _ = joints((10, 0, 0, 0, 0))
    with pytest.raises(TrainingError, match=r"\{0: 10\}"):
        train_head(tmp_path, features, np.zeros(10, np.int64), 5, QUICK)


def test_few_joints_calibrate_no_head_and_no_decision_changes(tmp_path):
    features, grades = joints((40, 20, 20, 20, 20))
    head = train_head(tmp_path, features, grades, 5, QUICK)
    unseen, truth = joints((20, 20, 20, 20, 20), seed=2)
    before = grade(head, unseen)
    assert calibrate(head, [(unseen[:0, 0], truth[:0])]) is None
    assert calibrate(head, [(unseen[:10, 0], truth[:10])], LEAST_TO_CALIBRATE) is None
    np.testing.assert_array_equal(grade(head, unseen), before)
    found = calibrate(head, [(unseen[:, 0], truth)], LEAST_TO_CALIBRATE)
    assert found.temperature > 0
    assert found.loss_after <= found.loss_before
    np.testing.assert_array_equal(grade(head, unseen), before)
