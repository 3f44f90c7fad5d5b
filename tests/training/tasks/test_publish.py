"""A published trunk and the crops it is run on."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from export.importers.compact import save_compact  # noqa: E402
from export.importers.vgg import trunk_shapes  # noqa: E402
from training.models.tensors import device  # noqa: E402
from training.models.trunk import PLAIN, trunk_features  # noqa: E402
from training.tasks.publish import publish_trunk  # noqa: E402
from training.tasks.trunk_file import read_trunk  # noqa: E402

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def vgg():
    rng = np.random.default_rng(0)
    return {
        name: (rng.standard_normal(shape) * 0.05).astype(np.float32)
        for name, shape in trunk_shapes().items()
    }


def test_a_trunk_is_fed_as_the_engine_will_feed_it(vgg, tmp_path):
    from edge.engine.inputs import scale_grey

    save_compact(tmp_path / "trunk.npz", vgg, {})
    trunk = read_trunk(tmp_path / "trunk.npz")
    folded = publish_trunk(trunk.arrays, tmp_path / "out" / "trunk.npz", {}, trunk.compact)
    assert (tmp_path / "out" / "trunk.npz").read_bytes() == (tmp_path / "trunk.npz").read_bytes()
    crops = np.random.default_rng(1).integers(0, 255, (3, 32, 32), np.uint8)
    for rule in (PLAIN, replace(PLAIN, scale=1.0, mean=(103.9, 116.8, 123.7))):
        image = torch.from_numpy(scale_grey(crops, rule.scale, rule.mean, rule.std))
        with torch.no_grad():
            wanted = folded(image.to(device())).cpu()
        torch.testing.assert_close(trunk_features(folded, crops, rule), wanted)
