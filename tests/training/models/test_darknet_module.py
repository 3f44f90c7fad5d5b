"""The detector as a torch module: rows, assignments, loss, every layer."""

import numpy as np
import pytest

from export.importers.darknet import parse_cfg
from export.importers.numpy_reference import darknet_forward, decode_heads

torch = pytest.importorskip("torch")
from training.models.darknet import DarknetModule, decode, detection_loss, read_cfg  # noqa: E402
from training.tasks.detector import (  # noqa: E402
    layout,
)

pytestmark = pytest.mark.training


SIZE = 96


FIELDS = 7


@pytest.fixture
def net(tiny_cfg):
    torch.manual_seed(0)
    return DarknetModule(read_cfg(tiny_cfg))


def empty_heads(net):
    with torch.no_grad():
        return [torch.zeros_like(head) for head in net.eval()(torch.zeros(1, 1, SIZE, SIZE))]


@pytest.mark.parametrize(("head", "k", "y", "x"), [(0, 0, 0, 5), (0, 2, 3, 1), (1, 1, 11, 4)])
def test_a_raw_value_lands_in_the_row_of_its_anchor_and_cell(net, head, k, y, x):
    heads = empty_heads(net)
    heads[head][0, k * FIELDS + 4, y, x] = 9
    row = int(decode(heads, net.anchors(), SIZE)[0, :, 4].argmax())
    anchor, cell = layout(net, SIZE)
    stride = (16, 8)[head]
    assert cell[row].tolist() == [x * stride, y * stride, stride]
    assert anchor[row].tolist() == net.anchors()[head][k].tolist()


def assigned_rows(net, joint):
    """Rows whose objectness is pulled up, and rows that are left alone."""
    anchor, cell = layout(net, SIZE)
    decoded = decode(empty_heads(net), net.anchors(), SIZE).requires_grad_()
    detection_loss(decoded, anchor, cell, [torch.tensor([joint])]).backward()
    pull = decoded.grad[0, :, 4]
    return (pull < 0).nonzero().ravel(), (pull == 0).nonzero().ravel(), decoded.grad[0]


@pytest.mark.parametrize("side", [3.0, 8.2, 17.0, 60.0])
def test_a_joint_is_given_to_its_cell_at_the_fitting_anchors(net, side):
    x, y = 41.0, 70.5
    anchor, cell = layout(net, SIZE)
    rows, _, gradient = assigned_rows(net, [1.0, x, y, side])
    area = anchor.prod(1)
    ratio = torch.minimum(area, torch.tensor(side**2)) / area.clamp(min=side**2)
    wanted = ratio > 0.5
    wanted |= ratio == ratio.max()
    holds = (cell[:, 0] <= x) & (x < cell[:, 0] + cell[:, 2])
    holds &= (cell[:, 1] <= y) & (y < cell[:, 1] + cell[:, 2])
    assert rows.tolist() == (wanted & holds).nonzero().ravel().tolist()
    others = torch.ones(len(anchor), dtype=torch.bool)
    others[rows] = False
    assert (gradient[others][:, [0, 1, 2, 3, 5, 6]] == 0).all()
    assert (gradient[rows][:, 6] < 0).all()
    assert (gradient[rows][:, 5] > 0).all()


def test_a_box_that_overlaps_a_joint_is_not_called_background(net):
    # A 16 px joint on a cell's centre: the anchors 16 and 12 are its own, their neighbours not.
    rows, ignored, _ = assigned_rows(net, [0.0, 40.0, 40.0, 16.0])
    assert len(rows) > 0
    assert set(rows.tolist()).isdisjoint(ignored.tolist())
    anchor, cell = layout(net, SIZE)
    centre = cell[:, :2] + cell[:, 2:] / 2
    apart = (centre - 40).abs()
    overlap = ((anchor + 16) / 2 - apart).clamp(min=0).minimum(anchor.clamp(max=16)).prod(1)
    iou = overlap / (anchor.prod(1) + 256 - overlap)
    alone = [row for row in (iou > 0.6).nonzero().ravel().tolist() if row not in rows.tolist()]
    assert ignored.tolist() == alone


