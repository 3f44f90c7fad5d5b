"""Makes the graph that computes its convolutions in 8 bits (QDQ form).

Layer: export; pure functions over ONNX models.

Weights are rounded by output channel, symmetric to -127 .. 127; activations by tensor to 0 .. 255,
from the limits that were met over the calibration (Jacob et al., "Quantization and Training of
Neural Networks for Efficient Integer-Arithmetic-Only Inference", 2018). Every rounded tensor
passes through a pair QuantizeLinear, DequantizeLinear, from which ONNX Runtime, OpenVINO and
TensorRT make integer kernels.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.errors import LayerError
from export.onnx_graph.fold import drop_unused
from export.onnx_graph.inference import constants_of, outline

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from export.int8.plan import RoundedPlan

LEVELS = 255
_LEAST_OPSET = 13
"""DequantizeLinear by channel needs it."""
_SMALLEST_SCALE = 1e-12


def to_int8(
    model: onnx.ModelProto, plan: RoundedPlan, limits: Mapping[str, tuple[float, float]]
) -> onnx.ModelProto:
    """Return the graph in QDQ form; inputs and outputs stay float32.

    ``limits`` holds the least and largest value of each tensor of the plan. Raises `LayerError`
    where one is missing or not finite, and for a graph of an opset below 13.
    """
    opset = next(item.version for item in model.opset_import if item.domain in {"", "ai.onnx"})
    if opset < _LEAST_OPSET:
        raise LayerError(
            f"opset {opset} has no rounding by channel",
            where="model",
            fix="export the model at opset 13 or newer",
        )
    return _Converter(model, plan, limits).convert()


def scale_of(low: float, high: float) -> tuple[np.float32, np.uint8]:
    """Return the scale and the zero point that map low .. high, with 0 in it, to 0 .. 255.

    Zero itself is met exactly: the padding of a convolution is zero.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32(max((high - low) / LEVELS, _SMALLEST_SCALE))
    return scale, np.uint8(np.clip(np.rint(-low / float(scale)), 0, LEVELS))


def round_weights(
    weights: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return weights [m, ...] as int8, and the scale of each of their m output channels."""
    peak = np.abs(weights.reshape(len(weights), -1)).max(axis=1)
    scale = np.maximum(peak / 127, _SMALLEST_SCALE).astype(np.float32)
    shape = (-1,) + (1,) * (weights.ndim - 1)
    return np.clip(np.rint(weights / scale.reshape(shape)), -127, 127).astype(np.int8), scale


class _Converter:
    def __init__(
        self,
        model: onnx.ModelProto,
        plan: RoundedPlan,
        limits: Mapping[str, tuple[float, float]],
    ) -> None:
        self._model, self._plan, self._limits = model, plan, limits
        self._constants = constants_of(model)
        self._outputs = {value.name for value in model.graph.output}
        self._rounded: dict[str, str] = {}
        self._scales: dict[str, np.float32] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._added: list[onnx.TensorProto] = []

    def convert(self) -> onnx.ModelProto:
        for node in self._model.graph.node:
            new = copy.deepcopy(node)
            for i, name in enumerate(node.input):
                new.input[i] = self._rounded.get(name, name)
            if node.name in self._plan.convolutions:
                self._round_layer(node, new)
            self._nodes.append(new)
            for name in node.output:
                if name in self._plan.tensors:
                    self._round_tensor(node, name)
        converted = onnx.ModelProto()
        converted.CopyFrom(self._model)
        graph = converted.graph
        del graph.node[:]
        graph.node.extend(self._nodes)
        graph.initializer.extend(self._added)
        del graph.value_info[:]
        drop_unused(graph)
        onnx.checker.check_model(outline(converted), full_check=True)
        return converted

    def _round_tensor(self, node: onnx.NodeProto, name: str) -> None:
        """Pass a tensor through a rounding pair, from which all later nodes read."""
        source = self._plan.tensors[name]
        if source not in self._scales:
            low, high = self._limits.get(source, (np.nan, np.nan))
            if not (np.isfinite(low) and np.isfinite(high)):
                raise LayerError(
                    f"the calibration gave no finite limits of {source}",
                    where=f"node {node.name}",
                    fix="build it in another precision",
                )
            scale, zero = scale_of(low, high)
            self._scales[source] = scale
            self._constant(f"{source}//scale", np.array(scale, np.float32))
            self._constant(f"{source}//zero", np.array(zero, np.uint8))
        self._scales[name] = self._scales[source]
        self._pair(name, f"{source}//scale", f"{source}//zero")

    def _pair(self, name: str, scale: str, zero: str) -> None:
        whole, back = f"{name}//u8", f"{name}//rounded"
        self._nodes += [
            helper.make_node("QuantizeLinear", [name, scale, zero], [whole], name=whole),
            helper.make_node("DequantizeLinear", [whole, scale, zero], [back], name=back),
        ]
        self._rounded[name] = back

    def _round_layer(self, node: onnx.NodeProto, new: onnx.NodeProto) -> None:
        values, scale = round_weights(self._constants[node.input[1]])
        weights = f"{node.name}//weights"
        self._constant(f"{weights}/scale", scale)
        self._constant(f"{weights}/zero", np.zeros(len(scale), np.int8))
        self._constant(f"{weights}/i8", values)
        self._nodes.append(
            helper.make_node(
                "DequantizeLinear",
                [f"{weights}/i8", f"{weights}/scale", f"{weights}/zero"],
                [weights],
                name=weights,
                axis=0,
            )
        )
        new.input[1] = weights
        if len(node.input) > 2 and node.input[2]:
            self._round_bias(node, new, scale * self._scales[node.input[0]])

    def _round_bias(
        self, node: onnx.NodeProto, new: onnx.NodeProto, scale: npt.NDArray[np.float32]
    ) -> None:
        """Give a layer its bias in the unit of its sums: whole numbers of 32 bits."""
        bias = self._constants[node.input[2]].astype(np.float64)
        edge = float(np.iinfo(np.int32).max)
        whole = np.clip(np.rint(bias / scale.astype(np.float64)), -edge, edge).astype(np.int32)
        name = f"{node.name}//bias"
        self._constant(f"{name}/scale", scale.astype(np.float32))
        self._constant(f"{name}/zero", np.zeros(len(scale), np.int32))
        self._constant(f"{name}/i32", whole)
        self._nodes.append(
            helper.make_node(
                "DequantizeLinear",
                [f"{name}/i32", f"{name}/scale", f"{name}/zero"],
                [name],
                name=name,
                axis=0,
            )
        )
        new.input[2] = name

    def _constant(self, name: str, value: npt.NDArray[np.generic]) -> None:
        self._added.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
