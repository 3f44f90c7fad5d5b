"""The 8-bit graph of an engine keeps as many layers in FP32 as its outputs need."""

import numpy as np
import onnx
import pytest

from edge.engine.passport import Role
from export.errors import LayerError
from export.importers.unet import unet_shapes, unet_to_onnx
from export.int8 import sibling
from export.int8.sibling import make_rounded


@pytest.fixture
def mask(tools):
    widths = dict.fromkeys(("enc0", "enc1", "mid", "dec1", "dec0"), (3, 4))
    model = unet_to_onnx(tools.arrays(unet_shapes(widths)), size=(16, 24))
    random = np.random.default_rng(5)
    return model, [random.random((1, 1, 16, 24), dtype=np.float32) for _ in range(3)]


def test_the_record_states_what_was_measured(mask, tools):
    model, images = mask
    made = make_rounded(model, Role.MASK, images)
    rounded = onnx.load_from_string(made.data)
    worst = max(
        float(np.abs(tools.run(rounded, it)["mask"] - tools.run(model, it)["mask"]).max())
        for it in images
    )
    assert made.record.difference["mask"] == pytest.approx(worst, abs=1e-5)
    assert made.record.images == 3
    assert made.record.float_stages == 0


def test_stages_stay_fp32_until_the_difference_is_small(mask, monkeypatch):
    model, images = mask
    free = make_rounded(model, Role.MASK, images)
    monkeypatch.setattr(sibling, "LARGEST_DIFFERENCE", 0.0)
    strict = make_rounded(model, Role.MASK, images)
    assert strict.record.float_stages > 0
    assert strict.record.difference["mask"] < free.record.difference["mask"]
    assert strict.record.convolutions < free.record.convolutions


def test_the_same_inputs_give_the_same_bytes(mask):
    model, images = mask
    assert make_rounded(model, Role.MASK, images) == make_rounded(model, Role.MASK, images)


def test_without_inputs_nothing_is_made(mask):
    with pytest.raises(LayerError, match="no input to calibrate on"):
        make_rounded(mask[0], Role.MASK, [])
