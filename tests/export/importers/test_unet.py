"""The mask network: agreement with plain numpy, named faults."""

import numpy as np
import pytest

from export.errors import WeightsError
from export.importers.numpy_reference import unet_forward
from export.importers.unet import unet_shapes, unet_to_onnx

WIDTHS = {"enc0": (4, 5), "enc1": (6, 7), "mid": (8, 9), "dec1": (5, 6), "dec0": (3, 4)}


def test_the_mask_network_gives_what_its_arrays_give(tools):
    arrays = tools.arrays(unet_shapes(WIDTHS))
    image = np.random.default_rng(0).random((1, 1, 24, 36), dtype=np.float32)
    found = tools.run(unet_to_onnx(arrays, size=(24, 36)), image)["mask"]
    assert found.shape == image.shape
    assert found.std() > 1e-3
    np.testing.assert_allclose(found, unet_forward(arrays, image), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "replacement", "words"),
    [
        ("mid.fuse.bias", None, "missing"),
        ("mid.conv5.weight", np.zeros((8, 7, 5, 4), np.float32), "asks for"),
        ("extra.weight", np.zeros(3, np.float32), "not known"),
        ("head.bias", np.array([np.inf], np.float32), "not finite"),
        ("enc0.conv1.weight", None, "missing"),
    ],
)
def test_an_array_that_does_not_fit_is_named(tools, name, replacement, words):
    arrays = tools.arrays(unet_shapes(WIDTHS))
    arrays.pop(name, None)
    if replacement is not None:
        arrays[name] = replacement
    with pytest.raises(WeightsError, match=f"{name}.*{words}"):
        unet_to_onnx(arrays, size=(24, 36))


def test_a_size_that_cannot_be_halved_twice_is_refused(tools):
    with pytest.raises(WeightsError, match="multiples of 4"):
        unet_to_onnx(tools.arrays(unet_shapes(WIDTHS)), size=(24, 38))
