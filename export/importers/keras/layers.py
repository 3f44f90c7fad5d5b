"""Each Keras layer as ONNX nodes.

Layer: export; pure functions over a `Call`. `LAYERS` is the table of the known layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from export.errors import WeightsError
from export.importers.keras.arrange import ARRANGING, IDENTITY, same
from export.importers.keras.call import Call, Tensor, activation, clipped_relu

if TYPE_CHECKING:
    from collections.abc import Callable

    from export.onnx_graph.builder import Array


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
    if axis not in (-1, rank) or rank == 2:
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
            "moving_variance is negative", where=call.where, fix="copy the file again"
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


def concatenate(call: Call) -> Tensor:
    """Join tensors over the axis of the settings, counted in Keras's order."""
    rank = len(call.x.shape)
    axis = int(call.config.get("axis", -1))
    axis = axis if axis >= 0 else rank + 1 + axis
    order = {1: 2, 2: 3, 3: 1} if rank == 3 else {1: 1, 2: 2} if rank == 2 else {1: 1}
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
        name = clipped_relu(call.graph, call.x.name, call.name, float(limit))
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


LAYERS: dict[str, Callable[[Call], Tensor]] = {
    "Activation": _activation_layer,
    "Add": _elementwise("Add"),
    "Average": _average,
    "AveragePooling2D": _pool("AveragePool"),
    "BatchNormalization": _batch_norm,
    "Concatenate": concatenate,
    "Conv2D": _conv2d,
    "Conv2DTranspose": _transposed,
    "Dense": _dense,
    "DepthwiseConv2D": _depthwise,
    "ELU": _elu,
    "GlobalAveragePooling2D": _global_pool("GlobalAveragePool"),
    "GlobalMaxPooling2D": _global_pool("GlobalMaxPool"),
    "LeakyReLU": _leaky,
    "MaxPooling2D": _pool("MaxPool"),
    "Maximum": _elementwise("Max"),
    "Minimum": _elementwise("Min"),
    "Multiply": _elementwise("Mul"),
    "ReLU": _relu,
    "SeparableConv2D": _separable,
    "Softmax": _softmax,
    "Subtract": _elementwise("Sub"),
    "UpSampling2D": _upsampling,
    **ARRANGING,
    **dict.fromkeys(IDENTITY, same),
}

MERGING = frozenset({"Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"})
"""Layers that take several tensors; every other takes one."""
