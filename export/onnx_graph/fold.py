"""Folds batch normalisation into the layer before it.

Layer: export; pure functions over ONNX models.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.onnx_graph.builder import fold_batch_norm, nodes_of

if TYPE_CHECKING:
    from export.onnx_graph.builder import Array

_DEFAULT_EPSILON = 1e-5


def fold_batch_norms(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with every BatchNormalization folded that follows a convolution or Gemm.

    One that follows anything else, or a layer that others read too, stays.
    """
    folded = onnx.ModelProto()
    folded.CopyFrom(model)
    graph = folded.graph
    constants = {item.name: item for item in graph.initializer}
    producers = {name: node for node in graph.node for name in node.output}
    readers = Counter(name for node in nodes_of(graph) for name in node.input)
    readers.update(output.name for output in graph.output)
    removed = []
    for node in graph.node:
        if node.op_type != "BatchNormalization":
            continue
        layer = producers.get(node.input[0])
        if layer is None or readers[node.input[0]] != 1 or not _foldable(layer, constants):
            continue
        if any(name not in constants for name in node.input[1:5]):
            continue
        _fold(graph, layer, node, constants)
        layer.output[0] = node.output[0]
        producers[node.output[0]] = layer
        removed.append(node)
    for node in removed:
        graph.node.remove(node)
    drop_unused(graph)
    return folded


def _foldable(layer: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    attributes = {item.name: helper.get_attribute_value(item) for item in layer.attribute}
    if layer.op_type == "ConvTranspose" and attributes.get("group", 1) != 1:
        return False
    if layer.op_type == "Gemm":
        plain = all(attributes.get(key, 1.0) == 1.0 for key in ("alpha", "beta"))
        if not plain or attributes.get("transB", 0) != 1:
            return False
    known = layer.op_type in ("Conv", "ConvTranspose", "Gemm")
    return known and all(name in constants for name in layer.input[1:] if name)


def _fold(
    graph: onnx.GraphProto,
    layer: onnx.NodeProto,
    norm: onnx.NodeProto,
    constants: dict[str, onnx.TensorProto],
) -> None:
    gamma, beta, mean, variance = (_array(constants[name]) for name in norm.input[1:5])
    epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), _DEFAULT_EPSILON)
    weight = _array(constants[layer.input[1]])
    transposed = layer.op_type == "ConvTranspose"
    if transposed:
        weight = weight.swapaxes(0, 1)
    has_bias = len(layer.input) > 2 and layer.input[2]
    bias = _array(constants[layer.input[2]]) if has_bias else None
    weight, bias = fold_batch_norm(
        weight, bias, gamma=gamma, beta=beta, mean=mean, variance=variance, epsilon=epsilon
    )
    if transposed:
        weight = weight.swapaxes(0, 1)
    names = [f"{norm.output[0]}.folded.{part}" for part in ("weight", "bias")]
    for name, array in zip(names, (weight, bias), strict=True):
        tensor = numpy_helper.from_array(np.ascontiguousarray(array), name)
        graph.initializer.append(tensor)
        constants[name] = tensor
    first = layer.input[0]
    del layer.input[:]
    layer.input.extend([first, *names])


def _array(tensor: onnx.TensorProto) -> Array:
    return numpy_helper.to_array(tensor).astype(np.float32)


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove the constants that no node reads, nodes of inner graphs (If, Loop) included."""
    read = {name for node in nodes_of(graph) for name in node.input}
    read |= {output.name for output in graph.output}
    kept = [item for item in graph.initializer if item.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
