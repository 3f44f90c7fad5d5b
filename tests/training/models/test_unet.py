"""The mask network folded."""

import pytest

torch = pytest.importorskip("torch")
from torch.nn import functional  # noqa: E402

from training.models.unet import KERNELS, MultiScaleUNet  # noqa: E402

pytestmark = pytest.mark.training


@torch.no_grad()
def test_folding_changes_no_answer(settle):
    block = settle(MultiScaleUNet())
    arrays = {name: torch.from_numpy(array.copy()) for name, array in block.arrays().items()}
    x = torch.rand(2, 1, 32, 28)

    def stage(name, x):
        joined = torch.cat(
            [
                functional.conv2d(
                    x, arrays[f"{name}.conv{k}.weight"], arrays[f"{name}.conv{k}.bias"],
                    padding=k // 2,
                )
                for k in KERNELS
            ],
            1,
        ).relu()  # fmt: skip
        return functional.conv2d(
            joined, arrays[f"{name}.fuse.weight"], arrays[f"{name}.fuse.bias"]
        ).relu()

    def double(x):
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    e0 = stage("enc0", x)
    e1 = stage("enc1", functional.max_pool2d(e0, 2))
    m = stage("mid", functional.max_pool2d(e1, 2))
    d1 = stage("dec1", torch.cat([double(m), e1], 1))
    d0 = stage("dec0", torch.cat([double(d1), e0], 1))
    folded = functional.conv2d(d0, arrays["head.weight"], arrays["head.bias"])
    torch.testing.assert_close(folded, block(x), atol=2e-5, rtol=1e-4)
