"""Keras layers without trained weights: scaling, reshaping, padding, and those without effect.

Layer: export; pure functions over a `Call`. Keras keeps channels last, the graph keeps them first:
what depends on the order is transposed where it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from export.importers.keras.call import Call, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

AUGMENTING = frozenset(
    {
        "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast",
        "RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur",
        "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPerspective", "RandomPosterization",
        "RandomRotation", "RandomSaturation", "RandomSharpness", "RandomShear", "RandomTranslation",
        "RandomZoom",
    }
)  # fmt: skip
"""Layers that change images while training and pass them unchanged afterwards. RandomCrop is not
one of them: it crops the middle afterwards."""

IDENTITY = AUGMENTING | {
    "ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise",
    "Identity", "SpatialDropout2D",
}  # fmt: skip
"""Layers that give what they are given once training is over."""

_VARIANCE_FLOOR = 1e-7


def same(call: Call) -> Tensor:
    """Give the input."""
    return call.x


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


def _flatten(call: Call) -> Tensor:
    call.channels_last()
    x, shape = call.x.name, call.x.shape
    if len(shape) == 3 and shape[1:] != (1, 1):
        # Keras flattens height, width, channel.
        x = call.graph.node("Transpose", (x,), f"{call.name}.last", perm=[0, 2, 3, 1])
    count = int(np.prod(shape))
    return Tensor(call.graph.node("Flatten", (x,), call.name, axis=1), (count,))


def _rescaling(call: Call) -> Tensor:
    x, rank = call.x.name, len(call.x.shape)
    for op, value in (("Mul", call.config["scale"]), ("Add", call.config.get("offset", 0.0))):
        array = np.array(value, np.float32)
        x = call.graph.node(op, (x, call.constant(op, array, rank)), call.name)
    return Tensor(x, call.x.shape)


def _normalization(call: Call) -> Tensor:
    """Normalise by a stored mean and variance: (x - mean) / max(sqrt(variance), 1e-7)."""
    rank = len(call.x.shape)
    axis = call.config.get("axis", -1)
    axes = [] if axis is None else [axis] if isinstance(axis, int) else list(axis)
    if any(item not in (-1, rank) for item in axes):
        raise call.error(f"axis={axis} is not the last one", "normalise over the channels")
    channels = call.x.shape[0 if rank == 3 else -1]
    shape = (channels,) if axes else ()
    if call.config.get("mean") is None:
        mean, variance = call.weights("mean", shape), call.weights("variance", shape)
        call.array("count")
    else:
        # Given as settings: a number, or nested lists with one value for each channel.
        mean, variance = (
            np.broadcast_to(np.array(call.config[key], np.float32).reshape(-1), (shape or (1,)))
            for key in ("mean", "variance")
        )
    if bool((variance < 0).any()):
        raise call.error("the variance is negative", "adapt the layer to the images again")
    spread = np.maximum(np.sqrt(variance), np.float32(_VARIANCE_FLOOR))
    steps = (("Sub", mean), ("Div", spread))
    if call.config.get("invert", False):
        steps = (("Mul", spread), ("Add", mean))
    x = call.x.name
    for op, array in steps:
        x = call.graph.node(op, (x, call.constant(op, np.asarray(array), rank)), call.name)
    return Tensor(x, call.x.shape)


def reshaped(call: Call, target: Sequence[int]) -> Tensor:
    """Append a reshape to ``target``, the sides after the batch in Keras's order."""
    shape = call.x.shape
    last = (*shape[1:], shape[0]) if len(shape) == 3 else shape
    total = int(np.prod(last))
    free = [i for i, side in enumerate(target) if side == -1]
    known = int(np.prod([side for side in target if side != -1]))
    if len(free) > 1 or any(side < 1 for side in target if side != -1) or not 1 <= len(target) <= 3:
        raise call.error(f"the shape {list(target)} is not known", "use one to three fixed sides")
    sides = tuple(total // known if i in free else side for i, side in enumerate(target))
    if int(np.prod(sides)) != total:
        raise call.error(f"{total} values cannot be reshaped to {list(target)}")
    x = call.x.name
    if len(shape) == 3:
        x = call.graph.node("Transpose", (x,), f"{call.name}.last", perm=[0, 2, 3, 1])
    x = call.graph.reshape(x, call.name, (0, *sides))
    if len(sides) == 3:
        x = call.graph.node("Transpose", (x,), f"{call.name}.first", perm=[0, 3, 1, 2])
        return Tensor(x, (sides[2], sides[0], sides[1]))
    return Tensor(x, sides)


def _reshape(call: Call) -> Tensor:
    return reshaped(call, [int(side) for side in call.config["target_shape"]])


ARRANGING: dict[str, Callable[[Call], Tensor]] = {
    "Cropping2D": _cropping,
    "Flatten": _flatten,
    "Normalization": _normalization,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "ZeroPadding2D": _padding,
}
