"""FP16 graphs: safe by construction, typed as planned, and judged by an evaluator that rounds."""

import warnings

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from edge.engine.passport import InputSpec, Role
from edge.model import Limb
from export.errors import LayerError
from export.fp16.convert import to_half, to_rounded
from export.fp16.plan import activation_ranges, plan_half
from export.fp16.sibling import make_sibling
from export.importers.darknet import darknet_to_onnx
from export.importers.unet import unet_shapes, unet_to_onnx
from export.importers.vgg import scorer_shapes, vgg_to_onnx
from export.onnx_graph.builder import GraphBuilder

SIDE = 8


def network(*, weight=0.3, bias=0.0, tail=("Sigmoid",), between=()):
    """Convolution, operators, convolution, operators: [1, 2, 8, 8] to ``out``."""
    random = np.random.default_rng(1)
    graph = GraphBuilder("net")
    x = graph.input("image", (1, 2, SIDE, SIDE))
    kernel = (random.standard_normal((4, 2, 3, 3)) * weight).astype(np.float32)
    x = graph.conv(x, "first", kernel, np.full(4, bias, np.float32), pads=(1, 1, 1, 1))
    for number, (op, attributes, constants) in enumerate(between):
        inputs = [
            graph.constant(f"{op}{number}.{i}", np.array(value, np.float32))
            for i, value in enumerate(constants)
        ]
        x = graph.node(op, (x, *inputs), f"{op}{number}", **attributes)
    kernel = (random.standard_normal((3, 4, 1, 1)) * 0.3).astype(np.float32)
    x = graph.conv(x, "last", kernel, np.zeros(3, np.float32))
    for op in tail:
        x = graph.node(op, (x,), op)
    graph.output(x, "out", (1, 3, SIDE, SIDE))
    return graph.build()


def images(count=2):
    random = np.random.default_rng(2)
    return [random.random((1, 2, SIDE, SIDE), dtype=np.float32) for _ in range(count)]


def planned(model, given=None):
    return plan_half(model, activation_ranges(model, given or images()))


def why(plan):
    return {kept.node: kept.why for kept in plan.kept}


def reference(model, image):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ReferenceEvaluator(model).run(None, {"image": image})[0]


def types(model):
    graph = onnx.shape_inference.infer_shapes(model).graph
    return {value.name: value.type.tensor_type.elem_type for value in graph.value_info}


def test_ranges_are_the_largest_values_over_all_images(tools):
    model = network()
    given = images(3)
    found = activation_ranges(model, given)
    wanted = max(np.abs(tools.run(model, image)["out"]).max() for image in given)
    assert found["out"] == pytest.approx(wanted, rel=1e-6)
    assert set(found) == {"first", "last", "Sigmoid", "out"}


def test_inputs_and_outputs_stay_fp32_and_layers_become_fp16():
    model = network()
    half = to_half(model, planned(model))
    assert [v.type.tensor_type.elem_type for v in (*half.graph.input, *half.graph.output)] == [1, 1]
    kinds = types(half)
    assert kinds["first"] == kinds["last"] == TensorProto.FLOAT16
    assert kinds["Sigmoid"] == TensorProto.FLOAT
    stored = {item.name: item.data_type for item in half.graph.initializer}
    assert stored["first.weight//half"] == TensorProto.FLOAT16
    assert "first.weight" not in stored


def test_what_follows_the_last_weights_stays_fp32():
    kept = why(planned(network(tail=("Sigmoid", "Exp"))))
    assert "no layer with weights" in kept["Sigmoid"]
    assert "Exp" in kept["Exp"]


def test_a_layer_that_would_overflow_stays_fp32_and_its_values_survive(tools):
    model = network(bias=60000.0, between=[("Relu", {}, ())])
    plan = planned(model)
    assert "reached 6" in why(plan)["first"]
    image = images(1)[0]
    wanted = tools.run(model, image)["out"]
    assert np.isfinite(reference(to_half(model, plan), image)).all()
    np.testing.assert_allclose(tools.run(to_rounded(model, plan), image)["out"], wanted, atol=2e-3)


