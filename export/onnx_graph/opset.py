"""Brings a graph of any opset to one that the engine builder of a target reads.

Layer: export; pure functions over ONNX models. ONNX's own converter raises old graphs to opset 13,
but has no way down for BatchNormalization and others whose later versions only take more types. So
a newer graph is lowered here, operator by operator: an operator that exists in the older opset
keeps its meaning when the attributes that came later hold their defaults. A graph stays at opset 13
where it can; it goes higher, up to the target's ceiling, where an operator needs that. An operator
that is newer than the ceiling is replaced by ONNX's own definition of it
(`export.onnx_graph.expand`). The caller runs both graphs and compares them.
"""

from __future__ import annotations

from contextlib import suppress

import onnx
from onnx import helper, numpy_helper, version_converter

from export.errors import LayerError
from export.onnx_graph.builder import IR_VERSION, OPSET, nodes_of
from export.onnx_graph.expand import expand, is_expandable

STANDARD = ("", "ai.onnx")
DEFAULT_CEILING = 17
"""What TensorRT 8.6 and every later builder reads."""
CEILINGS = {"tensorrt-8.5": 13, "tensorrt-8.6": 17, "tensorrt-10": 20}
"""Target to the newest opset that its ONNX parser reads."""
_IR_VERSIONS = {18: 9}
"""Opset from which on an ir_version is written; `IR_VERSION` before the first."""
_EXPANSIONS = 5
"""An expansion may hold operators that need one too; deeper nesting than this is an error."""
_LATER_VALUES = {
    ("Resize", "coordinate_transformation_mode", b"half_pixel_symmetric"): 19,
    ("Pad", "mode", b"wrap"): 19,
}
"""Values of an attribute that came later than the attribute, and with which opset."""


def to_opset(model: onnx.ModelProto, ceiling: int = DEFAULT_CEILING) -> onnx.ModelProto:
    """Return the model at `OPSET`, or at an opset up to ``ceiling`` where it needs one.

    Raises `LayerError` naming the operator and both opsets.
    """
    work = onnx.ModelProto()
    work.CopyFrom(model)
    opset = _set_opset(work)
    if opset <= OPSET:
        return _raised(work, opset)
    highest = min(opset, ceiling)
    with suppress(LayerError):
        return _lowered(work, opset, OPSET)
    with suppress(LayerError):
        return _lowered(work, opset, highest)
    return _expanded(work, opset, highest)


def _set_opset(work: onnx.ModelProto) -> int:
    """Leave one import of the standard operators and return its version, checked."""
    if work.ir_version > onnx.IR_VERSION:
        raise LayerError(
            f"the file has IR version {work.ir_version}; the onnx installed here reads up to "
            f"{int(onnx.IR_VERSION)}",
            where="model",
            fix="install a newer onnx here, or save the model with an older onnx",
        )
    kept = [item for item in work.opset_import if item.domain in STANDARD]
    del work.opset_import[:]
    work.opset_import.extend(kept)
    opset = kept[0].version if kept else 0
    newest = onnx.defs.onnx_opset_version()
    if not 1 <= opset <= newest:
        raise LayerError(
            f"the file has opset {opset}; the onnx installed here reads 1 to {newest}",
            where="model",
            fix=f"export the model with opset_version={DEFAULT_CEILING}, or install a newer onnx",
        )
    for node in nodes_of(work.graph):
        _schema(node, opset)
    return opset


