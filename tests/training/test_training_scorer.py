"""The scorers: published counts, folding, ordinal answers, the paper's split and thinning."""

import numpy as np
import pytest

from edge.pipeline.ordinal import decode_ordinal

torch = pytest.importorskip("torch")

from training.datasets.split import split_rows  # noqa: E402
from training.errors import TrainingError  # noqa: E402
from training.evaluation.accuracy import balanced_accuracy, decode_grades  # noqa: E402
from training.models.heads import (  # noqa: E402
    Head,
    TrunkTrainer,
    fitting_temperature,
    ordinal_loss,
    ordinal_targets,
)
from training.models.trunk import FoldedTrunk, Trunk  # noqa: E402
from training.synthetic.crops import UNKNOWN  # noqa: E402
from training.tasks.heads import HeadTraining, train_head, undersample_zero  # noqa: E402
from training.tasks.recipes import HeadSchedule  # noqa: E402

pytestmark = pytest.mark.training


def count(module, *, trainable):
    if trainable:
        return sum(p.numel() for p in module.parameters())
    return sum(b.numel() for n, b in module.named_buffers() if "running" in n)


@pytest.mark.parametrize(("outputs", "total"), [(5, 15_113_049), (6, 15_113_310), (11, 15_114_615)])
def test_a_scorer_has_the_published_numbers_of_parameters(outputs, total):
    trunk = FoldedTrunk(Trunk().arrays())
    head = Head(outputs)
    frozen = count(trunk, trainable=True)
    learnt, kept = count(head, trainable=True), count(head, trainable=False)
    assert frozen == 14_714_688
    assert frozen + learnt + kept == total
    if outputs == 5:
        assert learnt == 396_815
        assert frozen + kept == 14_716_234


@torch.no_grad()
def test_the_folded_trunk_answers_as_the_trunk(settle):
    trunk = settle(Trunk())
    x = torch.rand(3, 3, 64, 64)
    features = trunk(x)
    assert features.shape == (3, 512)
    assert features.std() > 1e-3
    torch.testing.assert_close(FoldedTrunk(trunk.arrays())(x), features, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("outputs", [5, 6, 11])
def test_targets_are_read_back_as_their_grade_by_the_appliance(outputs):
    grades = torch.arange(outputs)
    targets = ordinal_targets(grades, outputs).numpy()
    assert targets.sum(1).tolist() == [grade + 1 for grade in range(outputs)]
    for grade, row in enumerate(targets):
        estimate = decode_ordinal(row)
        assert estimate.grade == grade
        assert estimate.expected == grade
    assert decode_grades(targets).tolist() == list(range(outputs))


def test_training_and_the_appliance_read_the_same_grade_from_any_outputs():
    rng = np.random.default_rng(0)
    outputs = rng.random((500, 11))
    outputs[::2] = np.sort(outputs[::2])[:, ::-1]
    mine = decode_grades(outputs).tolist()
    assert mine == [decode_ordinal(row).grade for row in outputs]
    assert len(set(mine)) > 5


def test_unknown_grades_teach_nothing():
    logits = torch.zeros(3, 5, requires_grad=True)
    loss = ordinal_loss(logits, torch.tensor([2, UNKNOWN, 0]))
    loss.backward()
    assert (logits.grad[1] == 0).all()
    assert (logits.grad[0] != 0).all()
    none = ordinal_loss(logits, torch.full((3,), UNKNOWN))
    assert none.item() == 0


@pytest.mark.parametrize("outputs", [5, 6, 11])
def test_linear_head_in_the_published_layers_answers_as_before(outputs):
    torch.manual_seed(1)
    linear = torch.nn.Linear(512, outputs)
    features = torch.rand(40, 512) * 3
    with torch.no_grad():
        wanted = linear(features)
        head = Head.of_linear(linear)
        assert torch.allclose(head(features), wanted, atol=1e-4)
        head.cool(2.0)
        assert torch.allclose(head(features), wanted / 2, atol=1e-4)


def test_trunk_that_goes_on_answers_as_the_finished_one_did(settle):
    finished = settle(Trunk()).arrays()
    image = torch.rand(8, 3, 32, 32)
    again = Trunk()
    again.start_from(finished, image)
    with torch.no_grad():
        wanted = FoldedTrunk(finished).eval()(image)
        assert torch.allclose(again.eval()(image), wanted, atol=1e-4)
        # Normalised over these very images they are the same: training begins where it ended.
        assert torch.allclose(again.train()(image), wanted, rtol=0.1, atol=1e-2)
    for name, array in again.eval().arrays().items():
        np.testing.assert_allclose(array, finished[name], rtol=1e-3, atol=1e-4)


def test_frozen_convolutions_do_not_change_while_the_others_learn(settle):
    model = TrunkTrainer()
    settle(model.trunk)
    before = model.trunk.arrays()
    model.trunk.freeze(4)
    model.train()
    known = torch.tensor([0, 3, 1, 4])
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 0.01)
    model.loss(torch.rand(4, 3, 32, 32), torch.ones(4), known, known).backward()
    optimiser.step()
    after = model.eval().trunk.arrays()
    for i in range(13):
        name = f"trunk.conv{i}.weight"
        assert np.array_equal(before[name], after[name]) is (i < 4)