def test_the_rounding_evaluator_overflows_where_half_precision_does(tools):
    model = network(bias=60000.0, between=[("Mul", {}, (3.0,)), ("Mul", {}, (1e-5,))])
    unsafe = plan_half(model, {})
    image = images(1)[0]
    with np.errstate(all="ignore"):
        wanted = reference(to_half(model, unsafe), image)
    found = tools.run(to_rounded(model, unsafe), image)["out"]
    assert np.isfinite(tools.run(model, image)["out"]).all()
    assert not np.isfinite(wanted).all()
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(wanted))


@pytest.mark.parametrize(
    ("between", "node", "words"),
    [
        ([("Mul", {}, (1e-9,))], "Mul0", "rounds to 0"),
        ([("Add", {}, (1e5,))], "Add0", "FP16 ends at 65504"),
        ([("Div", {}, (2.0,))], "Div0", "Div is not known"),
        ([("Clip", {}, (0.0, 1e6))], "Clip0", "FP16 ends at 65504"),
    ],
)
def test_constants_and_operators_that_fp16_spoils_stay_fp32(between, node, words):
    assert words in why(planned(network(between=between)))[node]


def test_weights_too_small_for_fp16_stay_fp32():
    model = network(weight=1e-7)
    assert "too small" in why(planned(model))["first"]


def test_the_mean_of_a_large_map_stays_fp32():
    graph = GraphBuilder("mean")
    x = graph.input("image", (1, 1, 64, 64))
    x = graph.node("GlobalAveragePool", (x,), "mean")
    x = graph.conv(x, "last", np.ones((1, 1, 1, 1), np.float32), np.zeros(1, np.float32))
    graph.output(x, "out", (1, 1, 1, 1))
    model = graph.build()
    safe = plan_half(model, {"image": 10.0, "mean": 10.0})
    assert "mean" in safe.half
    assert "its sum" in why(plan_half(model, {"image": 20.0, "mean": 20.0}))["mean"]


def test_scales_of_a_resize_stay_fp32():
    graph = GraphBuilder("up")
    x = graph.upsample(graph.input("image", (1, 2, SIDE, SIDE)), "up", (2, 2))
    kernel = np.ones((1, 2, 1, 1), np.float32)
    graph.output(graph.conv(x, "last", kernel, np.zeros(1, np.float32)), "out", (1, 1, 16, 16))
    model = graph.build()
    plan = planned(model)
    assert "up" in plan.half
    half = to_half(model, plan)
    stored = {item.name: item.data_type for item in half.graph.initializer}
    assert stored["up.scales"] == TensorProto.FLOAT
    image = images(1)[0]
    np.testing.assert_allclose(reference(half, image), reference(model, image), atol=5e-3)


def test_control_flow_is_refused_by_node():
    model = network()
    inner = helper.make_graph([], "inner", [], [])
    model.graph.node.add().CopyFrom(
        helper.make_node("If", ["c"], ["y"], name="branch", then_branch=inner, else_branch=inner)
    )
    with pytest.raises(LayerError, match=r"node branch.*control flow"):
        plan_half(model, {})


