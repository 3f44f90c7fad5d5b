"""The shipped architectures in plain numpy, to check an exported graph against its arrays.

Layer: export; pure functions, float32. It shares no code with the graph builders: batch
normalisation is applied, not folded; convolutions are sums over kernel taps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from export.importers.darknet.cfg import (
    Convolution,
    MaxPool,
    Network,
    Route,
    Shortcut,
    Upsample,
    Yolo,
)
from export.importers.unet import KERNELS
from export.importers.vgg import (
    BN_EPSILON,
    EXCLUSION_STAGES,
    POOL_AFTER,
    TRUNK_CHANNELS,
    tasks,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.anatomy import Limb
    from export.onnx_graph.builder import Array


def conv2d(
    x: Array,
    weight: Array,
    *,
    stride: tuple[int, int] = (1, 1),
    pad: int = 0,
    groups: int = 1,
    dilation: int = 1,
) -> Array:
    """Cross-correlation of [n, in, h, w] with [out, in / groups, kh, kw]; zero padding in px."""
    count, _, kh, kw = weight.shape
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    high = (x.shape[2] - dilation * (kh - 1) - 1) // stride[0] + 1
    wide = (x.shape[3] - dilation * (kw - 1) - 1) // stride[1] + 1
    parts = []
    inputs, outputs = x.shape[1] // groups, count // groups
    for g in range(groups):
        plane = x[:, g * inputs : (g + 1) * inputs]
        kernel = weight[g * outputs : (g + 1) * outputs]
        total = np.zeros((x.shape[0], outputs, high, wide), np.float32)
        for dy in range(kh):
            for dx in range(kw):
                top, left = dy * dilation, dx * dilation
                seen = plane[
                    :,
                    :,
                    top : top + (high - 1) * stride[0] + 1 : stride[0],
                    left : left + (wide - 1) * stride[1] + 1 : stride[1],
                ]
                total += np.einsum("oi,nihw->nohw", kernel[:, :, dy, dx], seen, optimize=True)
        parts.append(total)
    return np.concatenate(parts, axis=1)


def max_pool(
    x: Array, size: int, stride: tuple[int, int], before: int, shape: tuple[int, int]
) -> Array:
    """Maximum over ``size`` x ``size`` windows; outside is minus infinity.

    ``before`` px stand above and to the left; the result is ``shape`` (height, width).
    """
    n, c, h, w = x.shape
    needed = [(s - 1) * t + size for s, t in zip(shape, stride, strict=True)]
    canvas = np.full(
        (n, c, max(needed[0], before + h), max(needed[1], before + w)), -np.inf, np.float32
    )
    canvas[:, :, before : before + h, before : before + w] = x
    windows = [
        canvas[
            :,
            :,
            dy : dy + (shape[0] - 1) * stride[0] + 1 : stride[0],
            dx : dx + (shape[1] - 1) * stride[1] + 1 : stride[1],
        ]
        for dy in range(size)
        for dx in range(size)
    ]
    pooled: Array = np.maximum.reduce(windows)
    return pooled


def enlarge(x: Array, factor: int) -> Array:
    """Every pixel ``factor`` times."""
    return x.repeat(factor, axis=2).repeat(factor, axis=3)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    return (0.5 * (1 + np.tanh(0.5 * x.astype(np.float64)))).astype(np.float32)


def activate(x: Array, kind: str) -> Array:
    """Apply a Darknet activation by name."""
    if kind == "leaky":
        return np.where(x > 0, x, np.float32(0.1) * x)
    if kind == "relu":
        return np.maximum(x, 0)
    if kind == "logistic":
        return sigmoid(x)
    if kind == "swish":
        return x * sigmoid(x)
    if kind == "mish":
        return x * np.tanh(np.logaddexp(0, x.astype(np.float64))).astype(np.float32)
    return x


def normalise(x: Array, parts: Mapping[str, Array], prefix: str, epsilon: float) -> Array:
    """Apply batch normalisation over axis 1, arrays ``{prefix}.gamma .beta .mean .var``."""
    side = (-1, *([1] * (x.ndim - 2)))
    gamma, beta, mean, variance = (
        parts[f"{prefix}.{part}"].reshape(side) for part in ("gamma", "beta", "mean", "var")
    )
    scaled: Array = gamma * (x - mean) / np.sqrt(variance + np.float32(epsilon)) + beta
    return scaled


def darknet_forward(
    network: Network, arrays: Mapping[str, Array], image: Array, *, bn_epsilon: float
) -> list[Array]:
    """Output of every layer for ``image`` [1, C, H, W]; arrays as `read_weights` gives."""
    outputs: list[Array] = []
    x = image
    for layer in network.layers:
        if isinstance(layer, Convolution):
            prefix = f"conv{layer.ordinal}"
            x = conv2d(
                x,
                arrays[f"{prefix}.weight"],
                stride=layer.stride,
                pad=layer.pad * layer.dilation,
                groups=layer.groups,
                dilation=layer.dilation,
            )
            if f"{prefix}.bn.gamma" in arrays:
                x = normalise(x, arrays, f"{prefix}.bn", bn_epsilon)
            else:
                x = x + arrays[f"{prefix}.bias"][:, None, None]
            x = activate(x, layer.activation)
        elif isinstance(layer, Shortcut):
            x = x.copy()
            for source in layer.sources:
                both = min(x.shape[1], outputs[source].shape[1])
                x[:, :both] += outputs[source][:, :both]
            x = activate(x, layer.activation)
        elif isinstance(layer, Route):
            x = np.concatenate(
                [np.split(outputs[s], layer.groups, axis=1)[layer.group_id] for s in layer.sources],
                axis=1,
            )
        elif isinstance(layer, MaxPool):
            x = max_pool(x, layer.size, layer.stride, layer.pads[0], layer.shape[1:])
        elif isinstance(layer, Upsample):
            x = enlarge(x, layer.stride)
        outputs.append(x)
    return outputs


def decode_heads(network: Network, outputs: list[Array]) -> Array:
    """Rows [1, N, 5 + classes] of all heads, one box at a time as Darknet writes them."""
    return np.concatenate(
        [_decode(head, outputs[head.section.index][0], network.input[1:]) for head in network.heads]
    )[None]


def unet_forward(arrays: Mapping[str, Array], image: Array) -> Array:
    """Mask probability [1, 1, H, W] of ``image`` [1, 1, H, W]; ``arrays`` as in `unet_shapes`."""

    def plain(x: Array, name: str, pad: int) -> Array:
        return conv2d(x, arrays[f"{name}.weight"], pad=pad) + arrays[f"{name}.bias"][:, None, None]

    def block(x: Array, name: str) -> Array:
        branches = [plain(x, f"{name}.conv{k}", k // 2) for k in KERNELS]
        return np.maximum(
            plain(np.maximum(np.concatenate(branches, axis=1), 0), f"{name}.fuse", 0), 0
        )

    def halved(x: Array) -> Array:
        return max_pool(x, 2, (2, 2), 0, (x.shape[2] // 2, x.shape[3] // 2))

    e0 = block(image, "enc0")
    e1 = block(halved(e0), "enc1")
    middle = block(halved(e1), "mid")
    d1 = block(np.concatenate([enlarge(middle, 2), e1], axis=1), "dec1")
    d0 = block(np.concatenate([enlarge(d1, 2), e0], axis=1), "dec0")
    return sigmoid(plain(d0, "head", 0))


def vgg_forward(arrays: Mapping[str, Array], image: Array, limb: Limb) -> dict[str, Array]:
    """Outputs for ``image`` [n, 3, S, S] by name; arrays of `export.importers.vgg`."""
    x, means = image, []
    for i in range(len(TRUNK_CHANNELS)):
        name = f"trunk.conv{i}"
        x = conv2d(x, arrays[f"{name}.weight"], pad=1) + arrays[f"{name}.bias"][:, None, None]
        x = np.maximum(x, 0)
        if i in POOL_AFTER:
            x = max_pool(x, 2, (2, 2), 0, (x.shape[2] // 2, x.shape[3] // 2))
        if i in EXCLUSION_STAGES:
            means.append(x.mean(axis=(2, 3)))
    results: dict[str, Array] = {}
    for task, output, _ in tasks(limb):
        y = means[-1]
        for j in range(3):
            y = y @ arrays[f"{task}.dense{j}.weight"].T + arrays[f"{task}.dense{j}.bias"]
            y = normalise(y, arrays, f"{task}.bn{j}", BN_EPSILON)
            y = np.maximum(y, 0) if j < 2 else sigmoid(y)
        results[output] = y
    exclusion = f"{limb}_exclusion"
    if f"{exclusion}.weight" in arrays:
        y = np.concatenate(means, axis=1)
        y = y @ arrays[f"{exclusion}.weight"].T + arrays[f"{exclusion}.bias"]
        results["exclusion"] = sigmoid(y)
    return results


def _decode(head: Yolo, values: Array, input_size: tuple[int, int]) -> Array:
    height, width = values.shape[1:]
    fields = 5 + head.classes
    rows = []
    for y in range(height):
        for x in range(width):
            for a, (aw, ah) in enumerate(head.anchors):
                v = values[a * fields : (a + 1) * fields, y, x]
                squashed = v if head.new_coords else sigmoid(v)
                size = (v[2:4] * 2) ** 2 if head.new_coords else np.exp(v[2:4])
                centre = squashed[:2] * head.scale_x_y - 0.5 * (head.scale_x_y - 1)
                rows.append(
                    [
                        (centre[0] + x) / width * input_size[1],
                        (centre[1] + y) / height * input_size[0],
                        size[0] * aw,
                        size[1] * ah,
                        *squashed[4:],
                    ]
                )
    return np.array(rows, np.float32)
