"""FP16-typed sibling of an FP32 graph, and the evaluator that rounds as it does.

Room: export. Pure functions over ONNX models. Graph inputs and outputs stay FP32. A node runs in
FP16 only where that is known to be safe: its operator is listed here, no value of the calibration
comes near the largest FP16 number, its constants survive the rounding, and a layer with weights
comes after it. What follows the last such layer (box decoding, sigmoids) is cheap and stays FP32.

Two graphs are made from one plan: `to_half`, whose tensors are FP16 by type, for an engine
builder; and `to_rounded`, FP32 by type, which passes every weight and activation through a pair of
Casts. ONNX Runtime computes the first one on a CPU in FP32 and hides an overflow; it keeps the
pairs of the second one, so that 1e5 becomes infinite there as it would on the device.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.errors import LayerError
from export.onnx_graph.fold import drop_unused
from export.onnx_graph.session import open_session

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
_MOVING = frozenset(
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
    | _MOVING
    | {
        "Add", "Clip", "Elu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mul", "PRelu", "Resize",
        "Selu", "Sigmoid", "Softplus", "Sub", "Tanh",
    }
)  # fmt: skip
_SMALL = 64
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

    Each image is [n, C, H, W] float32. The maxima are taken inside ONNX Runtime, in FP32, so that
    no activation has to be kept.
    """
    types = _types(model)
    audited = [
        name
        for node in model.graph.node
        for name in node.output
        if name and types.get(name) == TensorProto.FLOAT
    ]
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    for name in audited:
        probe.graph.node.extend(
            [
                helper.make_node("Abs", [name], [f"{name}//abs"]),
                helper.make_node("ReduceMax", [f"{name}//abs"], [f"{name}//max"], keepdims=0),
            ]
        )
        probe.graph.output.append(
            helper.make_tensor_value_info(f"{name}//max", TensorProto.FLOAT, [])
        )
    session = open_session(probe.SerializeToString())
    largest = np.zeros(len(audited))
    for image in images:
        found = np.array(session.run(None, {input_name: image}), np.float64)
        largest = np.maximum(largest, np.where(np.isnan(found), np.inf, found))
    return dict(zip(audited, largest.tolist(), strict=True))


def plan_half(model: onnx.ModelProto, largest: Mapping[str, float]) -> HalfPlan:
    """Choose the nodes that run in FP16. Every node must have a name of its own.

    Raises `LayerError` for a graph with inner graphs (If, Loop, Scan) or nameless nodes.
    """
    types = _types(model)
    shapes = _shapes(model)
    constants = _constants(model)
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
    types = _types(model)
    names = frozenset(kept)
    half = frozenset(
        node.name
        for node in model.graph.node
        if node.op_type != "Constant"
        and node.name not in names
        and any(types.get(name) == TensorProto.FLOAT for name in node.output)
    )
    return HalfPlan(half, tuple(KeptLayer(name, "") for name in sorted(names)), {})


def to_half(model: onnx.ModelProto, plan: HalfPlan) -> onnx.ModelProto:
    """Return the FP16-typed graph: the planned nodes compute in FP16, inputs and outputs FP32."""
    converter = _Typed(model, plan)
    for node in model.graph.node:
        converter.add(node)
    half = converter.finish()
    onnx.checker.check_model(_outline(half), full_check=True)
    return half


def to_rounded(model: onnx.ModelProto, plan: HalfPlan) -> onnx.ModelProto:
    """Return the FP32-typed graph that rounds, and overflows, where `to_half` does."""
    rounded = onnx.ModelProto()
    rounded.CopyFrom(model)
    graph = rounded.graph
    types = _types(model)
    constants = _constants(model)
    outputs = {value.name for value in graph.output}
    nodes: list[onnx.NodeProto] = []
    pairs: dict[str, str] = {}
    for node in graph.node:
        if node.name in plan.half:
            for i in _data_inputs(node):
                name = node.input[i]
                if types.get(name) == TensorProto.FLOAT and name not in pairs:
                    if name in constants:
                        pairs[name] = f"{name}//rounded"
                        with np.errstate(over="ignore"):
                            value = constants[name].astype(np.float16).astype(np.float32)
                        graph.initializer.append(numpy_helper.from_array(value, pairs[name]))
                    else:
                        nodes += _round_pair(name, pairs)
                node.input[i] = pairs.get(name, name)
        nodes.append(node)
        if node.name not in plan.half:
            continue
        exact = node.op_type in _MOVING
        for i, name in enumerate(node.output):
            if exact and name not in outputs:
                pairs[name] = name
            elif not exact:
                raw = f"{name}//raw"
                node.output[i] = raw
                nodes += _casts(raw, name)
                pairs[name] = name
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    drop_unused(graph)
    onnx.checker.check_model(_outline(rounded), full_check=True)
    return rounded


