"""Stage 4: equalises contrast; scaling to 0..1 (stage 5) belongs to an engine's passport.

Layer: pipeline; pure functions over arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from edge.model import GreyImage


def equalise(canvas: GreyImage, clip_limit: float, grid: int) -> GreyImage:
    """Contrast-limited adaptive histogram equalisation (paper, section 2.1)."""
    clahe = cv2.createCLAHE(clipLimit=clip_limit, tileGridSize=(grid, grid))
    return np.asarray(clahe.apply(canvas), dtype=np.uint8)
