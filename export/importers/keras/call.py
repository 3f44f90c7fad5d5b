"""One call of a Keras layer or operator: its inputs and arguments, and activations as nodes.

Layer: export; pure functions over a `Call`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from export.errors import LayerError, WeightsError
from export.onnx_graph.builder import implausible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from export.onnx_graph.builder import Array, GraphBuilder

Sides = tuple[int, ...]


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph: name and shape without the batch, images as (C, H, W)."""

    name: str
    shape: Sides


@dataclass(frozen=True)
class Call:
    """One call of one layer: what it is given and where its arrays are."""

    graph: GraphBuilder
    name: str
    where: str
    config: Mapping[str, Any]
    arguments: tuple[Tensor | Array, ...]
    array: Callable[[str], Array]
    keras_major: int

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors among the arguments."""
        return tuple(item for item in self.arguments if isinstance(item, Tensor))

    @property
    def x(self) -> Tensor:
        """The first input."""
        return self.inputs[0]

    def image(self) -> tuple[int, int, int]:
        """(C, H, W) of the first input. Raises `LayerError` where it is no image."""
        if len(self.x.shape) != 3:
            raise self.error(f"it is given shape {self.x.shape}, not an image")
        return self.x.shape[0], self.x.shape[1], self.x.shape[2]

    def pair(self, key: str, default: int) -> tuple[int, int]:
        """A setting of one or two whole numbers: height, width."""
        value = self.config.get(key)
        value = default if value is None else value
        return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))

    def channels_last(self) -> None:
        """Raise `LayerError` for a layer laid out channels first."""
        if self.config.get("data_format") not in (None, "channels_last"):
            raise self.error("data_format=channels_first is not known", "use channels_last")

    def weights(self, variable: str, shape: Sides) -> Array:
        """Return an array of the layer. Raises `WeightsError` for another shape or NaN."""
        array = self.array(variable)
        damaged = bool(implausible(array).any())
        if array.shape != shape or damaged:
            raise WeightsError(
                f"{variable} has shape {array.shape} and "
                f"{'values that are not finite, or too large,' if damaged else 'finite values'}; "
                f"the layers ask for {shape}",
                where=self.where,
                fix="save the whole model again",
            )
        return array

    def constant(self, name: str, array: Array, rank: int) -> str:
        """Store a constant that Keras broadcasts against a tensor of ``rank`` sides.

        Keras aligns shapes at the last side, the channels; images are turned to channels first.
        """
        if array.ndim and rank == 3:
            if array.ndim > 4 or (array.ndim == 4 and array.shape[0] != 1):
                raise self.error(f"a constant of shape {array.shape} does not fit an image")
            sides = (1,) * (4 - array.ndim) + array.shape
            array = array.reshape(sides).transpose(0, 3, 1, 2)
        if implausible(array).any():
            raise self.error("a constant is not finite, or too large")
        return self.graph.constant(f"{self.name}.{name}", np.asarray(array, np.float32))

    def bias(self, count: int) -> Array:
        """Return the bias, zeros where there is none."""
        if not self.config.get("use_bias", True):
            return np.zeros(count, np.float32)
        return self.weights("bias", (count,))

    def error(self, message: str, fix: str = "convert the model to .onnx elsewhere") -> LayerError:
        """Return an error that names the layer."""
        return LayerError(message, where=self.where, fix=fix)

    def done(self, name: str, shape: Sides) -> Tensor:
        """Return the result after the layer's own activation."""
        kind = self.config.get("activation") or "linear"
        return Tensor(activation(self, name, kind), shape)


def activation(call: Call, x: str, kind: object) -> str:
    """Append an activation by its Keras name. Raises `LayerError` for one that is not known."""
    graph, name = call.graph, call.name
    plain = {
        "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softplus": "Softplus",
        "softsign": "Softsign", "selu": "Selu", "elu": "Elu", "exponential": "Exp",
    }  # fmt: skip
    if kind == "linear":
        return x
    if isinstance(kind, str) and kind in plain:
        return graph.node(plain[kind], (x,), f"{name}.{kind}")
    if kind == "relu6":
        return clipped_relu(graph, x, name, 6)
    if kind == "leaky_relu":
        return graph.node("LeakyRelu", (x,), f"{name}.leaky", alpha=0.2)
    if kind == "hard_sigmoid":
        # Keras 2 has a slope of 1 / 5, Keras 3 of 1 / 6.
        alpha = 0.2 if call.keras_major < 3 else 1 / 6
        return graph.node("HardSigmoid", (x,), f"{name}.hard", alpha=alpha, beta=0.5)
    if kind in ("swish", "silu"):
        return graph.node("Mul", (x, graph.node("Sigmoid", (x,), f"{name}.gate")), f"{name}.swish")
    if kind == "mish":
        soft = graph.node("Softplus", (x,), f"{name}.softplus")
        return graph.node("Mul", (x, graph.node("Tanh", (soft,), f"{name}.gate")), f"{name}.mish")
    if kind == "softmax":
        # The channels: of an image the first side of the graph's tensor, of others the last.
        axis = len(call.x.shape) if len(call.x.shape) < 3 else 1
        return graph.node("Softmax", (x,), f"{name}.softmax", axis=axis)
    raise call.error(f"the activation {kind} is not known")


def clipped_relu(graph: GraphBuilder, x: str, name: str, limit: float) -> str:
    """Append a clip to 0 .. ``limit``."""
    low = graph.constant(f"{name}.low", np.array(0, np.float32))
    high = graph.constant(f"{name}.high", np.array(limit, np.float32))
    return graph.node("Clip", (x, low, high), name)
