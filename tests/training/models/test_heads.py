"""Ordinal heads: published counts, targets, loss, temperature."""

import pytest

from edge.pipeline.ordinal import decode_ordinal

torch = pytest.importorskip("torch")
from training.evaluation.accuracy import decode_grades  # noqa: E402
from training.models.heads import (  # noqa: E402
    TASKS,
    Head,
    TrunkTrainer,
    fitting_temperature,
    linear_of,
    ordinal_loss,
    ordinal_targets,
)
from training.models.trunk import FoldedTrunk, Trunk  # noqa: E402
from training.synthetic.crops import UNKNOWN  # noqa: E402

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


@pytest.mark.parametrize("task", list(TASKS))
def test_linear_head_is_read_back_from_the_published_layers(task):
    torch.manual_seed(2)
    linear = torch.nn.Linear(512, TASKS[task])
    head = Head.of_linear(linear)
    head.cool(1.3)
    arrays = head.arrays(task)
    read = linear_of(arrays, task)
    assert torch.equal(read.weight, linear.weight)
    assert torch.equal(read.bias, linear.bias)
    assert linear_of({}, task) is None
    assert linear_of(Head(TASKS[task]).arrays(task), task) is None


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
