"""Each Keras layer as ONNX nodes.

Room: export. Pure functions over a `Call`. `LAYERS` is the one table of what is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from export.errors import LayerError, WeightsError
from export.graph import implausible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from export.graph import Array, GraphBuilder

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
    inputs: tuple[Tensor, ...]
    array: Callable[[str], Array]
    keras_major: int

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
                mend="save the whole model again",
            )
        return array

    def bias(self, count: int) -> Array:
        """Return the bias, zeros where there is none."""
        if not self.config.get("use_bias", True):
            return np.zeros(count, np.float32)
        return self.weights("bias", (count,))

    def error(self, message: str, mend: str = "convert the model to .onnx elsewhere") -> LayerError:
        """Return an error that names the layer."""
        return LayerError(message, where=self.where, mend=mend)

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
        return _clipped_relu(graph, x, name, 6)
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
        return graph.node("Softmax", (x,), f"{name}.softmax", axis=1)
    raise call.error(f"the activation {kind} is not known")


def _conv2d(call: Call) -> Tensor:
    call.channels_last()
    depth, height, width = call.image()
    groups, filters = int(call.config.get("groups", 1)), int(call.config["filters"])
    kernel = call.pair("kernel_size", 1)
    weight = call.weights("kernel", (*kernel, depth // groups, filters))
    shape = (filters, height, width)
    return _convolved(
        call, call.x.name, shape, weight.transpose(3, 2, 0, 1), call.bias(filters), groups
    )


def _depthwise(call: Call) -> Tensor:
    depth, height, width = call.image()
    weight, multiplier = _depthwise_kernel(call, depth)
    count = depth * multiplier
    return _convolved(call, call.x.name, (count, height, width), weight, call.bias(count), depth)


def _separable(call: Call) -> Tensor:
    depth, height, width = call.image()
    weight, multiplier = _depthwise_kernel(call, depth)
    middle, filters = depth * multiplier, int(call.config["filters"])
    name, size = _conv(
        call, call.x.name, f"{call.name}.depthwise", (height, width), weight,
        np.zeros(middle, np.float32), depth,
    )  # fmt: skip
    pointwise = call.weights("pointwise_kernel", (1, 1, middle, filters)).transpose(3, 2, 0, 1)
    name = call.graph.conv(name, f"{call.name}.pointwise", pointwise, call.bias(filters))
    return call.done(name, (filters, *size))


def _depthwise_kernel(call: Call, depth: int) -> tuple[Array, int]:
    call.channels_last()
    multiplier = int(call.config.get("depth_multiplier", 1))
    kernel = call.pair("kernel_size", 1)
    weight = call.weights("depthwise_kernel", (*kernel, depth, multiplier))
    return weight.transpose(2, 3, 0, 1).reshape(depth * multiplier, 1, *kernel), multiplier


def _convolved(
    call: Call, x: str, shape: tuple[int, int, int], weight: Array, bias: Array, groups: int
) -> Tensor:
    name, size = _conv(call, x, call.name, shape[1:], weight, bias, groups)
    return call.done(name, (shape[0], *size))


def _conv(
    call: Call,
    x: str,
    name: str,
    size: tuple[int, int],
    weight: Array,
    bias: Array,
    groups: int,
) -> tuple[str, tuple[int, int]]:
    strides, dilation = call.pair("strides", 1), call.pair("dilation_rate", 1)
    kernel = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    pads, out = _window(call, size, kernel, strides)
    name = call.graph.conv(
        x, name, weight, bias, stride=strides, pads=pads, groups=groups, dilation=dilation
    )
    return name, out


def _window(
    call: Call, size: tuple[int, int], kernel: list[int], strides: tuple[int, int]
) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
    """Pads (top, left, bottom, right) and output size; SAME puts the odd pixel at the end."""
    padding = call.config.get("padding", "valid")
    if padding not in ("valid", "same"):
        raise call.error(f"padding={padding} is not known", "use valid or same")
    before, after, out = [], [], []
    for side, k, stride in zip(size, kernel, strides, strict=True):
        count = -(-side // stride) if padding == "same" else (side - k) // stride + 1
        total = max((count - 1) * stride + k - side, 0) if padding == "same" else 0
        if count < 1:
            raise call.error(f"nothing is left of {size[1]} x {size[0]} px", "use a larger input")
        before.append(total // 2)
        after.append(total - total // 2)
        out.append(count)
    return (before[0], before[1], after[0], after[1]), (out[0], out[1])


def _transposed(call: Call) -> Tensor:
    call.channels_last()
    depth, height, width = call.image()
    filters, strides = int(call.config["filters"]), call.pair("strides", 1)
    dilation = call.pair("dilation_rate", 1)
    kernel = call.pair("kernel_size", 1)
    weight = call.weights("kernel", (*kernel, filters, depth)).transpose(3, 2, 0, 1)
    extra = call.config.get("output_padding")
    added = (None, None) if extra is None else call.pair("output_padding", 0)
    before, after, grown, out = [], [], [], []
    for side, k0, d, stride, more in zip(
        (height, width), kernel, dilation, strides, added, strict=True
    ):
        k = (k0 - 1) * d + 1
        full = (side - 1) * stride + k
        same = call.config.get("padding", "valid") == "same"
        if more is not None:
            count = full + more - (2 * (k // 2) if same else 0)
        else:
            count = side * stride + (0 if same else max(k - stride, 0))
        total = max(full - count, 0)
        cut = max((-(-count // stride) - 1) * stride + k - count, 0) // 2 if same else 0
        before.append(min(cut, total))
        after.append(total - before[-1])
        grown.append(max(count - full, 0))
        out.append(count)
    name = call.graph.node(
        "ConvTranspose",
        (
            call.x.name,
            call.graph.constant(f"{call.name}.weight", weight),
            call.graph.constant(f"{call.name}.bias", call.bias(filters)),
        ),
        call.name,
        kernel_shape=list(kernel),
        strides=list(strides),
        dilations=list(dilation),
        pads=[*before, *after],
        output_padding=grown,
    )
    return call.done(name, (filters, out[0], out[1]))


def _batch_norm(call: Call) -> Tensor:
    axis = call.config.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) else axis
    rank = len(call.x.shape)
    if axis not in (-1, rank):
        raise call.error(f"axis={axis} is not the last one", "normalise over the channels")
    count = call.x.shape[0]
    ones, zeros = np.ones(count, np.float32), np.zeros(count, np.float32)
    arrays = (
        call.weights("gamma", (count,)) if call.config.get("scale", True) else ones,
        call.weights("beta", (count,)) if call.config.get("center", True) else zeros,
        call.weights("moving_mean", (count,)),
        call.weights("moving_variance", (count,)),
    )
    if (arrays[3] < 0).any():
        raise WeightsError(
            "moving_variance is negative", where=call.where, mend="copy the file again"
        )
    names = [
        call.graph.constant(f"{call.name}.{part}", array)
        for part, array in zip(("gamma", "beta", "mean", "var"), arrays, strict=True)
    ]
    epsilon = float(call.config.get("epsilon", 1e-3))
    name = call.graph.node("BatchNormalization", (call.x.name, *names), call.name, epsilon=epsilon)
    return Tensor(name, call.x.shape)


def _dense(call: Call) -> Tensor:
    units = int(call.config["units"])
    depth = call.x.shape[0]
    weight = call.weights("kernel", (depth, units)).T
    if len(call.x.shape) == 1:
        return call.done(
            call.graph.gemm(call.x.name, call.name, weight, call.bias(units)), (units,)
        )
    _, height, width = call.image()
    name = call.graph.conv(call.x.name, call.name, weight[:, :, None, None], call.bias(units))
    return call.done(name, (units, height, width))


def _pool(op: str) -> Callable[[Call], Tensor]:
    def pool(call: Call) -> Tensor:
        call.channels_last()
        depth, height, width = call.image()
        size = call.pair("pool_size", 2)
        strides = size if call.config.get("strides") is None else call.pair("strides", 1)
        pads, out = _window(call, (height, width), list(size), strides)
        name = call.graph.node(
            op, (call.x.name,), call.name, kernel_shape=list(size), strides=list(strides),
            pads=list(pads),
        )  # fmt: skip
        return Tensor(name, (depth, *out))

    return pool


def _global_pool(op: str) -> Callable[[Call], Tensor]:
    def pool(call: Call) -> Tensor:
        call.channels_last()
        depth, _, _ = call.image()
        name = call.graph.node(op, (call.x.name,), f"{call.name}.pool")
        if call.config.get("keepdims", False):
            return Tensor(name, (depth, 1, 1))
        return Tensor(call.graph.node("Flatten", (name,), call.name, axis=1), (depth,))

    return pool


def _upsampling(call: Call) -> Tensor:
    call.channels_last()
    depth, height, width = call.image()
    factor = call.pair("size", 2)
    kind = call.config.get("interpolation", "nearest")
    if kind not in ("nearest", "bilinear"):
        raise call.error(f"interpolation={kind} is not known", "use nearest or bilinear")
    name = call.graph.upsample(
        call.x.name, call.name, factor, "nearest" if kind == "nearest" else "linear"
    )
    return Tensor(name, (depth, height * factor[0], width * factor[1]))


def _concatenate(call: Call) -> Tensor:
    rank = len(call.x.shape)
    axis = int(call.config.get("axis", -1))
    axis = axis if axis >= 0 else rank + 1 + axis
    order = {1: 1} if rank == 1 else {1: 2, 2: 3, 3: 1}
    if axis not in order or any(len(item.shape) != rank for item in call.inputs):
        raise call.error(f"axis={axis} of {[item.shape for item in call.inputs]} cannot be joined")
    place = order[axis]
    shape = list(call.x.shape)
    shape[place - 1] = sum(item.shape[place - 1] for item in call.inputs)
    for item in call.inputs:
        if [s for i, s in enumerate(item.shape) if i != place - 1] != [
            s for i, s in enumerate(shape) if i != place - 1
        ]:
            raise call.error(
                f"{[item.shape for item in call.inputs]} (C, H, W) differ",
                "use an input size that can be halved as often as the model does",
            )
    name = call.graph.node("Concat", [item.name for item in call.inputs], call.name, axis=place)
    return Tensor(name, tuple(shape))


def _elementwise(op: str) -> Callable[[Call], Tensor]:
    def combine(call: Call) -> Tensor:
        shapes = [item.shape for item in call.inputs]
        if len({len(shape) for shape in shapes}) != 1:
            raise call.error(f"{shapes} differ in their number of sides")
        shape = tuple(max(sides) for sides in zip(*shapes, strict=True))
        name = call.inputs[0].name
        for item in call.inputs[1:]:
            name = call.graph.node(op, (name, item.name), call.name)
        return Tensor(name, shape)

    return combine


def _average(call: Call) -> Tensor:
    total = _elementwise("Add")(call)
    share = call.graph.constant(f"{call.name}.share", np.array(1 / len(call.inputs), np.float32))
    return Tensor(call.graph.node("Mul", (total.name, share), call.name), total.shape)


def _flatten(call: Call) -> Tensor:
    call.channels_last()
    x, shape = call.x.name, call.x.shape
    if len(shape) == 3 and shape[1:] != (1, 1):
        # Keras flattens height, width, channel.
        x = call.graph.node("Transpose", (x,), f"{call.name}.last", perm=[0, 2, 3, 1])
    count = int(np.prod(shape))
    return Tensor(call.graph.node("Flatten", (x,), call.name, axis=1), (count,))


def _padding(call: Call) -> Tensor:
    call.channels_last()
    depth, height, width = call.image()
    (top, bottom), (left, right) = _margins(call, "padding", 1)
    pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    name = call.graph.node(
        "Pad", (call.x.name, call.graph.constant(f"{call.name}.pads", pads)), call.name
    )
    return Tensor(name, (depth, height + top + bottom, width + left + right))


def _cropping(call: Call) -> Tensor:
    call.channels_last()
    depth, height, width = call.image()
    (top, bottom), (left, right) = _margins(call, "cropping", 0)
    if top + bottom >= height or left + right >= width:
        raise call.error(f"nothing is left of {width} x {height} px", "use a larger input")
    cuts = {"start": (top, left), "stop": (height - bottom, width - right), "axes": (2, 3)}
    bounds = [
        call.graph.constant(f"{call.name}.{key}", np.array(values, np.int64))
        for key, values in cuts.items()
    ]
    name = call.graph.node("Slice", (call.x.name, *bounds), call.name)
    return Tensor(name, (depth, height - top - bottom, width - left - right))


def _margins(call: Call, key: str, default: int) -> tuple[tuple[int, int], tuple[int, int]]:
    value = call.config.get(key, default)
    if isinstance(value, int):
        return (value, value), (value, value)
    sides = [
        (side, side) if isinstance(side, int) else (int(side[0]), int(side[1])) for side in value
    ]
    return sides[0], sides[1]


def _relu(call: Call) -> Tensor:
    config = call.config
    slope = float(config.get("negative_slope", config.get("alpha", 0)) or 0)
    limit = config.get("max_value")
    if float(config.get("threshold") or 0):
        raise call.error(f"threshold={config['threshold']} is not known", "use threshold=0")
    if limit is not None and slope:
        raise call.error("max_value together with negative_slope is not known")
    if slope:
        name = call.graph.node("LeakyRelu", (call.x.name,), call.name, alpha=slope)
    elif limit is not None:
        name = _clipped_relu(call.graph, call.x.name, call.name, float(limit))
    else:
        name = call.graph.node("Relu", (call.x.name,), call.name)
    return Tensor(name, call.x.shape)


def _leaky(call: Call) -> Tensor:
    alpha = call.config.get("negative_slope", call.config.get("alpha", 0.3))
    name = call.graph.node("LeakyRelu", (call.x.name,), call.name, alpha=float(alpha))
    return Tensor(name, call.x.shape)


def _elu(call: Call) -> Tensor:
    alpha = float(call.config.get("alpha", 1.0))
    return Tensor(call.graph.node("Elu", (call.x.name,), call.name, alpha=alpha), call.x.shape)


def _activation_layer(call: Call) -> Tensor:
    return call.done(call.x.name, call.x.shape)


def _softmax(call: Call) -> Tensor:
    if call.config.get("axis", -1) not in (-1, len(call.x.shape)):
        raise call.error("a softmax over another axis than the last is not known")
    return Tensor(activation(call, call.x.name, "softmax"), call.x.shape)


def _rescaling(call: Call) -> Tensor:
    scale, offset = call.config["scale"], call.config.get("offset", 0.0)
    x = call.x.name
    for op, value in (("Mul", scale), ("Add", offset)):
        array = np.array(value, np.float32)
        if array.ndim:
            array = array.reshape(-1, *([1] * (len(call.x.shape) - 1)))
        x = call.graph.node(op, (x, call.graph.constant(f"{call.name}.{op}", array)), call.name)
    return Tensor(x, call.x.shape)


def _nothing(call: Call) -> Tensor:
    return call.x


def _clipped_relu(graph: GraphBuilder, x: str, name: str, limit: float) -> str:
    low = graph.constant(f"{name}.low", np.array(0, np.float32))
    high = graph.constant(f"{name}.high", np.array(limit, np.float32))
    return graph.node("Clip", (x, low, high), name)


LAYERS: dict[str, Callable[[Call], Tensor]] = {
    "Activation": _activation_layer,
    "Add": _elementwise("Add"),
    "AlphaDropout": _nothing,
    "Average": _average,
    "AveragePooling2D": _pool("AveragePool"),
    "BatchNormalization": _batch_norm,
    "Concatenate": _concatenate,
    "Conv2D": _conv2d,
    "Conv2DTranspose": _transposed,
    "Cropping2D": _cropping,
    "Dense": _dense,
    "DepthwiseConv2D": _depthwise,
    "Dropout": _nothing,
    "ELU": _elu,
    "Flatten": _flatten,
    "GaussianDropout": _nothing,
    "GaussianNoise": _nothing,
    "GlobalAveragePooling2D": _global_pool("GlobalAveragePool"),
    "GlobalMaxPooling2D": _global_pool("GlobalMaxPool"),
    "LeakyReLU": _leaky,
    "MaxPooling2D": _pool("MaxPool"),
    "Maximum": _elementwise("Max"),
    "Multiply": _elementwise("Mul"),
    "ReLU": _relu,
    "Rescaling": _rescaling,
    "SeparableConv2D": _separable,
    "Softmax": _softmax,
    "SpatialDropout2D": _nothing,
    "Subtract": _elementwise("Sub"),
    "UpSampling2D": _upsampling,
    "ZeroPadding2D": _padding,
}