class _Typed:
    """Copies a graph node by node, keeping each tensor in the types that are asked for."""

    def __init__(self, model: onnx.ModelProto, plan: HalfPlan) -> None:
        self._model, self._plan = model, plan
        self._types = _types(model)
        self._constants = _constants(model)
        self._is_half: dict[str, bool] = {}
        self._versions: dict[tuple[str, bool], str] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._outputs = {value.name for value in model.graph.output}
        self._stored = {item.name: item for item in model.graph.initializer}

    def add(self, node: onnx.NodeProto) -> None:
        """Add one node, with the casts that its inputs need."""
        new = copy.deepcopy(node)
        half = node.name in self._plan.half
        data = set(_data_inputs(node))
        for i, name in enumerate(node.input):
            if name:
                is_float = self._types.get(name) == TensorProto.FLOAT
                new.input[i] = self._version(name, half=half and i in data) if is_float else name
                if not is_float and name in self._stored:
                    self._initializers[name] = self._stored[name]
        for i, name in enumerate(node.output):
            turned = half and self._types.get(name) == TensorProto.FLOAT
            self._is_half[name] = turned
            if turned and name in self._outputs:
                # An output keeps its name and its type.
                new.output[i] = self._versions[name, True] = f"{name}//half"
            else:
                self._versions[name, turned] = name
        self._nodes.append(new)
        for name in node.output:
            if name in self._outputs:
                self._version(name, half=False)

    def _version(self, name: str, *, half: bool) -> str:
        key = (name, half)
        if key in self._versions:
            return self._versions[key]
        if name in self._stored:
            self._versions[key] = f"{name}//half" if half else name
            self._initializers[self._versions[key]] = (
                numpy_helper.from_array(
                    self._constants[name].astype(np.float16), self._versions[key]
                )
                if half
                else self._stored[name]
            )
            return self._versions[key]
        was_half = self._is_half.get(name, False)
        if was_half == half:
            return name
        given = self._versions.get((name, was_half), name)
        # Turned back, an output bears its own name.
        self._versions[key] = f"{name}//half" if half else name if given != name else f"{name}//f32"
        kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        new = self._versions[key]
        self._nodes.append(helper.make_node("Cast", [given], [new], name=f"{new}//cast", to=kind))
        return new

    def finish(self) -> onnx.ModelProto:
        """Return the model."""
        for name in self._outputs & set(self._stored):
            self._initializers[name] = self._stored[name]
        half = onnx.ModelProto()
        half.CopyFrom(self._model)
        graph = half.graph
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self._nodes)
        graph.initializer.extend(self._initializers.values())
        return half


def _why_not(
    node: onnx.NodeProto,
    largest: Mapping[str, float],
    shapes: Mapping[str, tuple[int | None, ...]],
    constants: Mapping[str, npt.NDArray[Any]],
    types: Mapping[str, int],
) -> str | None:
    if node.op_type not in _SAFE:
        return f"{node.op_type} is not known to be safe in FP16"
    tensors = [node.input[i] for i in _data_inputs(node)] + list(node.output)
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


def _data_inputs(node: onnx.NodeProto) -> Iterator[int]:
    count = _DATA_INPUTS.get(node.op_type, len(node.input))
    return (i for i in range(min(count, len(node.input))) if node.input[i])


def _round_pair(name: str, pairs: dict[str, str]) -> list[onnx.NodeProto]:
    pairs[name] = f"{name}//rounded"
    return _casts(name, pairs[name])


def _casts(source: str, target: str) -> list[onnx.NodeProto]:
    middle = f"{target}//f16"
    return [
        helper.make_node("Cast", [source], [middle], to=TensorProto.FLOAT16),
        helper.make_node("Cast", [middle], [target], to=TensorProto.FLOAT),
    ]


def _constants(model: onnx.ModelProto) -> dict[str, npt.NDArray[Any]]:
    return {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}


def _outline(model: onnx.ModelProto) -> onnx.ModelProto:
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
    return onnx.shape_inference.infer_shapes(_outline(model), data_prop=True).graph


def _types(model: onnx.ModelProto) -> dict[str, int]:
    graph = _inferred(model)
    types = {item.name: item.data_type for item in graph.initializer}
    for value in [*graph.value_info, *graph.input, *graph.output]:
        types[value.name] = value.type.tensor_type.elem_type
    return types


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int | None, ...]]:
    graph = _inferred(model)
    return {
        value.name: tuple(
            side.dim_value if side.HasField("dim_value") else None
            for side in value.type.tensor_type.shape.dim
        )
        for value in [*graph.value_info, *graph.input, *graph.output]
    }
