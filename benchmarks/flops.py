"""Counts the floating-point operations of a graph from its shapes.

Layer: benchmarks; pure functions over an ONNX model. A multiplication and an addition count as two
operations. Convolutions and matrix products are counted, in whatever number format; activations,
pooling and additions are not: they are less than 1 % of our networks.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import onnx
from onnx import shape_inference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Shapes = dict[str, tuple[int, ...]]


def count_flops(data: bytes, batch: int = 1) -> int:
    """Operations of one run of a graph over ``batch`` images.

    Parameters
    ----------
    data : bytes
        An ONNX model whose only free side is the batch.
    batch : int
        Value of every free side.

    Raises
    ------
    ValueError
        Where the shape of a counted operator cannot be inferred.
    """
    model = onnx.load_from_string(data)
    for item in (*model.graph.input, *model.graph.output):
        for side in item.type.tensor_type.shape.dim:
            if not side.HasField("dim_value"):
                side.dim_value = batch
    del model.graph.value_info[:]
    shapes = _shapes(shape_inference.infer_shapes(model, data_prop=True))
    return sum(_operations(node, shapes) for node in model.graph.node)


def _shapes(model: onnx.ModelProto) -> Shapes:
    graph = model.graph
    found: Shapes = {item.name: tuple(item.dims) for item in graph.initializer}
    for item in (*graph.input, *graph.output, *graph.value_info):
        sides = item.type.tensor_type.shape.dim
        if all(side.HasField("dim_value") for side in sides):
            found[item.name] = tuple(side.dim_value for side in sides)
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            found[node.output[0]] = tuple(node.attribute[0].t.dims)
    return found


def _operations(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> int:
    row = _COUNTED.get(node.op_type)
    if row is None:
        return 0
    count, first, second = row
    names = node.input[first], node.input[second], node.output[0]
    missing = [name for name in names if name not in shapes]
    if missing:
        raise ValueError(f"{node.op_type} {node.name}: the shape of {missing[0]} is not known")
    return count(shapes[names[0]], shapes[names[1]], shapes[names[2]], node)


def _conv(
    _image: tuple[int, ...], weight: tuple[int, ...], out: tuple[int, ...], _node: onnx.NodeProto
) -> int:
    # weight [out, in / groups, kernel...]: each output value is one product over all but "out".
    return 2 * math.prod(out) * math.prod(weight[1:])


def _conv_transpose(
    image: tuple[int, ...], weight: tuple[int, ...], _out: tuple[int, ...], _node: onnx.NodeProto
) -> int:
    # weight [in, out / groups, kernel...]: each input value is spread over all but "in".
    return 2 * math.prod(image) * math.prod(weight[1:])


def _gemm(
    left: tuple[int, ...], _right: tuple[int, ...], out: tuple[int, ...], node: onnx.NodeProto
) -> int:
    turned = any(item.name == "transA" and item.i for item in node.attribute)
    return 2 * math.prod(out) * left[0 if turned else 1]


def _matmul(
    left: tuple[int, ...], _right: tuple[int, ...], out: tuple[int, ...], _node: onnx.NodeProto
) -> int:
    return 2 * math.prod(out) * left[-1]


_COUNTED: dict[str, tuple[Callable[..., int], int, int]] = {
    "Conv": (_conv, 0, 1),
    "ConvInteger": (_conv, 0, 1),
    "QLinearConv": (_conv, 0, 3),
    "ConvTranspose": (_conv_transpose, 0, 1),
    "Gemm": (_gemm, 0, 1),
    "MatMul": (_matmul, 0, 1),
    "MatMulInteger": (_matmul, 0, 1),
    "QLinearMatMul": (_matmul, 0, 3),
}
"""Operator to its count and to the places of its two arrays among its inputs."""
