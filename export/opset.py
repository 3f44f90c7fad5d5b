"""Brings a graph of any opset to the one our engines use.

Room: export. Pure functions over ONNX models. ONNX's own converter raises old graphs, but has no
way down for BatchNormalization and others whose later versions only take more types. So a newer
graph is lowered here, operator by operator: an operator that exists in the older opset keeps its
meaning when the attributes that came later hold their defaults. The caller runs both graphs and
compares them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from onnx import helper, numpy_helper, version_converter

from export.errors import LayerError
from export.graph import OPSET

if TYPE_CHECKING:
    from collections.abc import Iterator

STANDARD = ("", "ai.onnx")


def to_our_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model at `OPSET`. Raises `LayerError` naming the operator and both opsets."""
    work = onnx.ModelProto()
    work.CopyFrom(model)
    kept = [item for item in work.opset_import if item.domain in STANDARD]
    del work.opset_import[:]
    work.opset_import.extend(kept)
    opset = kept[0].version if kept else 0
    newest = onnx.defs.onnx_opset_version()
    if not 1 <= opset <= newest:
        raise _refusal(opset, f"the onnx installed here reads 1 to {newest}", "model")
    for node in nodes_of(work.graph):
        _schema(node, opset)
    if opset > OPSET:
        constants = {item.name: item for item in work.graph.initializer}
        for node in nodes_of(work.graph):
            _lower(node, opset, constants)
        work.opset_import[0].version = OPSET
        return work
    if opset < OPSET:
        try:
            raised: onnx.ModelProto = version_converter.convert_version(work, OPSET)
        except (RuntimeError, ValueError, IndexError) as error:
            raise _refusal(opset, str(error).splitlines()[-1], "model") from error
        return raised
    return work


def nodes_of(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Every node of a graph and of the graphs inside its nodes."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            inner = [attribute.g] if attribute.HasField("g") else []
            for part in [*inner, *attribute.graphs]:
                yield from nodes_of(part)


def _lower(node: onnx.NodeProto, opset: int, constants: dict[str, onnx.TensorProto]) -> None:
    where = _where(node)
    newer = _schema(node, opset)
    try:
        older = onnx.defs.get_schema(node.op_type, OPSET, "")
    except onnx.defs.SchemaError as error:
        raise _refusal(opset, f"it has no {node.op_type}", where) from error
    if older.since_version == newer.since_version:
        return
    if "axes" in older.attributes and len(node.input) > older.max_input:
        _axes_to_attribute(node, opset, constants, where)
    for attribute in list(node.attribute):
        if attribute.name in older.attributes:
            continue
        default = newer.attributes[attribute.name].default_value
        value = helper.get_attribute_value(attribute)
        plain = default.type and helper.get_attribute_value(default) == value
        # Equal parts are what Split does without sizes.
        if not plain and (node.op_type, attribute.name) != ("Split", "num_outputs"):
            raise _refusal(opset, f"{node.op_type} with {attribute.name}={value}", where)
        node.attribute.remove(attribute)
    if len(node.input) > older.max_input:
        raise _refusal(opset, f"{node.op_type} with {len(node.input)} inputs", where)


def _axes_to_attribute(
    node: onnx.NodeProto, opset: int, constants: dict[str, onnx.TensorProto], where: str
) -> None:
    name = node.input.pop()
    if not name:
        return
    if name not in constants:
        raise _refusal(opset, f"{node.op_type} with computed axes", where)
    axes = [int(axis) for axis in numpy_helper.to_array(constants[name])]
    node.attribute.append(helper.make_attribute("axes", axes))


def _schema(node: onnx.NodeProto, opset: int) -> onnx.defs.OpSchema:
    try:
        return onnx.defs.get_schema(node.op_type, opset, "")
    except onnx.defs.SchemaError as error:
        raise LayerError(
            f"the operator {node.op_type} is not in opset {opset}",
            where=_where(node),
            mend="export the model with standard operators, or with a newer onnx installed here",
        ) from error


def _where(node: onnx.NodeProto) -> str:
    return f"node {node.name or (node.output[0] if node.output else node.op_type)}"


def _refusal(opset: int, what: str, where: str) -> LayerError:
    return LayerError(
        f"opset {opset} cannot be brought to opset {OPSET}: {what}",
        where=where,
        mend=f"export the model with opset_version={OPSET}",
    )
