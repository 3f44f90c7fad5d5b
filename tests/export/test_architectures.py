"""The mask network and the scorer: published counts, agreement with plain numpy, named faults."""

import numpy as np
import pytest

from edge.model import Limb
from export.errors import WeightsError
from export.importers.unet import unet_shapes, unet_to_onnx
from export.importers.vgg import (
    head_shapes,
    scorer_shapes,
    trunk_shapes,
    vgg_to_onnx,
)
from export.verification.numpy_reference import unet_forward, vgg_forward

WIDTHS = {"enc0": (4, 5), "enc1": (6, 7), "mid": (8, 9), "dec1": (5, 6), "dec0": (3, 4)}


@pytest.fixture(scope="module")
def scorer(tools):
    return tools.arrays(scorer_shapes(Limb.HAND))


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


def test_the_scorer_has_the_published_number_of_parameters():
    def parameter_count(shapes):
        return sum(int(np.prod(shape)) for shape in shapes.values())

    trunk = parameter_count(trunk_shapes())
    assert trunk == 14_714_688
    totals = {k: trunk + parameter_count(head_shapes("any", k)) for k in (5, 6, 11)}
    assert totals == {5: 15_113_049, 6: 15_113_310, 11: 15_114_615}


def test_the_scorer_gives_what_its_arrays_give(tools, scorer):
    image = np.random.default_rng(0).random((3, 3, 32, 32), dtype=np.float32)
    found = tools.run(vgg_to_onnx(scorer, limb=Limb.HAND, side=32), image)
    wanted = vgg_forward(scorer, image, Limb.HAND)
    assert {name: array.shape for name, array in found.items()} == {
        "erosion": (3, 6),
        "narrowing": (3, 5),
    }
    for name, array in wanted.items():
        assert array.std() > 1e-3
        np.testing.assert_allclose(found[name], array, atol=1e-5)


def test_one_file_may_hold_both_limbs(scorer, tools):
    foot = tools.arrays(scorer_shapes(Limb.FOOT))
    model = vgg_to_onnx({**foot, **scorer}, limb=Limb.FOOT, side=32)
    image = np.random.default_rng(0).random((1, 3, 32, 32), dtype=np.float32)
    assert tools.run(model, image)["erosion"].shape == (1, 11)


def test_a_scorer_of_the_other_limb_is_refused(scorer):
    with pytest.raises(WeightsError, match=r"foot_erosion.bn0.beta.*missing"):
        vgg_to_onnx(scorer, limb=Limb.FOOT, side=32)
