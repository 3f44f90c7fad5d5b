"""Stage 10: cuts the joints out of the canvas.

Layer: pipeline; pure functions over arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.model import GreyImage


def crop_joint(
    canvas: GreyImage, centre: tuple[float, float], side_px: float, size_px: int
) -> GreyImage:
    """Cut one square of ``side_px`` around ``centre``, edge-padded, resized to ``size_px``."""
    half = max(1, round(side_px / 2))
    x, y = round(centre[0]), round(centre[1])
    height, width = canvas.shape
    rows = np.clip(np.arange(y - half, y + half), 0, height - 1)
    columns = np.clip(np.arange(x - half, x + half), 0, width - 1)
    square = canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    before_y, after_y = int((rows == rows[0]).sum()) - 1, int((rows == rows[-1]).sum()) - 1
    before_x, after_x = (
        int((columns == columns[0]).sum()) - 1,
        int((columns == columns[-1]).sum()) - 1,
    )
    if before_y or after_y or before_x or after_x:
        padded = cv2.copyMakeBorder(
            square, before_y, after_y, before_x, after_x, cv2.BORDER_REPLICATE
        )
        square = np.asarray(padded, dtype=np.uint8)
    shrinks = square.shape[0] > size_px
    resized = cv2.resize(
        square, (size_px, size_px), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    )
    return np.asarray(resized, dtype=np.uint8)


def crop_joints(
    canvas: GreyImage,
    centres: Sequence[tuple[float, float]],
    sides_px: Sequence[float],
    size_px: int,
) -> np.ndarray:
    """Cut every joint of a limb: [n, size, size] uint8."""
    return np.stack(
        [
            crop_joint(canvas, centre, side, size_px)
            for centre, side in zip(centres, sides_px, strict=True)
        ]
    )
