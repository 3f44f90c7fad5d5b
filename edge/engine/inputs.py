"""From 8-bit grey pixels to the array an engine takes, by its passport.

Layer: engine; pure functions over arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from edge.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from edge.engine.protocol import Engine, Tensor


def to_inputs(engine: Engine, grey: npt.NDArray[np.uint8]) -> dict[str, Tensor]:
    """Return the inputs of ``engine`` from grey images [n, H, W] of its size (uint8, bones bright).

    Every channel gets the same grey: (pixel * scale - mean) / std.
    """
    spec = cast("Mapping[str, Any]", engine.passport["input"])
    image = scale_grey(grey, float(spec["scale"]), tuple(spec["mean"]), tuple(spec["std"]))
    return {str(spec["name"]): image}


def scale_grey(
    grey: npt.NDArray[np.uint8], scale: float, mean: tuple[float, ...], std: tuple[float, ...]
) -> Tensor:
    """Return [n, C, H, W] float32 from grey [n, H, W]; C values of mean and of std."""
    image = np.empty((len(grey), len(mean), *grey.shape[1:]), np.float32)
    first = np.multiply(grey, np.float32(scale), out=image[:, 0])
    # The first channel last: the others are made from it.
    for channel in reversed(range(len(mean))):
        out = image[:, channel]
        np.subtract(first, np.float32(mean[channel]), out=out)
        np.divide(out, np.float32(std[channel]), out=out)
    return image


def input_size(engine: Engine) -> tuple[int, int]:
    """Height and width in px that ``engine`` takes."""
    spec = cast("Mapping[str, Any]", engine.passport["input"])
    return int(spec["height"]), int(spec["width"])


def check_inputs(
    name: str, wanted: Mapping[str, tuple[int | None, ...]], inputs: Mapping[str, Tensor]
) -> None:
    """Raise `EngineError` naming the first input that engine ``name`` does not take as given."""
    for key in sorted(set(inputs) | set(wanted)):
        shape, array = wanted.get(key), inputs.get(key)
        fits = (
            shape is not None
            and array is not None
            and array.dtype == np.float32
            and array.ndim == len(shape)
            and array.size > 0
            and all(w in (None, s) for w, s in zip(shape, array.shape, strict=True))
        )
        if not fits:
            given = "nothing" if array is None else f"{array.dtype} {list(array.shape)}"
            asked = "no such input" if shape is None else f"float32 {list(shape)}"
            raise EngineError(
                f"{name}: input {key}: given {given}, wanted {asked}",
                engine=name,
                fix="give arrays as the passport's input states",
            )
