"""What training holds in torch and what export makes of its arrays give the same answers."""

import numpy as np
import pytest

from edge.anatomy import Limb
from export.importers.darknet import parse_cfg, write_darknet_weights
from export.importers.darknet.sections import read_sections
from export.importers.unet import unet_to_onnx
from export.importers.vgg import vgg_to_onnx

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.training


def settle(module):
    """Give batch normalisation figures that a mistake in folding would change."""
    generator = torch.Generator().manual_seed(0)
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            for tensor, low, high in (
                (part.running_mean, -0.3, 0.3),
                (part.running_var, 0.5, 2),
                (part.weight.data, 0.5, 1.5),
                (part.bias.data, -0.3, 0.3),
            ):
                tensor.uniform_(low, high, generator=generator)
    return module.eval()


def copied(arrays):
    return {name: np.array(array) for name, array in arrays.items()}


@torch.no_grad()
def test_the_mask_network(tools):
    from training.models.unet import MultiScaleUNet

    net = settle(MultiScaleUNet())
    image = torch.rand(1, 1, 64, 52)
    model = unet_to_onnx(copied(net.arrays()), size=(64, 52))
    found = tools.run(model, image.numpy())["mask"]
    np.testing.assert_allclose(found, torch.sigmoid(net(image)).numpy(), atol=1e-5)


@torch.no_grad()
def test_the_detector(engines_dir, tools):
    from training.models.darknet import DarknetModule

    text = (engines_dir / "cfg" / "yolov3-quarter.cfg").read_text()
    sections = [
        (section.name, {key: value for key, (value, _) in section.values.items()})
        for section in read_sections(text)
    ]
    net = settle(DarknetModule(sections))
    image = torch.rand(1, 1, 96, 96)
    data = write_darknet_weights(parse_cfg(text), copied(net.arrays()))
    model = tools.import_darknet(text, data, size=(96, 96), output="raw")
    found = list(tools.run(model, image.numpy()).values())
    for raw, head in zip(found, net(image), strict=True):
        np.testing.assert_allclose(raw, head.numpy(), atol=1e-5)


@torch.no_grad()
def test_the_scorer(tools):
    from training.models.heads import Head
    from training.models.trunk import Trunk

    trunk, erosion, narrowing = settle(Trunk()), settle(Head(11)), settle(Head(5))
    arrays = {
        **trunk.arrays(),
        **erosion.arrays("foot_erosion"),
        **narrowing.arrays("foot_narrowing"),
    }
    image = torch.rand(2, 3, 48, 48)
    found = tools.run(vgg_to_onnx(copied(arrays), limb=Limb.FOOT, side=48), image.numpy())
    features = trunk(image)
    for name, head in (("erosion", erosion), ("narrowing", narrowing)):
        wanted = torch.sigmoid(head(features)).numpy()
        np.testing.assert_allclose(found[name], wanted, atol=1e-5)
