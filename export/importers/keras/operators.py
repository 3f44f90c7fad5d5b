"""Keras operators (``x - 127.5``, ``keras.ops.maximum(x, c)``) as ONNX nodes.

Layer: export; pure functions over a `Call`. An operator has the class name of a layer (Subtract,
Softmax, Concatenate) and takes numbers where the layer takes tensors, so it has a table of its own.
Keras 3 stores an operator with its module, ``keras.src.ops``; Keras 2 as ``TFOpLambda``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from export.importers.keras.arrange import reshaped
from export.importers.keras.call import Call, Tensor, activation
from export.importers.keras.layers import concatenate

if TYPE_CHECKING:
    from collections.abc import Callable

Operator = tuple["Callable[[Call], Tensor]", frozenset[str]]
"""How an operator becomes nodes, and the settings that it reads; any other setting is refused."""

TENSORFLOW = {
    "__operators__.add": "Add",
    "math.abs": "Absolute",
    "math.add": "Add",
    "math.divide": "TrueDivide",
    "math.exp": "Exp",
    "math.maximum": "Maximum",
    "math.minimum": "Minimum",
    "math.multiply": "Multiply",
    "math.negative": "Negative",
    "math.sigmoid": "Sigmoid",
    "math.sqrt": "Sqrt",
    "math.square": "Square",
    "math.subtract": "Subtract",
    "math.tanh": "Tanh",
    "math.truediv": "TrueDivide",
    "nn.relu": "Relu",
    "nn.relu6": "Relu6",
    "nn.sigmoid": "Sigmoid",
    "nn.silu": "Silu",
}
"""Functions of ``TFOpLambda`` to the operators that they are."""


def _binary(op: str) -> Callable[[Call], Tensor]:
    def combine(call: Call) -> Tensor:
        if len(call.arguments) != 2:
            raise call.error(f"it has {len(call.arguments)} arguments, two are known")
        rank = max(len(item.shape) for item in call.inputs)
        if any(len(item.shape) != rank for item in call.inputs):
            raise call.error(f"{[item.shape for item in call.inputs]} differ in their sides")
        sides: list[tuple[int, ...]] = []
        names: list[str] = []
        for number, item in enumerate(call.arguments):
            if isinstance(item, Tensor):
                sides.append(item.shape)
                names.append(item.name)
            else:
                names.append(call.constant(f"constant{number}", item, rank))
                sides.append(_sides_of(item, rank))
        try:
            shape = np.broadcast_shapes(*sides)
        except ValueError:
            raise call.error(f"shapes {sides} do not fit each other") from None
        if any(isinstance(item, np.ndarray) and item.ndim > rank for item in call.arguments):
            # A constant with a batch of its own would change the shape.
            shape = shape[-rank:]
        return Tensor(call.graph.node(op, names, call.name), tuple(shape))

    return combine


def _sides_of(array: np.ndarray, rank: int) -> tuple[int, ...]:
    """Sides of a constant as `Call.constant` lays it out, without the batch."""
    if not array.ndim:
        return ()
    if rank != 3:
        return array.shape[-rank:]
    height, width, depth = ((1,) * 3 + array.shape)[-3:]
    return (depth, height, width)


def _unary(op: str) -> Callable[[Call], Tensor]:
    def apply(call: Call) -> Tensor:
        x = _only(call)
        return Tensor(call.graph.node(op, (x.name,), call.name), x.shape)

    return apply


def _activation(kind: str) -> Callable[[Call], Tensor]:
    def apply(call: Call) -> Tensor:
        x = _only(call)
        return Tensor(activation(call, x.name, kind), x.shape)

    return apply


def _square(call: Call) -> Tensor:
    x = _only(call)
    return Tensor(call.graph.node("Mul", (x.name, x.name), call.name), x.shape)


def _leaky(call: Call) -> Tensor:
    x, slope = _only(call), float(call.config.get("negative_slope", 0.2))
    return Tensor(call.graph.node("LeakyRelu", (x.name,), call.name, alpha=slope), x.shape)


def _softmax(call: Call) -> Tensor:
    x = _only(call)
    if call.config.get("axis", -1) not in (-1, len(x.shape)):
        raise call.error("a softmax over another axis than the last is not known")
    return Tensor(activation(call, x.name, "softmax"), x.shape)


def _clip(call: Call) -> Tensor:
    x = _only(call)
    low, high = (np.array(call.config[key], np.float32) for key in ("x_min", "x_max"))
    if low.ndim or high.ndim:
        raise call.error("limits that are not numbers are not known")
    limits = [call.constant(name, value, 0) for name, value in (("low", low), ("high", high))]
    return Tensor(call.graph.node("Clip", (x.name, *limits), call.name), x.shape)


def _concatenate(call: Call) -> Tensor:
    if len(call.inputs) != len(call.arguments):
        raise call.error("it joins tensors with a constant, which is not known")
    return concatenate(call)


def _cast(call: Call) -> Tensor:
    if call.config.get("dtype") != "float32":
        raise call.error(f"a cast to {call.config.get('dtype')} is not known", "use float32")
    return _only(call)


def _reshape(call: Call) -> Tensor:
    _only(call)
    batch, *target = call.config["newshape"]
    if batch not in (-1, None):
        raise call.error(f"a fixed batch of {batch} is not known", "use -1 for the batch")
    return reshaped(call, [int(side) for side in target])


def _only(call: Call) -> Tensor:
    if len(call.arguments) != 1:
        raise call.error(f"it has {len(call.arguments)} arguments, one is known")
    return call.x


_NONE: frozenset[str] = frozenset()

OPERATORS: dict[str, Operator] = {
    "Absolute": (_unary("Abs"), _NONE),
    "Add": (_binary("Add"), _NONE),
    "Cast": (_cast, frozenset({"dtype"})),
    "Clip": (_clip, frozenset({"x_min", "x_max"})),
    "Concatenate": (_concatenate, frozenset({"axis"})),
    "Divide": (_binary("Div"), _NONE),
    "Exp": (_unary("Exp"), _NONE),
    "HardSigmoid": (_activation("hard_sigmoid"), _NONE),
    "LeakyRelu": (_leaky, frozenset({"negative_slope"})),
    "Log": (_unary("Log"), _NONE),
    "Maximum": (_binary("Max"), _NONE),
    "Minimum": (_binary("Min"), _NONE),
    "Multiply": (_binary("Mul"), _NONE),
    "Negative": (_unary("Neg"), _NONE),
    "Power": (_binary("Pow"), _NONE),
    "Relu": (_activation("relu"), _NONE),
    "Relu6": (_activation("relu6"), _NONE),
    "Reshape": (_reshape, frozenset({"newshape"})),
    "Sigmoid": (_activation("sigmoid"), _NONE),
    "Silu": (_activation("silu"), _NONE),
    "Softmax": (_softmax, frozenset({"axis"})),
    "Softplus": (_activation("softplus"), _NONE),
    "Sqrt": (_unary("Sqrt"), _NONE),
    "Square": (_square, _NONE),
    "Subtract": (_binary("Sub"), _NONE),
    "Tanh": (_activation("tanh"), _NONE),
    "TrueDivide": (_binary("Div"), _NONE),
}
