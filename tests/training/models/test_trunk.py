"""The trunk: folding, freezing, starting from a finished one."""

import numpy as np
import pytest

from edge.anatomy import Limb
from export.importers.numpy_reference import vgg_forward
from export.importers.vgg import EXCLUSION_STAGES, exclusion_shapes, scorer_shapes

torch = pytest.importorskip("torch")
from training.models.heads import (  # noqa: E402
    TrunkTrainer,
)
from training.models.trunk import FoldedTrunk, Trunk  # noqa: E402

pytestmark = pytest.mark.training


@torch.no_grad()
def test_the_folded_trunk_answers_as_the_trunk(settle):
    torch.manual_seed(1)
    trunk = settle(Trunk())
    x = torch.rand(3, 3, 64, 64)
    features = trunk(x)
    assert features.shape == (3, 512)
    assert features.std() > 1e-3
    torch.testing.assert_close(FoldedTrunk(trunk.arrays())(x), features, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_the_stages_that_exclusions_read_are_those_of_the_exported_scorer(settle):
    torch.manual_seed(2)
    trunk = settle(Trunk()).arrays()
    rng = np.random.default_rng(3)
    arrays = {
        name: np.abs(rng.standard_normal(shape, dtype=np.float32)) / 30
        for name, shape in (scorer_shapes(Limb.FOOT) | exclusion_shapes(Limb.FOOT)).items()
    } | trunk
    image = torch.rand(2, 3, 32, 32)
    means = FoldedTrunk(trunk, EXCLUSION_STAGES)(image)
    assert means.shape == (2, 1024)
    torch.testing.assert_close(means[:, 512:], FoldedTrunk(trunk)(image))
    signed = rng.standard_normal((3, 1024), dtype=np.float32)
    arrays["foot_exclusion.weight"] = signed / np.float32(means.norm())
    weight, bias = (torch.from_numpy(arrays[f"foot_exclusion.{it}"]) for it in ("weight", "bias"))
    wanted = vgg_forward(arrays, image.numpy(), Limb.FOOT)["exclusion"]
    assert wanted.std() > 0.02
    found = (means @ weight.T + bias).sigmoid()
    torch.testing.assert_close(found, torch.from_numpy(wanted), atol=1e-5, rtol=1e-4)


def test_a_trunk_that_starts_from_a_finished_one_gives_its_answers(settle):
    torch.manual_seed(5)
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