def test_each_task_learns_from_its_own_limb():
    torch.manual_seed(0)
    model = TrunkTrainer()
    unknown, grade = torch.tensor([UNKNOWN]), torch.tensor([3])
    x = torch.rand(2, 3, 32, 32)
    model.loss(x, torch.tensor([1, 1]), torch.cat([grade, grade]), torch.cat([unknown] * 2))
    loss = model.loss(x, torch.tensor([1, 1]), grade.repeat(2), unknown.repeat(2))
    loss.backward()
    moved = {
        task: float(head.weight.grad.abs().sum()) if head.weight.grad is not None else 0.0
        for task, head in model.heads.items()
    }
    assert moved.pop("foot_erosion") > 0
    assert set(moved.values()) == {0.0}


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


def test_the_test_fold_is_scikit_learns_with_random_state_42():
    # train_test_split(range(10), test_size=0.2, random_state=42)
    learnt, validation, test = split_rows(10, 0.2, 0.0)
    assert test.tolist() == [8, 1]
    assert learnt.tolist() == [5, 0, 7, 2, 9, 4, 3, 6]
    assert validation.tolist() == []


@pytest.mark.parametrize("rows", [1, 10, 99, 1000])
def test_the_folds_share_no_row_and_lose_none(rows):
    learnt, validation, test = split_rows(rows, 0.1, 0.1)
    assert sorted([*learnt, *validation, *test]) == list(range(rows))
    assert len(test) == -(-rows // 10)
    assert split_rows(rows, 0.0, 0.0)[0].shape == (rows,)


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


def test_balanced_accuracy_weighs_every_grade_the_same():
    truth = np.array([0] * 98 + [1, 2])
    assert balanced_accuracy(truth, np.zeros(100, int)) == pytest.approx(1 / 3)
    assert balanced_accuracy(truth, np.zeros(100, int), 1) == pytest.approx(2 / 3)


def test_cooled_head_is_as_sure_as_it_is_right_and_decides_as_before():
    torch.manual_seed(3)
    features = torch.randn(4000, 512)
    head = Head(5).eval()
    with torch.no_grad():
        honest = head(features)
        grades = (honest.sigmoid() > torch.rand(honest.shape)).int().cumprod(1).sum(1) - 1
        grades = grades.clamp(min=0)
        before = decode_grades((3 * honest).sigmoid().numpy())
        temperature = fitting_temperature([(3 * honest, grades)])
        assert ordinal_loss(3 * honest / temperature, grades) < ordinal_loss(3 * honest, grades)
        head.bn[-1].weight *= 3
        head.bn[-1].bias *= 3
        head.cool(temperature)
        after = head(features)
    assert torch.allclose(after, 3 * honest / temperature, atol=1e-4)
    assert (decode_grades(after.sigmoid().numpy()) == before).all()
