"""Plans which nodes of an FP32 graph can compute in FP16.

Layer: export; pure functions over ONNX models. Graph inputs and outputs stay FP32. A node runs in
FP16 only where that is known to be safe: its operator is listed here, no value of the calibration
comes near the largest FP16 number, its constants survive the rounding, and a layer with weights
comes after it. What follows the last such layer (box decoding, sigmoids) is cheap and stays FP32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto

from export.errors import LayerError
from export.onnx_graph.extremes import extremes_of
from export.onnx_graph.inference import constants_of, shapes_of, types_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import numpy.typing as npt

    from export.onnx_graph.builder import Array

LARGEST = 65504.0
"""Largest finite FP16 number."""
HEADROOM = 4.0
"""The calibration's largest value times this must fit: other films have other values."""
WEIGHT_ERROR = 0.01
"""Largest relative error that rounding may put on one output channel of a layer."""

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_SUMMING = frozenset({"GlobalAveragePool", "AveragePool"})
MOVING = frozenset(
    {
        "Concat", "DepthToSpace", "Dropout", "Expand", "Flatten", "GlobalMaxPool", "Identity",
        "MaxPool", "Pad", "Relu", "Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze",
        "Transpose", "Unsqueeze",
    }
)  # fmt: skip
"""Operators whose result is among their inputs, or zero: they round nothing."""
_SAFE = (
    _WEIGHTED
    | _SUMMING
    | MOVING
    | {
        "Add", "Clip", "Elu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mul", "PRelu", "Resize",
        "Selu", "Sigmoid", "Softplus", "Sub", "Tanh",
    }
)  # fmt: skip
_DATA_INPUTS = {"Resize": 1, "Reshape": 1, "Slice": 1, "Expand": 1, "Squeeze": 1, "Unsqueeze": 1}
"""Operators of which only the first inputs are data; the others are scales, shapes and axes."""


@dataclass(frozen=True)
class KeptLayer:
    """A node that stays FP32, and why."""

    node: str
    why: str


@dataclass(frozen=True)
class HalfPlan:
    """Which nodes run in FP16; ``kept`` are the others that compute with floats.

    ``largest`` is the largest absolute activation of the calibration, by tensor.
    """

    half: frozenset[str]
    kept: tuple[KeptLayer, ...]
    largest: Mapping[str, float]


def activation_ranges(
    model: onnx.ModelProto, images: Iterable[Array], *, input_name: str = "image"
) -> dict[str, float]:
    """Largest absolute value of every float tensor that the graph computes, over ``images``.

    Each image is [n, C, H, W] float32. See `export.onnx_graph.extremes.extremes_of`.
    """
    limits = extremes_of(model, images, input_name=input_name)
    return {name: max(abs(low), abs(high)) for name, (low, high) in limits.items()}


def plan_half(model: onnx.ModelProto, largest: Mapping[str, float]) -> HalfPlan:
    """Choose the nodes that run in FP16. Every node must have a name of its own.

    Raises `LayerError` for a graph with inner graphs (If, Loop, Scan) or nameless nodes.
    """
    types = types_of(model)
    shapes = shapes_of(model)
    constants = constants_of(model)
    before_weights = _before_weights(model)
    half: set[str] = set()
    kept: list[KeptLayer] = []
    names = [node.name for node in model.graph.node]
    for node in model.graph.node:
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise LayerError(
                f"{node.op_type} holds a graph of its own, which is not converted to FP16",
                where=f"node {node.name or node.output[0]}",
                fix="export the model without control flow, or build it with precision fp32",
            )
        if not node.name or names.count(node.name) > 1:
            raise LayerError(
                f"a {node.op_type} has no name of its own",
                where=f"node {node.name or node.output[0]}",
                fix="name every node of the graph",
            )
        if not any(types.get(name) == TensorProto.FLOAT for name in node.output):
            continue
        if node.op_type == "Constant":
            continue
        why = _why_not(node, largest, shapes, constants, types)
        if why is None and node.name not in before_weights:
            why = "no layer with weights comes after it"
        if why is None:
            half.add(node.name)
        else:
            kept.append(KeptLayer(node.name, why))
    return HalfPlan(frozenset(half), tuple(kept), dict(largest))


