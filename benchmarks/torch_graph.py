"""Runs exported graphs by torch: the reference for FP16 on a GPU without TensorRT.

Layer: benchmarks; needs torch. Knows the operators that `export` writes and no other.
"""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
import torch.nn.functional as nn
from onnx import helper, numpy_helper

from edge.engine.inputs import check_inputs
from edge.engine.loaded import LoadedEngine
from edge.engine.protocol import Timings
from edge.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.engine.passport import VerifiedEngine
    from edge.engine.protocol import Tensor

_TYPES = {onnx.TensorProto.FLOAT: torch.float32, onnx.TensorProto.FLOAT16: torch.float16}
_WARM_UPS = 3


class TorchEngine(LoadedEngine):
    """A graph on a torch device. See `edge.engine.protocol.Engine`.

    ``cuda_graphs`` records each shape once and replays it. Raises `EngineError` for an operator
    that is not known, and where the device fails.
    """

    def __init__(
        self, verified: VerifiedEngine, *, device: str = "cuda", cuda_graphs: bool = False
    ) -> None:
        super().__init__(verified)
        self._device = torch.device(device)
        self._cuda_graphs = cuda_graphs
        graph = onnx.load_from_string(verified.data).graph
        unknown = sorted({node.op_type for node in graph.node} - _OPERATORS.keys())
        if unknown:
            raise EngineError(
                f"{self.name}: torch is not taught {', '.join(unknown)}",
                engine=self.name,
                fix="add them to benchmarks/torch_graph.py",
            )
        self._nodes = [
            (node.op_type, list(node.input), list(node.output),
             {item.name: helper.get_attribute_value(item) for item in node.attribute})
            for node in graph.node
        ]  # fmt: skip
        arrays = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
        # Shapes, scales and axes are read by Python, weights by the device.
        self._fixed = {
            name: array
            for name, array in arrays.items()
            if array.dtype == np.int64 or name.endswith(".scales")
        }
        self._weights = {
            name: torch.from_numpy(array.copy()).to(self._device)
            for name, array in arrays.items()
            if name not in self._fixed
        }
        self._outputs = [item.name for item in graph.output]
        self._inputs = {
            item.name: tuple(
                side.dim_value if side.HasField("dim_value") else None
                for side in item.type.tensor_type.shape.dim
            )
            for item in graph.input
        }
        self._recorded: dict[tuple[int, ...], tuple[Any, torch.Tensor, dict[str, Any]]] = {}

    @property
    def input_shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """Input name to shape; ``None`` marks the free batch side."""
        return self._inputs

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run once: float32 arrays by input name to float32 arrays by output name."""
        check_inputs(self.name, self._inputs, inputs)
        (image,) = inputs.values()
        try:
            with torch.inference_mode():
                return self._run(image)
        except RuntimeError as error:
            raise EngineError(
                f"{self.name} failed while running: {error}",
                engine=self.name,
                fix="check the GPU with nvidia-smi",
            ) from error

    def _run(self, image: Tensor) -> dict[str, Tensor]:
        on_gpu = self._device.type == "cuda"
        marks: list[Any] = []

        def mark() -> None:
            if on_gpu:
                marks.append(torch.cuda.Event(enable_timing=True, blocking=True))
                marks[-1].record()

        begun_s = time.perf_counter()
        given = torch.from_numpy(image)
        mark()
        if on_gpu and self._cuda_graphs:
            graph, static, results = self._replay(given)
            static.copy_(given.pin_memory(), non_blocking=True)
            mark()
            graph.replay()
        else:
            static = given.pin_memory().to(self._device, non_blocking=True) if on_gpu else given
            mark()
            results = self._compute(static)
        mark()
        found = {name: results[name].to("cpu", torch.float32) for name in self._outputs}
        mark()
        if on_gpu:
            marks[-1].synchronize()
            spent = [a.elapsed_time(b) for a, b in pairwise(marks)]
            self._timings = Timings(*spent)
        else:
            self._timings = Timings(0.0, (time.perf_counter() - begun_s) * 1000, 0.0)
        return {name: tensor.numpy() for name, tensor in found.items()}

    def _replay(self, given: torch.Tensor) -> tuple[Any, torch.Tensor, dict[str, Any]]:
        key = tuple(given.shape)
        if key not in self._recorded:
            static = given.to(self._device)
            side = torch.cuda.Stream()
            with torch.cuda.stream(side):
                for _ in range(_WARM_UPS):
                    self._compute(static)
            side.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                results = self._compute(static)
            self._recorded[key] = (graph, static, results)
        return self._recorded[key]

    def _compute(self, image: torch.Tensor) -> dict[str, Any]:
        values: dict[str, Any] = {**self._fixed, **self._weights}
        values[next(iter(self._inputs))] = image
        for op, inputs, outputs, attributes in self._nodes:
            given = [values[name] if name else None for name in inputs]
            made = _OPERATORS[op](given, attributes)
            values |= zip(outputs, made if op == "Split" else (made,), strict=True)
        return values


def _conv(given: list[Any], attributes: dict[str, Any]) -> torch.Tensor:
    top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
    image = given[0]
    padding: tuple[int, int] | int = (top, left)
    if (top, left) != (bottom, right):
        image, padding = nn.pad(image, (left, right, top, bottom)), 0
    return nn.conv2d(
        image, given[1], given[2] if len(given) > 2 else None,
        attributes.get("strides", [1, 1]), padding, attributes.get("dilations", [1, 1]),
        attributes.get("group", 1),
    )  # fmt: skip


def _max_pool(given: list[Any], attributes: dict[str, Any]) -> torch.Tensor:
    top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
    image = nn.pad(given[0], (left, right, top, bottom), value=float("-inf"))
    return nn.max_pool2d(image, attributes["kernel_shape"], attributes.get("strides", [1, 1]))


def _resize(given: list[Any], attributes: dict[str, Any]) -> torch.Tensor:
    if attributes["mode"] != b"nearest":
        return nn.interpolate(
            given[0], scale_factor=tuple(map(float, given[2][2:])), mode="bilinear",
            align_corners=False,
        )  # fmt: skip
    height, width = (int(factor) for factor in given[2][2:])
    return given[0].repeat_interleave(height, 2).repeat_interleave(width, 3)


def _slice(given: list[Any], _attributes: dict[str, Any]) -> torch.Tensor:
    (start,), (stop,), (axis,) = given[1:4]
    return given[0].narrow(int(axis), int(start), int(stop) - int(start))


def _reshape(given: list[Any], _attributes: dict[str, Any]) -> torch.Tensor:
    return given[0].reshape(
        [given[0].shape[i] if side == 0 else int(side) for i, side in enumerate(given[1])]
    )


_OPERATORS: dict[str, Callable[[list[Any], dict[str, Any]], Any]] = {
    "Add": lambda x, _: x[0] + x[1],
    "Cast": lambda x, a: x[0].to(_TYPES[a["to"]]),
    "Concat": lambda x, a: torch.cat(x, a["axis"]),
    "Conv": _conv,
    "Exp": lambda x, _: x[0].exp(),
    "Flatten": lambda x, a: x[0].flatten(a.get("axis", 1)),
    "Gemm": lambda x, _: nn.linear(x[0], x[1], x[2]),
    "GlobalAveragePool": lambda x, _: x[0].mean((2, 3), keepdim=True),
    "Identity": lambda x, _: x[0],
    "LeakyRelu": lambda x, a: nn.leaky_relu(x[0], a.get("alpha", 0.01)),
    "MaxPool": _max_pool,
    "Mul": lambda x, _: x[0] * x[1],
    "Relu": lambda x, _: x[0].relu(),
    "Reshape": _reshape,
    "Resize": _resize,
    "Sigmoid": lambda x, _: x[0].sigmoid(),
    "Slice": _slice,
    "Split": lambda x, a: torch.split(x[0], [int(n) for n in x[1]], a["axis"]),
    "Sub": lambda x, _: x[0] - x[1],
    "Transpose": lambda x, a: x[0].permute(a["perm"]),
}
