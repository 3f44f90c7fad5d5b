from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.flops import count_flops
from export.onnx_graph.builder import GraphBuilder


def model(op, image, weight, out, **attributes):
    node = helper.make_node(op, ["x", "w"], ["y"], **attributes)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, image)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(np.zeros(weight, np.float32), "w")],
    )
    opset = [helper.make_opsetid("", 13)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


@pytest.mark.parametrize(
    ("data", "flops"),
    [
        # 16 outputs of 3 x 3 x 8 products, over 10 x 12 places
        (model("Conv", [1, 8, 10, 12], [16, 8, 3, 3], [1, 16, 10, 12], pads=[1, 1, 1, 1]),
         2 * 16 * 10 * 12 * 8 * 9),
        # stride 2 halves both sides
        (model("Conv", [1, 8, 10, 12], [16, 8, 3, 3], [1, 16, 5, 6], pads=[1, 1, 1, 1],
               strides=[2, 2]), 2 * 16 * 5 * 6 * 8 * 9),
        # depthwise: each output sees one input
        (model("Conv", [1, 8, 10, 12], [8, 1, 3, 3], [1, 8, 8, 10], group=8),
         2 * 8 * 8 * 10 * 9),
        # each of 8 x 10 x 12 inputs is spread over 4 outputs of 2 x 2
        (model("ConvTranspose", [1, 8, 10, 12], [8, 4, 2, 2], [1, 4, 20, 24], strides=[2, 2]),
         2 * 8 * 10 * 12 * 4 * 4),
        (model("Gemm", [5, 7], [7, 3], [5, 3]), 2 * 5 * 7 * 3),
        (model("Gemm", [7, 5], [7, 3], [5, 3], transA=1), 2 * 5 * 7 * 3),
        (model("MatMul", [2, 5, 7], [7, 3], [2, 5, 3]), 2 * 2 * 5 * 7 * 3),
    ],
)  # fmt: skip
def test_operations_are_those_that_a_person_counts(data, flops):
    assert count_flops(data) == flops


def scorer():
    graph = GraphBuilder("small")
    x = graph.input("image", ("n", 3, 8, 8))
    x = graph.conv(x, "c", np.zeros((4, 3, 3, 3), "f4"), np.zeros(4, "f4"), pads=(1, 1, 1, 1))
    x = graph.node("Relu", (x,), "r")
    x = graph.node("GlobalAveragePool", (x,), "g")
    x = graph.node("Flatten", (x,), "f", axis=1)
    graph.output(graph.gemm(x, "d", np.zeros((6, 4), "f4"), np.zeros(6, "f4")), "out", ("n", 6))
    return graph.build().SerializeToString()


@pytest.mark.parametrize("batch", [1, 10])
def test_a_free_batch_multiplies_and_other_operators_count_nothing(batch):
    assert count_flops(scorer(), batch) == batch * 2 * (4 * 8 * 8 * 3 * 9 + 6 * 4)


def test_a_shape_that_cannot_be_inferred_is_named():
    whole = onnx.load_from_string(model("Gemm", [5, 7], [7, 3], [5, 3]))
    whole.graph.node[0].input[1] = "nowhere"
    with pytest.raises(ValueError, match=r"Gemm .*shape of nowhere"):
        count_flops(whole.SerializeToString())


def test_an_8_bit_graph_has_the_operations_of_its_fp32_graph(monkeypatch):
    from benchmarks import full_size
    from benchmarks.full_size import computing_as, random_engine

    small = full_size._MODELS["full-unet-512"]
    monkeypatch.setattr(full_size, "_MASK_SIZE", (32, 32))
    monkeypatch.setitem(full_size._MODELS, "full-unet-512", (*small[:2], (32, 32), small[3]))
    exact = random_engine("full-unet-512")
    rounded = computing_as(exact, {"backend": "onnxruntime", "engine": {"precision": "int8"}})
    assert rounded.data != exact.data
    assert count_flops(rounded.data) == count_flops(exact.data) > 1e6