def plan_of_kept(model: onnx.ModelProto, kept: Iterable[str]) -> HalfPlan:
    """Return the plan of which only the names of the FP32 nodes were kept, without its ranges."""
    types = types_of(model)
    names = frozenset(kept)
    half = frozenset(
        node.name
        for node in model.graph.node
        if node.op_type != "Constant"
        and node.name not in names
        and any(types.get(name) == TensorProto.FLOAT for name in node.output)
    )
    return HalfPlan(half, tuple(KeptLayer(name, "") for name in sorted(names)), {})


def _why_not(
    node: onnx.NodeProto,
    largest: Mapping[str, float],
    shapes: Mapping[str, tuple[int | None, ...]],
    constants: Mapping[str, npt.NDArray[Any]],
    types: Mapping[str, int],
) -> str | None:
    if node.op_type not in _SAFE:
        return f"{node.op_type} is not known to be safe in FP16"
    tensors = [node.input[i] for i in data_inputs(node)] + list(node.output)
    for name in tensors:
        if types.get(name) != TensorProto.FLOAT:
            continue
        if name in constants:
            why = _why_not_constant(node, name, constants[name])
            if why is not None:
                return why
        elif largest.get(name, 0.0) * HEADROOM > LARGEST:
            return f"{name} reached {largest[name]:.4g}, FP16 ends at {LARGEST:.0f}"
    if node.op_type in _SUMMING:
        sides = shapes.get(node.input[0], ())[2:]
        total = largest.get(node.input[0], 0.0) * float(np.prod([side or 1 for side in sides]))
        if None in sides or total > LARGEST:
            return f"its sum may reach {total:.4g}, FP16 ends at {LARGEST:.0f}"
    return None


def _why_not_constant(node: onnx.NodeProto, name: str, value: npt.NDArray[Any]) -> str | None:
    peak = float(np.abs(value).max(initial=0.0))
    if peak > LARGEST:
        return f"{name} holds {peak:.4g}, FP16 ends at {LARGEST:.0f}"
    rounded = value.astype(np.float16).astype(np.float64)
    if node.op_type in _WEIGHTED and name == node.input[1] and value.ndim > 1:
        rows = value.astype(np.float64).reshape(value.shape[0], -1)
        error = np.linalg.norm(rows - rounded.reshape(rows.shape), axis=1)
        size = np.linalg.norm(rows, axis=1)
        if bool((error > WEIGHT_ERROR * size).any()):
            return f"a channel of {name} is too small for FP16"
        return None
    # A channel's bias of 1e-9 may become 0; a scale or a limit that does changes what is computed.
    if node.op_type not in _WEIGHTED and bool(((value != 0) & (rounded == 0)).any()):
        return f"{name} holds a value that FP16 rounds to 0"
    return None


def _before_weights(model: onnx.ModelProto) -> frozenset[str]:
    """Names of the layers with weights and of every node that one of those reads from."""
    producers = {name: node for node in model.graph.node for name in node.output}
    found: set[str] = set()
    waiting = [node for node in model.graph.node if node.op_type in _WEIGHTED]
    while waiting:
        node = waiting.pop()
        if node.name in found:
            continue
        found.add(node.name)
        waiting.extend(producers[name] for name in node.input if name in producers)
    return frozenset(found)


def data_inputs(node: onnx.NodeProto) -> Iterator[int]:
    """Indices of a node's inputs that are data, not scales, shapes or axes."""
    count = _DATA_INPUTS.get(node.op_type, len(node.input))
    return (i for i in range(min(count, len(node.input))) if node.input[i])
