"""Local entropy of a picture at chosen pixels, by a compiled loop.

Layer: pipeline; pure functions over arrays. The compiler, numba, is optional.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.model import GreyImage

    Fill = Callable[[GreyImage, int, "Integers", "Integers", "Floats"], None]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

STEP_PX = 4
"""The entropy is computed at every fourth pixel first: over a wide window it changes little from
one to the next."""
QUANTUM_BIT = 2.0**-32
NEAR_BIT = 0.02
"""Between pixels of the grid it may lie this far outside of their values."""


def entropy_at(picture: GreyImage, window_px: int, places: Integers) -> Floats | None:
    """Entropy of the grey levels around some pixels.

    Parameters
    ----------
    picture : [h, w] uint8
    window_px : int
        Side of the square window, odd. What lies outside the picture does not count.
    places : [n, 2] int64
        Row and column of each pixel. The window moves from each to the next: neighbours one after
        another cost least.

    Returns
    -------
    [n] float64 or None
        In bit; ``None`` where numba is not installed.
    """
    fill = _compiled()
    if fill is None:
        return None
    out = np.empty(len(places))
    n = np.arange(window_px**2 + 2, dtype=np.float64)
    # Whole numbers add up faster than floats, and without a rounding error.
    gain = np.round(np.diff(n * np.log2(np.maximum(n, 1))) / QUANTUM_BIT).astype(np.int64)
    fill(np.ascontiguousarray(picture), window_px // 2, gain, places, out)
    return out


def entropy_near(
    picture: GreyImage, window_px: int, level_of: Callable[[Floats], float]
) -> Floats | None:
    """Entropy at every pixel, [h, w] float64 in bit; ``None`` where numba is not installed.

    It is computed at every fourth pixel, interpolated, and computed at each pixel where it may
    cross the level that ``level_of`` gives for the interpolated one, or be the largest.
    """
    height, width = picture.shape
    rows, columns = -(-height // STEP_PX), -(-width // STEP_PX)
    walk = _walk(rows, columns)
    found = entropy_at(picture, window_px, STEP_PX * walk)
    if found is None:
        return None
    grid = np.empty((rows, columns))
    grid[walk[:, 0], walk[:, 1]] = found
    back = np.diag([1 / STEP_PX, 1 / STEP_PX, 1.0])[:2]
    full: Floats = np.asarray(cv2.warpAffine(
        grid, back, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    ), np.float64)  # fmt: skip
    level = level_of(full)
    # Each cell reaches from one pixel of the grid to the next ones.
    beside = np.ones((2, 2), np.uint8)
    low = cv2.erode(grid, beside, anchor=(0, 0), borderType=cv2.BORDER_REPLICATE)
    high = cv2.dilate(grid, beside, anchor=(0, 0), borderType=cv2.BORDER_REPLICATE)
    crossed = (low <= level + NEAR_BIT) & (high >= level - NEAR_BIT)
    cells = np.argwhere(crossed | (high >= high.max() - NEAR_BIT))
    places = (STEP_PX * cells[:, None] + _walk(STEP_PX, STEP_PX)).reshape(-1, 2)
    places = np.minimum(places, (height - 1, width - 1))
    exact = entropy_at(picture, window_px, places)
    if exact is not None:
        full[places[:, 0], places[:, 1]] = exact
    return full


def _walk(rows: int, columns: int) -> Integers:
    """Row and column of every place of a grid, column by column, down and up in turn."""
    x, y = np.mgrid[:columns, :rows]
    y[1::2] = y[1::2, ::-1].copy()
    return np.stack([y.ravel(), x.ravel()], axis=1)


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


def _fill(picture: GreyImage, half: int, gain: Integers, places: Integers, out: Floats) -> None:
    """Fill ``out``; ``gain[n]`` is what a level's n log n gains when one pixel is added to n.

    Only rows and columns that enter and leave the window are counted, unless most of them do.
    """
    height, width = picture.shape
    count = np.zeros(256, np.uint32)  # unsigned: the loop need not look for negative indices
    total, top, bottom, left, right = 0, 0, 0, 0, 0
    for k in range(len(places)):
        y, x = places[k]
        new_top, new_bottom = max(0, y - half), min(height, y + half + 1)
        new_left, new_right = max(0, x - half), min(width, x + half + 1)
        if abs(new_top - top) + abs(new_left - left) > half or k == 0:
            count[:] = 0
            total, top, bottom, left, right = 0, new_top, new_bottom, new_left, new_left
        # What leaves goes first: no level ever has more pixels than a window. Columns change over
        # the rows of the window as it was.
        for first, last in ((left, new_left), (new_right, right)):
            for i in range(top, bottom):
                for j in range(first, last):
                    level = picture[i, j]
                    n = count[level] - np.uint32(1)
                    count[level] = n
                    total -= gain[n]
        for first, last in ((right, new_right), (new_left, left)):
            for i in range(top, bottom):
                for j in range(first, last):
                    level = picture[i, j]
                    n = count[level]
                    count[level] = n + np.uint32(1)
                    total += gain[n]
        left, right = new_left, new_right
        for first, last in ((top, new_top), (new_bottom, bottom)):
            for i in range(first, last):
                for j in range(left, right):
                    level = picture[i, j]
                    n = count[level] - np.uint32(1)
                    count[level] = n
                    total -= gain[n]
        for first, last in ((bottom, new_bottom), (new_top, top)):
            for i in range(first, last):
                for j in range(left, right):
                    level = picture[i, j]
                    n = count[level]
                    count[level] = n + np.uint32(1)
                    total += gain[n]
        top, bottom = new_top, new_bottom
        inside = (bottom - top) * (right - left)
        out[k] = np.log2(inside) - total * QUANTUM_BIT / inside