def test_an_image_without_joints_is_all_background(net):
    anchor, cell = layout(net, SIZE)
    decoded = decode(empty_heads(net), net.anchors(), SIZE).requires_grad_()
    detection_loss(decoded, anchor, cell, [torch.zeros(0, 4)]).backward()
    assert (decoded.grad[0, :, 4] > 0).all()


def test_a_perfect_answer_has_almost_no_loss(net):
    anchor, cell = layout(net, SIZE)
    joint = torch.tensor([[1.0, 44.0, 44.0, 12.0]])
    decoded = decode(empty_heads(net), net.anchors(), SIZE)
    decoded[..., 4:] = -20
    rows, _, _ = assigned_rows(net, joint[0].tolist())
    decoded[0, rows, :4] = torch.tensor([44.0, 44.0, 12.0, 12.0])
    decoded[0, rows, 4] = 20
    decoded[0, rows, 6] = 20
    assert detection_loss(decoded, anchor, cell, [joint]).item() < 1e-3


EVERY_LAYER = """
[net]
width=64
height=64
channels=3
[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=mish
[convolutional]
batch_normalize=1
filters=8
size=3
stride=1
pad=1
groups=4
activation=swish
[convolutional]
filters=12
size=3
stride=1
pad=1
dilation=2
activation=relu
[shortcut]
from=-2
activation=leaky
[maxpool]
size=2
stride=1
[dropout]
probability=.3
[maxpool]
size=5
stride=2
[route]
layers=-1
groups=2
group_id=1
[upsample]
stride=2
[route]
layers=-1,-5
[convolutional]
filters=14
size=1
stride=2
pad=1
activation={last}
[yolo]
mask=1,2
anchors=6,8, 10,14, 20,24
classes=2
num=3
{rule}
"""


@pytest.mark.parametrize(
    ("last", "rule"), [("linear", "scale_x_y=1.2"), ("logistic", "new_coords=1\nscale_x_y=2")]
)
def test_every_layer_that_export_knows_gives_the_same_boxes(tmp_path, settle, last, rule):
    text = EVERY_LAYER.format(last=last, rule=rule)
    (tmp_path / "every.cfg").write_text(text)
    torch.manual_seed(1)
    net = settle(DarknetModule(read_cfg(tmp_path / "every.cfg")))
    image = np.random.default_rng(2).random((1, 3, 64, 64), np.float32)
    network = parse_cfg(text)
    wanted = decode_heads(network, darknet_forward(network, net.arrays(), image, bn_epsilon=1e-6))[
        0
    ]
    with torch.no_grad():
        found = decode(net(torch.from_numpy(image)), net.anchors(), 64, net.network.heads)[0]
    found[:, 4:] = found[:, 4:].sigmoid()
    # Training's rows run anchor by anchor, the engine's cell by cell.
    rows = found.numpy().reshape(2, -1, FIELDS).transpose(1, 0, 2).reshape(-1, FIELDS)
    np.testing.assert_allclose(rows, wanted, atol=2e-4)


def test_its_arrays_taken_over_by_another_make_it_the_same(tiny_cfg, settle):
    first, second = settle(DarknetModule(read_cfg(tiny_cfg))), DarknetModule(read_cfg(tiny_cfg))
    arrays = first.arrays()
    assert second.load_arrays(arrays) == len(arrays)
    for name, array in second.eval().arrays().items():
        np.testing.assert_array_equal(array, arrays[name])
    assert second.load_arrays({"conv0.weight": np.zeros((1, 1, 3, 3), np.float32)}) == 0


def test_shortcuts_and_routes_count_from_either_end(tiny_cfg):
    text = tiny_cfg.read_text()
    x = torch.rand(1, 1, SIZE, SIZE)
    answers = []
    # [shortcut] is layer 4, so -2 is layer 2; the [route] of -3 stands at layer 8, so 5.
    for changed in (text, text.replace("from=-2", "from=2").replace("layers=-3", "layers=5")):
        tiny_cfg.write_text(changed)
        torch.manual_seed(0)
        net = DarknetModule(read_cfg(tiny_cfg)).eval()
        with torch.no_grad():
            answers.append(net(x))
    for first, second in zip(*answers, strict=True):
        assert torch.equal(first, second)
