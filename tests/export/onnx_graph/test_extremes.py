"""The least and largest value of each tensor, as a run of the graph itself gives them."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from export.onnx_graph.extremes import extremes_of


@pytest.fixture
def model():
    nodes = [
        helper.make_node("Neg", ["image"], ["minus"], name="minus"),
        helper.make_node("Log", ["minus"], ["out"], name="out"),
    ]
    shape = ["n", 1, 2, 2]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, shape)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def picture(*values):
    return np.array(values, np.float32).reshape(1, 1, 2, 2)


def test_they_are_taken_over_all_images(model):
    found = extremes_of(model, [picture(-1, -2, -3, -4), picture(-5, -1, -1, -0.5)])
    assert found["minus"] == (0.5, 5.0)
    assert found["out"] == pytest.approx((np.log(0.5), np.log(5)), rel=1e-6)


def test_a_value_that_is_no_number_leaves_no_limit(model):
    found = extremes_of(model, [picture(-1, -1, 1, -1)])
    assert found["out"] == (-np.inf, np.inf)
    assert found["minus"] == (-1.0, 1.0)


def test_only_the_tensors_that_are_asked_for_are_measured(model):
    assert set(extremes_of(model, [picture(-1, -1, -1, -1)], tensors={"minus"})) == {"minus"}
