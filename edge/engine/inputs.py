"""From 8-bit grey pixels to the array an engine takes, as its passport says.

Room: engine. Pure functions over arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

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
    scaled = grey.astype(np.float32)[:, None] * np.float32(scale)
    shift = np.array(mean, np.float32)[:, None, None]
    spread = np.array(std, np.float32)[:, None, None]
    return np.ascontiguousarray((scaled - shift) / spread, np.float32)


def input_size(engine: Engine) -> tuple[int, int]:
    """Height and width in px that ``engine`` takes."""
    spec = cast("Mapping[str, Any]", engine.passport["input"])
    return int(spec["height"]), int(spec["width"])
