"""Makes a picture smaller by averaging areas, its two halves at the same time.

Layer: pipeline; pure, on two threads.

OpenCV averages areas on one thread, and every film passes through it several times.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from edge.model import GreyImage

_LEAST_PX = 500_000
"""A smaller picture is done before a second thread has begun."""


@cache
def _helper() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="shrink")


def shrunk(pixels: GreyImage, size: tuple[int, int]) -> GreyImage:
    """Resize uint8 [h, w] to (width, height) by `cv2.INTER_AREA`.

    The result is that of OpenCV on the whole picture: it is cut where a pixel of the result ends,
    which is in the middle where both heights, or both widths, are even.
    """
    height, width = pixels.shape
    wide, high = size
    by_rows = not (height % 2 or high % 2)
    by_columns = not (width % 2 or wide % 2)
    alone = pixels.size < _LEAST_PX or cv2.getNumThreads() < 2
    if alone or high > height or wide > width or not (by_rows or by_columns):
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    if by_rows:
        parts, part, axis = (pixels[: height // 2], pixels[height // 2 :]), (wide, high // 2), 0
    else:
        parts, part, axis = (pixels[:, : width // 2], pixels[:, width // 2 :]), (wide // 2, high), 1
    other = _helper().submit(cv2.resize, parts[1], part, interpolation=cv2.INTER_AREA)
    first = cv2.resize(parts[0], part, interpolation=cv2.INTER_AREA)
    return np.concatenate((first, other.result()), axis=axis)
