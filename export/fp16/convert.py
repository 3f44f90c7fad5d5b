"""Makes the FP16-typed sibling of an FP32 graph, and the FP32 graph that rounds as it does.

Layer: export; pure functions over ONNX models.

Two graphs follow from one plan (`export.fp16.plan`): `to_half`, whose tensors are FP16 by type, for
an engine builder; and `to_rounded`, FP32 by type, which passes every weight and activation through
a pair of Casts. On a CPU ONNX Runtime computes the first in FP32 and hides an overflow; it keeps
the Casts of the second, so that 1e5 becomes infinite there as it would on the device.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.fp16.plan import MOVING, data_inputs
from export.onnx_graph.fold import drop_unused
from export.onnx_graph.inference import constants_of, outline, types_of

if TYPE_CHECKING:
    from export.fp16.plan import HalfPlan


def to_half(model: onnx.ModelProto, plan: HalfPlan) -> onnx.ModelProto:
    """Return the FP16-typed graph: the planned nodes compute in FP16, inputs and outputs FP32."""
    converter = _Typed(model, plan)
    for node in model.graph.node:
        converter.add(node)
    half = converter.finish()
    onnx.checker.check_model(outline(half), full_check=True)
    return half


def to_rounded(model: onnx.ModelProto, plan: HalfPlan) -> onnx.ModelProto:
    """Return the FP32-typed graph that rounds, and overflows, where `to_half` does."""
    rounded = onnx.ModelProto()
    rounded.CopyFrom(model)
    graph = rounded.graph
    types = types_of(model)
    constants = constants_of(model)
    outputs = {value.name for value in graph.output}
    nodes: list[onnx.NodeProto] = []
    pairs: dict[str, str] = {}
    for node in graph.node:
        if node.name in plan.half:
            for i in data_inputs(node):
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
        exact = node.op_type in MOVING
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
    onnx.checker.check_model(outline(rounded), full_check=True)
    return rounded


class _Typed:
    """Copies a graph node by node, keeping each tensor in the types that are asked for."""

    def __init__(self, model: onnx.ModelProto, plan: HalfPlan) -> None:
        self._model, self._plan = model, plan
        self._types = types_of(model)
        self._constants = constants_of(model)
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
        data = set(data_inputs(node))
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
        # Cast back, an output has its own name.
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


def _round_pair(name: str, pairs: dict[str, str]) -> list[onnx.NodeProto]:
    pairs[name] = f"{name}//rounded"
    return _casts(name, pairs[name])


def _casts(source: str, target: str) -> list[onnx.NodeProto]:
    middle = f"{target}//f16"
    return [
        helper.make_node("Cast", [source], [middle], to=TensorProto.FLOAT16),
        helper.make_node("Cast", [middle], [target], to=TensorProto.FLOAT),
    ]
