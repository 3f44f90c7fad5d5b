"""A gate and the other grades as one head of the published widths."""

import pytest

torch = pytest.importorskip("torch")
from edge.model import Limb  # noqa: E402
from export.importers.vgg import scorer_shapes  # noqa: E402
from training.models.heads import TASKS, DenseLayers, join_gate  # noqa: E402

pytestmark = pytest.mark.training


def test_a_joined_head_is_the_gate_then_the_rest(settle):
    torch.manual_seed(3)
    gate, rest = settle(DenseLayers((512, 128, 64, 1))), settle(DenseLayers((512, 384, 192, 4)))
    head = join_gate(gate, rest, 6)
    features = torch.randn(40, 512)
    with torch.no_grad():
        found = head(features)
        torch.testing.assert_close(found[:, 1:2], gate(features), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found[:, 2:], rest(features), rtol=1e-4, atol=1e-4)
    assert (found[:, 0] > 5).all()
    arrays = head.arrays("hand_erosion")
    shapes = {k: v for k, v in scorer_shapes(Limb.HAND).items() if k in arrays}
    assert {key: array.shape for key, array in arrays.items()} == shapes


def test_every_task_has_a_head_of_its_own_width():
    assert TASKS == {"hand_erosion": 6, "hand_narrowing": 5, "foot_erosion": 11,
                     "foot_narrowing": 5}  # fmt: skip
