"""Local entropy of a picture at every few pixels, by a compiled loop.

Layer: pipeline; pure functions over arrays. The compiler, numba, is optional.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.model import GreyImage

    Fill = Callable[[GreyImage, int, int, "Floats", "Floats"], None]

Floats = npt.NDArray[np.float64]


def local_entropy(picture: GreyImage, window_px: int, step_px: int) -> Floats | None:
    """Entropy of the grey levels around every ``step_px``-th pixel.

    Parameters
    ----------
    picture : [h, w] uint8
    window_px : int
        Side of the square window, odd. What lies outside the picture does not count.
    step_px : int
        From one place to the next, both ways; the first place is the top-left pixel.

    Returns
    -------
    [ceil(h / step), ceil(w / step)] float64 or None
        In bit; ``None`` where numba is not installed.
    """
    fill = _compiled()
    if fill is None:
        return None
    height, width = picture.shape
    out = np.empty((-(-height // step_px), -(-width // step_px)))
    n = np.arange(window_px**2 + 2, dtype=np.float64)
    n_log_n = n * np.log2(np.maximum(n, 1))
    fill(np.ascontiguousarray(picture), window_px // 2, step_px, np.diff(n_log_n), out)
    return out


@lru_cache(maxsize=1)
def _compiled() -> Fill | None:
    try:
        # Imported here: it takes a second, and the U-Net serves without it.
        from numba import njit  # noqa: PLC0415
    except ImportError:
        return None
    try:
        return cast("Fill", njit(cache=True, nogil=True)(_fill))
    except RuntimeError:  # no folder to keep the compiled loop in
        return cast("Fill", njit(nogil=True)(_fill))


def _fill(picture: GreyImage, half: int, step: int, gain: Floats, out: Floats) -> None:
    """Fill ``out``; ``gain[n]`` is what a level's n log n gains when one pixel is added to n.

    The window moves along a row, and only the columns that enter and leave it are counted.
    """
    height, width = picture.shape
    rows, columns = out.shape
    for i in range(rows):
        top, bottom = max(0, i * step - half), min(height, i * step + half + 1)
        count = np.zeros(256, np.int64)
        inside, total = 0, 0.0
        left, right = 0, 0
        for j in range(columns):
            new_left, new_right = max(0, j * step - half), min(width, j * step + half + 1)
            for y in range(top, bottom):
                for x in range(right, new_right):
                    level = picture[y, x]
                    total += gain[count[level]]
                    count[level] += 1
                for x in range(left, new_left):
                    level = picture[y, x]
                    count[level] -= 1
                    total -= gain[count[level]]
            inside += (bottom - top) * (new_right - right - new_left + left)
            left, right = new_left, new_right
            out[i, j] = np.log2(inside) - total / inside
