"""The 8-bit graph: its arithmetic, and what it gives beside the FP32 graph."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from onnx import TensorProto, numpy_helper

from edge.anatomy import Limb
from export.errors import LayerError
from export.importers.vgg import scorer_shapes, vgg_to_onnx
from export.int8.convert import round_weights, scale_of, to_int8
from export.int8.plan import plan_int8
from export.onnx_graph.extremes import extremes_of

finite = st.floats(-1e6, 1e6, width=32)


@given(finite, finite)
def test_zero_is_met_exactly_and_the_limits_within_one_step(one, other):
    low, high = min(one, other), max(one, other)
    scale, zero = scale_of(low, high)
    steps = np.arange(256, dtype=np.float64)
    values = (steps - float(zero)) * float(scale)
    assert 0 in values
    for limit in (low, high):
        assert np.abs(values - limit).min() <= float(scale) * 0.51 + 1e-9


@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=4, max_side=5), elements=finite))
def test_each_weight_is_rounded_within_half_a_step_of_its_own_channel(weights):
    whole, scale = round_weights(weights)
    shape = (-1,) + (1,) * (weights.ndim - 1)
    back = whole.astype(np.float64) * scale.reshape(shape)
    assert whole.min() >= -127
    assert np.all(np.abs(back - weights) <= scale.reshape(shape) * 0.51 + 1e-9)


def scorer(tools):
    model = vgg_to_onnx(tools.arrays(scorer_shapes(Limb.HAND)), limb=Limb.HAND, side=32)
    random = np.random.default_rng(3)
    images = [random.random((2, 3, 32, 32), dtype=np.float32) for _ in range(4)]
    return model, images


def converted(model, images):
    plan = plan_int8(model)
    limits = extremes_of(model, images, tensors=set(plan.tensors.values()))
    return to_int8(model, plan, limits), plan, limits


def test_it_gives_nearly_what_the_fp32_graph_gives(tools):
    model, images = scorer(tools)
    rounded, _, _ = converted(model, images)
    for image in images:
        wanted, found = tools.run(model, image), tools.run(rounded, image)
        assert set(found) == set(wanted) == {"erosion", "narrowing"}
        for name in wanted:
            assert np.abs(found[name] - wanted[name]).max() < 0.05
            assert found[name].dtype == np.float32


def test_it_is_not_the_fp32_graph(tools):
    model, images = scorer(tools)
    rounded, _, _ = converted(model, images)
    gap = np.abs(tools.run(rounded, images[0])["erosion"] - tools.run(model, images[0])["erosion"])
    assert gap.max() > 0


def test_weights_are_stored_in_8_bits_and_biases_in_32(tools):
    model, images = scorer(tools)
    rounded, plan, _ = converted(model, images)
    kinds = {item.name: item.data_type for item in rounded.graph.initializer}
    for name in plan.convolutions:
        assert kinds[f"{name}//weights/i8"] == TensorProto.INT8
        assert kinds[f"{name}//bias/i32"] == TensorProto.INT32
        assert f"{name}.weight" not in kinds
    size = sum(numpy_helper.to_array(item).nbytes for item in rounded.graph.initializer)
    whole = sum(numpy_helper.to_array(item).nbytes for item in model.graph.initializer)
    assert size < 0.3 * whole


@pytest.mark.parametrize("bad", [(float("nan"), 1.0), (-float("inf"), 1.0), None])
def test_limits_that_are_missing_or_not_finite_are_refused_by_tensor(tools, bad):
    model, images = scorer(tools)
    plan = plan_int8(model)
    limits = extremes_of(model, images[:1])
    source = next(iter(plan.tensors.values()))
    if bad is None:
        del limits[source]
    else:
        limits[source] = bad
    with pytest.raises(LayerError, match=f"no finite limits of {source}"):
        to_int8(model, plan, limits)


def test_an_old_opset_is_refused_with_the_fix(tools):
    model, images = scorer(tools)
    plan = plan_int8(model)
    limits = extremes_of(model, images[:1])
    model.opset_import[0].version = 12
    with pytest.raises(LayerError, match=r"opset 12 has no rounding.*fix: export the model"):
        to_int8(model, plan, limits)