OPERATORS = st.lists(
    st.sampled_from(
        [
            ("Relu", {}, ()), ("LeakyRelu", {"alpha": 0.1}, ()), ("Sigmoid", {}, ()),
            ("Tanh", {}, ()), ("Add", {}, (0.37,)), ("Mul", {}, (1.7,)), ("Sub", {}, (0.2,)),
            ("MaxPool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, ()),
            ("Softplus", {}, ()), ("Neg", {}, ()), ("Mul", {}, (1e-9,)), ("Abs", {}, ()),
        ]
    ),
    max_size=5,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(between=OPERATORS, tail=st.lists(st.sampled_from(["Sigmoid", "Relu", "Exp"]), max_size=2))
def test_typed_graph_and_rounding_evaluator_agree_on_random_networks(tools, between, tail):
    model = network(between=between, tail=tuple(dict.fromkeys(tail)))
    given = images(2)
    plan = planned(model, given)
    half, rounded = to_half(model, plan), to_rounded(model, plan)
    for image in given:
        wanted = reference(half, image)
        found = tools.run(rounded, image)["out"]
        single = tools.run(model, image)["out"]
        scale = max(1.0, float(np.abs(single).max()))
        np.testing.assert_allclose(found, wanted, atol=4e-3 * scale)
        np.testing.assert_allclose(found, single, atol=2e-2 * scale)


# No maxpool of even size: onnx's evaluator errs where it pads one side alone.
CFG = """[net]
height=32
width=32
channels=1
[convolutional]
batch_normalize=1
filters=4
size=3
stride=2
pad=1
activation=leaky
[convolutional]
batch_normalize=1
filters=6
size=3
stride=2
pad=1
activation=mish
[upsample]
stride=2
[route]
layers=-1,0
[convolutional]
filters=14
size=1
activation=linear
[yolo]
mask=0,1
anchors=4,4, 8,8
classes=2
"""


def architecture(name, tools):
    """A small model of each role's architecture: graph, input, output to compare."""
    if name == "unet":
        widths = dict.fromkeys(("enc0", "enc1", "mid", "dec1", "dec0"), (3, 4))
        return unet_to_onnx(tools.arrays(unet_shapes(widths)), size=(16, 24)), (1, 1, 16, 24)
    if name == "vgg16":
        arrays = {key: value * 0.7 if value.ndim > 1 else value
                  for key, value in tools.arrays(scorer_shapes(Limb.HAND)).items()}  # fmt: skip
        return vgg_to_onnx(arrays, limb=Limb.HAND, side=32), (2, 3, 32, 32)
    network, arrays = tools.darknet(CFG)
    return darknet_to_onnx(network, arrays), (1, 1, 32, 32)


@pytest.mark.parametrize("name", ["unet", "yolo", "vgg16"])
def test_each_architecture_computes_in_fp16_what_the_rounding_evaluator_computes(name, tools):
    model, shape = architecture(name, tools)
    image = np.random.default_rng(3).random(shape, dtype=np.float32)
    plan = plan_half(model, activation_ranges(model, [image]))
    half = to_half(model, plan)
    names = [value.name for value in half.graph.output]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = ReferenceEvaluator(half).run(None, {"image": image})
    found = tools.run(to_rounded(model, plan), image)
    for output, array in zip(names, wanted, strict=True):
        assert array.dtype == np.float32
        scale = 32.0 if output == "boxes" else 1.0
        np.testing.assert_allclose(found[output], array, atol=2e-3 * scale)
        assert np.ptp(array) > 0


def test_the_record_states_what_stayed_fp32_and_how_far_the_outputs_moved(tools):
    widths = dict.fromkeys(("enc0", "enc1", "mid", "dec1", "dec0"), (3, 4))
    model = unet_to_onnx(tools.arrays(unet_shapes(widths)), size=(16, 24))
    spec = InputSpec(channels=1, height=16, width=24, scale=1 / 255, mean=(0.0,), std=(1.0,))
    sibling = make_sibling(model, name="hand-mask", role=Role.MASK, limb=Limb.HAND, spec=spec)
    assert sibling.record.file == "hand-mask.fp16.onnx"
    assert {kept.node for kept in sibling.record.kept_fp32} == {"head.sigmoid", "mask"}
    assert sibling.record.half_nodes > 30
    assert 0 < sibling.record.agreement["mask"] < 0.02
    assert sibling.record.largest_activation > 0
    half = onnx.load_from_string(sibling.data)
    assert any(item.data_type == TensorProto.FLOAT16 for item in half.graph.initializer)
    image = np.full((1, 1, 16, 24), 0.5, np.float32)
    np.testing.assert_allclose(
        tools.run(half, image)["mask"], tools.run(model, image)["mask"], atol=0.02
    )