def _raised(work: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    # Before version 4 weights had to be inputs too; here they no longer are.
    work.ir_version = IR_VERSION
    if opset == OPSET:
        return work
    try:
        raised: onnx.ModelProto = version_converter.convert_version(work, OPSET)
    except Exception as error:  # the converter's errors share no base class
        raise _refusal(opset, OPSET, _last_line(error), "model") from error
    if opset < 11:
        _make_resize_asymmetric(raised.graph)
    return raised


def _make_resize_asymmetric(graph: onnx.GraphProto) -> None:
    """State what Upsample, and Resize before opset 11, mean: the converter takes the new default.

    They map a pixel x of the output to x / scale, without half-pixel centres, and round down.
    """
    for node in nodes_of(graph):
        if node.op_type != "Resize":
            continue
        given = {attribute.name for attribute in node.attribute}
        for name, value in (
            ("coordinate_transformation_mode", "asymmetric"),
            ("nearest_mode", "floor"),
        ):
            if name not in given:
                node.attribute.append(helper.make_attribute(name, value))


def _lowered(work: onnx.ModelProto, opset: int, target: int) -> onnx.ModelProto:
    lower = onnx.ModelProto()
    lower.CopyFrom(work)
    constants = {item.name: item for item in lower.graph.initializer}
    for node in nodes_of(lower.graph):
        _lower(node, opset, target, constants)
    lower.opset_import[0].version = target
    lower.ir_version = next((v for o, v in _IR_VERSIONS.items() if target >= o), IR_VERSION)
    return lower


def _expanded(work: onnx.ModelProto, opset: int, target: int) -> onnx.ModelProto:
    """Replace what the target lacks by ONNX's own definitions, then lower the rest."""
    for _ in range(_EXPANSIONS):
        lacking = [i for i, node in enumerate(work.graph.node) if _is_lacking(node, opset, target)]
        if not lacking:
            break
        work = expand(work, opset, lacking)
    return _lowered(work, opset, target)


def _is_lacking(node: onnx.NodeProto, opset: int, target: int) -> bool:
    try:
        if not onnx.defs.get_schema(node.op_type, target, "").deprecated:
            return False
    except onnx.defs.SchemaError:
        pass
    return is_expandable(node, opset)


def _lower(
    node: onnx.NodeProto, opset: int, target: int, constants: dict[str, onnx.TensorProto]
) -> None:
    where = _where(node)
    newer = _schema(node, opset)
    try:
        older = onnx.defs.get_schema(node.op_type, target, "")
    except onnx.defs.SchemaError as error:
        raise _refusal(opset, target, f"it has no {node.op_type}", where) from error
    if older.deprecated:
        raise _refusal(opset, target, f"{node.op_type} is deprecated there", where)
    if older.since_version == newer.since_version:
        return
    if "axes" in older.attributes and len(node.input) > older.max_input:
        _axes_to_attribute(node, (opset, target), constants, where)
    for attribute in list(node.attribute):
        value = helper.get_attribute_value(attribute)
        if attribute.name in older.attributes:
            later = (node.op_type, attribute.name, attribute.s)
            if _LATER_VALUES.get(later, 0) > target:
                given = attribute.s.decode("utf-8", "replace")
                raise _refusal(
                    opset, target, f"{node.op_type} with {attribute.name}={given}", where
                )
            continue
        default = newer.attributes[attribute.name].default_value
        plain = default.type and helper.get_attribute_value(default) == value
        # Equal parts are what Split does without sizes; dilations have no stated default.
        plain |= (node.op_type, attribute.name) == ("Split", "num_outputs")
        plain |= attribute.name == "dilations" and set(attribute.ints) == {1}
        if not plain:
            raise _refusal(opset, target, f"{node.op_type} with {attribute.name}={value}", where)
        node.attribute.remove(attribute)
    if len(node.input) > older.max_input:
        raise _refusal(opset, target, f"{node.op_type} with {len(node.input)} inputs", where)
    if node.op_type == "GridSample":
        _rename_grid_modes(node)


def _rename_grid_modes(node: onnx.NodeProto) -> None:
    older = {b"linear": b"bilinear", b"cubic": b"bicubic"}
    for attribute in node.attribute:
        if attribute.name == "mode":
            attribute.s = older.get(attribute.s, attribute.s)


def _axes_to_attribute(
    node: onnx.NodeProto,
    opsets: tuple[int, int],
    constants: dict[str, onnx.TensorProto],
    where: str,
) -> None:
    name = node.input.pop()
    if not name:
        return
    if name not in constants:
        raise _refusal(*opsets, f"{node.op_type} with computed axes", where)
    axes = [int(axis) for axis in numpy_helper.to_array(constants[name])]
    node.attribute.append(helper.make_attribute("axes", axes))


def _schema(node: onnx.NodeProto, opset: int) -> onnx.defs.OpSchema:
    try:
        return onnx.defs.get_schema(node.op_type, opset, "")
    except onnx.defs.SchemaError as error:
        raise LayerError(
            f"the operator {node.op_type} is not in opset {opset}",
            where=_where(node),
            fix="export the model with standard operators, or with a newer onnx installed here",
        ) from error


def _where(node: onnx.NodeProto) -> str:
    return f"node {node.name or (node.output[0] if node.output else node.op_type)}"


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _refusal(opset: int, target: int, what: str, where: str) -> LayerError:
    newest = max(CEILINGS.values())
    higher = "" if target >= newest else f', or set target = "tensorrt-10" for opset {newest}'
    return LayerError(
        f"opset {opset} cannot be brought to opset {target}: {what}",
        where=where,
        fix=f"export the model with opset_version={target}{higher}",
    )
