"""What a head learns from, and that its seed decides it."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from training.errors import TrainingError  # noqa: E402
from training.evaluation.accuracy import balanced_accuracy, decode_grades  # noqa: E402
from training.tasks.heads import HeadTraining, train_head, undersample_zero  # noqa: E402
from training.tasks.recipes import HeadSchedule  # noqa: E402

pytestmark = pytest.mark.training


def toy(rows_of_a_grade, outputs=5, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(0, 1, (outputs, 512))
    grades = np.repeat(np.arange(outputs), rows_of_a_grade)
    features = centres[grades] + rng.normal(0, 0.5, (len(grades), 512))
    return torch.from_numpy(features).float(), torch.from_numpy(grades)


@pytest.mark.parametrize(("batch", "epochs"), [(32, 60), (4096, 400)])
def test_a_head_learns_what_can_be_told_apart(batch, epochs, tmp_path):
    # The larger batch holds more rows than there are: they are learnt from all the same.
    features, grades = toy(40)
    schedule = HeadSchedule(epochs=epochs, batch=batch, learning_rate=5e-3)
    head = train_head(tmp_path, features[:, None], grades.numpy(), 5, HeadTraining(schedule))
    unseen, truth = toy(20, seed=1)
    with torch.no_grad():
        guess = decode_grades(head(unseen).sigmoid().numpy())
    assert balanced_accuracy(truth.numpy(), guess) > 0.95


def test_a_head_is_decided_by_its_seed(same_weights, tmp_path):
    features, grades = toy(8)
    found = []
    for seed in (1, 1, 2):
        training = HeadTraining(HeadSchedule(epochs=3, batch=16, seed=seed))
        run = tmp_path / f"{len(found)}"
        found.append(train_head(run, features[:, None], grades.numpy(), 5, training).state_dict())
    same_weights(found[0], found[1])
    assert not torch.equal(found[0]["dense.0.weight"], found[2]["dense.0.weight"])


def test_a_head_needs_crops(tmp_path):
    one = np.zeros(1, np.int64)
    with pytest.raises(TrainingError, match=r"joints by grade \{0: 1\} are too few"):
        train_head(tmp_path, torch.zeros(1, 1, 512), one, 5, HeadTraining(HeadSchedule()))


def test_grade_zero_is_thinned_to_the_next_largest_grade_and_nothing_else_is():
    grades = np.array([0] * 50 + [1] * 7 + [2] * 12 + [3])
    np.random.default_rng(3).shuffle(grades)
    kept = undersample_zero(grades, np.random.default_rng(1))
    assert np.unique(grades[kept], return_counts=True)[1].tolist() == [12, 7, 12, 1]
    assert (np.diff(kept) > 0).all()
    again = undersample_zero(grades, np.random.default_rng(1))
    other = undersample_zero(grades, np.random.default_rng(2))
    np.testing.assert_array_equal(kept, again)
    assert kept.tolist() != other.tolist()


@pytest.mark.parametrize("grades", [[0, 0, 0], [1, 2, 2], [0, 1, 1, 2], []])
def test_thinning_takes_nothing_where_zero_is_no_majority(grades):
    kept = undersample_zero(np.array(grades, int), np.random.default_rng(0))
    assert kept.tolist() == list(range(len(grades)))
