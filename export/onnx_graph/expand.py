"""Replaces an operator by ONNX's own definition of it in older operators.

Layer: export; pure functions over ONNX models. ONNX defines Gelu, Mish, LayerNormalization and many
more as functions; a target that lacks the operator reads the function's body. Shapes and axes that
a body computes are constants for a graph with fixed sides, and are stored as such, because older
operators take axes only as attributes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, inliner, numpy_helper
from onnx.reference import ReferenceEvaluator

from export.onnx_graph.fold import drop_unused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

    AnyArray = npt.NDArray[Any]

_DOMAIN = "sharpedge.expanded"


def is_expandable(node: onnx.NodeProto, opset: int) -> bool:
    """Whether ONNX defines the operator, as it is in ``opset``, by other operators."""
    schema: Any = onnx.defs.get_schema(node.op_type, opset, "")
    return bool(schema.has_function or schema.has_context_dependent_function)


def expand(model: onnx.ModelProto, opset: int, places: Iterable[int]) -> onnx.ModelProto:
    """Return the model with the nodes at ``places`` of its graph replaced by their definitions.

    A node whose definition needs types that are not known stays as it is.
    """
    work = onnx.ModelProto()
    work.CopyFrom(onnx.shape_inference.infer_shapes(model))
    work.opset_import.append(helper.make_opsetid(_DOMAIN, 1))
    work.ir_version = max(work.ir_version, 8)
    types = _types(work.graph)
    for place in places:
        node = work.graph.node[place]
        body = _definition(node, opset, types)
        if body is None:
            continue
        body.domain, body.name = _DOMAIN, f"{node.op_type}{place}"
        del body.opset_import[:]
        body.opset_import.append(helper.make_opsetid("", opset))
        node.domain, node.op_type = body.domain, body.name
        work.functions.append(body)
    inlined: onnx.ModelProto = inliner.inline_local_functions(work)
    kept = [item for item in inlined.opset_import if item.domain != _DOMAIN]
    del inlined.opset_import[:]
    inlined.opset_import.extend(kept)
    return _folded(inlined)


def _folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with what can be computed beforehand stored as constants."""
    while True:
        del model.graph.value_info[:]
        shapes = _shapes(onnx.shape_inference.infer_shapes(model).graph)
        constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
        kept: list[onnx.NodeProto] = []
        before = len(constants)
        for node in model.graph.node:
            value = _value(node, constants, shapes, model.opset_import)
            if value is None:
                kept += _plain_shape(node, model.graph) if node.op_type == "Shape" else [node]
                continue
            constants[node.output[0]] = value
            model.graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
        if len(constants) == before:
            return model
        del model.graph.node[:]
        model.graph.node.extend(kept)
        drop_unused(model.graph)


def _value(
    node: onnx.NodeProto,
    constants: Mapping[str, AnyArray],
    shapes: Mapping[str, list[int | None]],
    opsets: Iterable[onnx.OperatorSetIdProto],
) -> AnyArray | None:
    """Value of a node's only output where it depends on constants and fixed sides alone."""
    if len(node.output) != 1:
        return None
    if node.op_type == "Shape":
        settings = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        sides = shapes.get(node.input[0])
        part = None if sides is None else sides[settings.get("start", 0) : settings.get("end")]
        return None if part is None or None in part else np.array(part, np.int64)
    if any(name and name not in constants for name in node.input):
        return None
    if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
        return None
    given = {name: constants[name] for name in node.input if name}
    graph = helper.make_graph(
        [node],
        "constant",
        [helper.make_tensor_value_info(name, _kind(a), list(a.shape)) for name, a in given.items()],
        [onnx.ValueInfoProto(name=node.output[0])],
    )
    model = helper.make_model(graph, opset_imports=list(opsets))
    (value,) = ReferenceEvaluator(model).run(None, given)
    return np.asarray(value)


def _plain_shape(node: onnx.NodeProto, graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Write a Shape of some sides, which opset 15 brought, as a Slice of all sides."""
    settings = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if not settings:
        return [node]
    output, whole = node.output[0], f"{node.output[0]}//whole"
    bounds = {"from": settings.get("start", 0), "to": settings.get("end", np.iinfo(np.int64).max)}
    for key, value in bounds.items():
        graph.initializer.append(
            numpy_helper.from_array(np.array([value], np.int64), f"{output}//{key}")
        )
    return [
        helper.make_node("Shape", list(node.input), [whole]),
        helper.make_node("Slice", [whole, *(f"{output}//{key}" for key in bounds)], [output]),
    ]


def _kind(array: AnyArray) -> int:
    return int(helper.np_dtype_to_tensor_dtype(array.dtype))


def _shapes(graph: onnx.GraphProto) -> dict[str, list[int | None]]:
    return {
        value.name: [
            side.dim_value if side.HasField("dim_value") else None
            for side in value.type.tensor_type.shape.dim
        ]
        for value in [*graph.value_info, *graph.input]
        if value.type.tensor_type.HasField("shape")
    }


def _definition(
    node: onnx.NodeProto, opset: int, types: Mapping[str, onnx.TypeProto]
) -> onnx.FunctionProto | None:
    # The stubs of onnx lack the functions of a schema.
    schema: Any = onnx.defs.get_schema(node.op_type, opset, "")
    given = {attribute.name for attribute in node.attribute}
    for name, attribute in schema.attributes.items():
        if name not in given and attribute.default_value.type:
            node.attribute.append(attribute.default_value)
    plain = [v for v in schema.function_opset_versions if v <= opset]
    dependent = [v for v in schema.context_dependent_function_opset_versions if v <= opset]
    if plain:
        data = schema.get_function_with_opset_version(plain[-1])
    elif dependent:
        known = [types.get(name, onnx.TypeProto()) for name in node.input]
        data = schema.get_context_dependent_function_with_opset_version(
            dependent[-1], node.SerializeToString(), [item.SerializeToString() for item in known]
        )
    else:
        return None
    body = onnx.FunctionProto()
    body.ParseFromString(data)
    return body if body.node else None


def _types(graph: onnx.GraphProto) -> dict[str, onnx.TypeProto]:
    types = {v.name: v.type for v in [*graph.value_info, *graph.input, *graph.output]}
    for item in graph.initializer:
        types[item.name] = helper.make_tensor_type_proto(item.data_type, list(item.dims))
    return types
