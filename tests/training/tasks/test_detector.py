"""The detector training: predictions, schedule, examples, and fitting two films."""

import itertools

import numpy as np
import pytest

from edge.anatomy import JointClass
from training.errors import TrainingError

torch = pytest.importorskip("torch")
from training.models.darknet import DarknetModule, decode, detection_loss, read_cfg  # noqa: E402
from training.run import loop  # noqa: E402
from training.synthetic.augment import warp  # noqa: E402
from training.synthetic.phantom_films import PhantomFilms  # noqa: E402
from training.tasks.detector import (  # noqa: E402
    DetectorExamples,
    detector_batch,
    layout,
    learning_rate,
    non_maximum_suppression,
    train_detector,
)
from training.tasks.recipes import DetectorRecipe  # noqa: E402

pytestmark = pytest.mark.training


SIZE = 96


@pytest.fixture
def net(tiny_cfg):
    torch.manual_seed(0)
    return DarknetModule(read_cfg(tiny_cfg))


def empty_heads(net):
    with torch.no_grad():
        return [torch.zeros_like(head) for head in net.eval()(torch.zeros(1, 1, SIZE, SIZE))]


def test_every_prediction_has_the_anchor_and_cell_that_layout_says(net):
    anchor, cell = layout(net, SIZE)
    decoded = decode(empty_heads(net), net.anchors(), SIZE)[0]
    assert len(anchor) == len(cell) == len(decoded) == 3 * (6 * 6 + 12 * 12)
    torch.testing.assert_close(decoded[:, :2], cell[:, :2] + cell[:, 2:] / 2)
    torch.testing.assert_close(decoded[:, 2:4], anchor)


def test_layout_leaves_no_trace_in_the_network(net):
    before = {name: tensor.clone() for name, tensor in net.train().state_dict().items()}
    layout(net, SIZE)
    assert net.training
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_two_films_are_learnt_by_heart(net, hand_phantoms):
    films = hand_phantoms.films[:2]
    images, targets = [], []
    for film in films:
        zoom = SIZE / max(film.pixels.shape)
        images.append(warp(film.pixels, np.diag([zoom, zoom, 1.0]), SIZE))
        kinds = [0.0 if kind is JointClass.PIP else 1.0 for kind in film.classes]
        boxes = np.column_stack([kinds, film.points * zoom, film.boxes[:, 2] * zoom])
        targets.append(torch.from_numpy(boxes).float())
    x = torch.from_numpy(np.stack(images))[:, None].float() / 255
    anchor, cell = layout(net, SIZE)
    optimiser = torch.optim.Adam(net.parameters())
    net.train()
    losses = []
    for _ in range(150):
        loss = detection_loss(decode(net(x), net.anchors(), SIZE), anchor, cell, targets)
        losses.append(loop.descend(loss, net, optimiser, 1e-2, 30.0))
    assert losses[-1] < 0.2 * losses[0]
    with torch.no_grad():
        decoded = decode(net(x), net.anchors(), SIZE).numpy()
    for boxes, target in zip(decoded, targets, strict=True):
        best = non_maximum_suppression(boxes, 10)
        found = 0
        for kind, cx, cy, side in target.tolist():
            near = np.hypot(best[:, 0] - cx, best[:, 1] - cy) < side / 2
            found += bool((near & (best[:, 5:].argmax(1) == kind)).any())
        assert found >= 9


def test_suppression_keeps_the_best_and_survives_emptiness_and_extremes():
    boxes = np.array(
        [
            [50, 50, 20, 20, 3, 1, -1],
            [52, 50, 20, 20, 2, 1, -1],
            [90, 50, 20, 20, 500, 1, -1],
            [20, 20, 20, 20, -500, 1, -1],
        ],
        np.float32,
    )
    best = non_maximum_suppression(boxes, 10)
    assert best[:, 0].tolist() == [90, 50]
    assert len(non_maximum_suppression(boxes, 1)) == 1
    assert non_maximum_suppression(boxes[3:], 10).shape == (0, 7)


def test_the_rate_warms_up_stays_and_falls():
    recipe = DetectorRecipe(samples=10_000, warm_up=1_000, decay_share=0.3, learning_rate=1.0)
    rates = [learning_rate(recipe, seen) for seen in range(0, 10_001, 50)]
    assert rates[0] < 0.01
    assert rates[10] == pytest.approx(0.5, abs=0.01)
    assert {rates[i] for i in range(20, 140)} == {1.0}
    assert all(a > b for a, b in itertools.pairwise(rates[141:]))
    assert rates[-1] == pytest.approx(0.02)


def test_a_longer_run_has_the_same_rate_until_the_shorter_ones_decay():
    short, long = DetectorRecipe(samples=26_000), DetectorRecipe(samples=42_000)
    for seen in range(0, 16_000, 500):
        assert learning_rate(short, seen) == learning_rate(long, seen)


def test_without_films_it_learns_from_phantoms_and_the_reverse(hand_phantoms, tmp_path):
    recipe = DetectorRecipe(batch=3, size_px=SIZE)
    empty = PhantomFilms(tmp_path, hand_phantoms.films[0].limb)
    for films, phantoms in (([], hand_phantoms), (hand_phantoms.films, empty)):
        images, boxes = detector_batch(DetectorExamples(films, [], phantoms), recipe, 0)
        assert images.shape == (3, 1, SIZE, SIZE)
        assert len(boxes) == 3


def test_nothing_to_learn_from_is_an_error(tiny_cfg, hand_phantoms, tmp_path):
    empty = PhantomFilms(tmp_path, hand_phantoms.films[0].limb)
    with pytest.raises(TrainingError, match="no labelled film and no simulated film"):
        train_detector(
            read_cfg(tiny_cfg),
            tmp_path / "run",
            DetectorExamples([], [], empty),
            DetectorRecipe(samples=3),
        )
