"""Types, shapes and constants of a graph's tensors, by ONNX's shape inference.

Layer: export; pure functions over ONNX models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    import numpy.typing as npt

_SMALL = 64
"""Constants of up to so many values may be shapes and axes, which inference needs."""


def constants_of(model: onnx.ModelProto) -> dict[str, npt.NDArray[Any]]:
    """Initializer name to its values."""
    return {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}


def outline(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with its large weights as inputs: inference and checks need no values."""
    graph = onnx.GraphProto(name=model.graph.name)
    graph.node.extend(model.graph.node)
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    for item in model.graph.initializer:
        if _is_weight(item):
            graph.input.append(
                helper.make_tensor_value_info(item.name, item.data_type, list(item.dims))
            )
        else:
            graph.initializer.append(item)
    return onnx.ModelProto(
        ir_version=model.ir_version, opset_import=model.opset_import, graph=graph
    )


def _is_weight(item: onnx.TensorProto) -> bool:
    return (
        item.data_type in (TensorProto.FLOAT, TensorProto.FLOAT16)
        and int(np.prod(item.dims)) > _SMALL
    )


def _inferred(model: onnx.ModelProto) -> onnx.GraphProto:
    return onnx.shape_inference.infer_shapes(outline(model), data_prop=True).graph


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    """Tensor name to its element type, a value of `onnx.TensorProto.DataType`."""
    graph = _inferred(model)
    types = {item.name: item.data_type for item in graph.initializer}
    for value in [*graph.value_info, *graph.input, *graph.output]:
        types[value.name] = value.type.tensor_type.elem_type
    return types


def shapes_of(model: onnx.ModelProto) -> dict[str, tuple[int | None, ...]]:
    """Tensor name to its shape; None where a side is free or not known."""
    graph = _inferred(model)
    return {
        value.name: tuple(
            side.dim_value if side.HasField("dim_value") else None
            for side in value.type.tensor_type.shape.dim
        )
        for value in [*graph.value_info, *graph.input, *graph.output]
    }
