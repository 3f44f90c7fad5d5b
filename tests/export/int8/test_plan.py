"""Which layers compute in 8 bits, and which tensors are rounded."""

import numpy as np
import pytest

from edge.anatomy import Limb
from export.errors import LayerError
from export.importers.unet import unet_shapes, unet_to_onnx
from export.importers.vgg import scorer_shapes, vgg_to_onnx
from export.int8.plan import plan_int8
from export.onnx_graph.builder import GraphBuilder


def unet(tools):
    widths = dict.fromkeys(("enc0", "enc1", "mid", "dec1", "dec0"), (3, 4))
    return unet_to_onnx(tools.arrays(unet_shapes(widths)), size=(16, 24))


def operators(model):
    return {node.name: node.op_type for node in model.graph.node}


def test_layers_that_read_the_picture_stay_fp32(tools):
    plan = plan_int8(unet(tools))
    assert plan.convolutions
    assert not {"enc0.conv13", "enc0.conv57"} & plan.convolutions
    assert {"enc0.fuse", "enc1.conv13", "head"} <= plan.convolutions


def test_dense_layers_stay_fp32(tools):
    model = vgg_to_onnx(tools.arrays(scorer_shapes(Limb.HAND)), limb=Limb.HAND, side=32)
    kinds = {operators(model)[name] for name in plan_int8(model).convolutions}
    assert kinds == {"Conv"}
    assert len(plan_int8(model).convolutions) == 12


def test_each_further_stage_in_float_leaves_fewer_layers(tools):
    model = unet(tools)
    counts = [len(plan_int8(model, stages).convolutions) for stages in (0, 1, 2)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]
    with pytest.raises(LayerError, match="nothing is gained in 8 bits"):
        plan_int8(model, 9)


def test_a_branch_before_a_relu_takes_the_limits_of_what_the_relu_gives(tools):
    plan = plan_int8(unet(tools))
    assert plan.tensors["enc1.conv13"] == plan.tensors["enc1.conv57"] == "enc1.branches.relu"


def test_a_pool_takes_the_limits_of_its_input(tools):
    plan = plan_int8(unet(tools))
    assert plan.tensors["pool0"] == plan.tensors["enc0.fuse.relu"] == "enc0.fuse.relu"


def test_tensors_are_in_the_order_of_the_graph(tools):
    model = unet(tools)
    order = [name for node in model.graph.node for name in node.output]
    places = [order.index(name) for name in plan_int8(model).tensors]
    assert places == sorted(places)


def test_a_graph_of_one_layer_is_refused_with_the_fix():
    graph = GraphBuilder("one")
    x = graph.input("image", (1, 1, 8, 8))
    x = graph.conv(x, "only", np.ones((1, 1, 1, 1), np.float32), np.zeros(1, np.float32))
    graph.output(x, "out", (1, 1, 8, 8))
    with pytest.raises(LayerError, match="fix: build it in another precision"):
        plan_int8(graph.build())
