"""Stages 1b, 2 and 3: turns the limb upright, frames it, crops the bottom, letterboxes it.

Layer: pipeline; pure functions over arrays. All geometry is one 3 x 3 transform from the upright
film to the canvas, so that a film is resampled once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.pipeline.template import apply

if TYPE_CHECKING:
    from edge.model import GreyImage, Points, Transform
    from edge.pipeline.identify import Identity
    from edge.pipeline.settings import LimbSettings, PipelineSettings

UPRIGHT_WITHIN_DEG = 15.0
"""A limb tilted less is left as it lies: the cohort's own hands tilt 0 +- 6.8 degrees."""


@dataclass(frozen=True)
class Frame:
    """How a film is laid on the canvas.

    ``to_canvas`` maps film pixels to canvas pixels; ``untouched`` says that the film was already
    framed like the cohort's and nothing but the bottom crop was done.
    """

    to_canvas: Transform
    turn_deg: float
    untouched: bool


def letterbox(size: tuple[int, int], target: tuple[int, int]) -> Transform:
    """Transform that fits an image of (width, height) centred into a target of (width, height)."""
    zoom = min(target[0] / size[0], target[1] / size[1])
    matrix = np.eye(3)
    matrix[0, 0] = matrix[1, 1] = zoom
    matrix[0, 2] = (target[0] - size[0] * zoom) / 2 + (zoom - 1) / 2
    matrix[1, 2] = (target[1] - size[1] * zoom) / 2 + (zoom - 1) / 2
    return matrix


def warp(pixels: GreyImage, matrix: Transform, size: tuple[int, int]) -> GreyImage:
    """Resample to (width, height), black outside; averages areas where it shrinks by much."""
    zoom = math.sqrt(abs(float(np.linalg.det(matrix[:2, :2]))))
    if zoom < 0.7:
        shrunk = (
            max(1, round(pixels.shape[1] * zoom)),
            max(1, round(pixels.shape[0] * zoom)),
        )
        ratio_x, ratio_y = pixels.shape[1] / shrunk[0], pixels.shape[0] / shrunk[1]
        pixels = np.asarray(cv2.resize(pixels, shrunk, interpolation=cv2.INTER_AREA), np.uint8)
        grow = np.array(
            [[ratio_x, 0, (ratio_x - 1) / 2], [0, ratio_y, (ratio_y - 1) / 2], [0, 0, 1]]
        )
        matrix = matrix @ grow
    flags = cv2.INTER_CUBIC if zoom > 1.2 else cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(pixels, matrix[:2], size, flags=flags), dtype=np.uint8)


def frame(
    film_size: tuple[int, int],
    identity: Identity,
    points: Points,
    limb: LimbSettings,
    settings: PipelineSettings,
) -> Frame:
    """Lay a film on the canvas so that its joints lie where the cohort's do.

    Parameters
    ----------
    film_size : (width, height) in pixels
    identity : Identity
        Names of the first look; its fit gives the turn.
    points : [n, 2] float64
        Centres that were named, in film pixels.
    """
    canvas = (settings.canvas_width_px, settings.canvas_height_px)
    # A mirrored fit turns the other way in the image: F R(a) = R(-a) F.
    turn = -identity.shape.rotation_deg * (-1 if identity.shape.mirrored else 1)
    turn = (turn + 180) % 360 - 180
    width, height = film_size
    share = float(np.ptp(points[:, 1])) / height
    low, high = limb.joints_height_range
    upright = abs(turn) < UPRIGHT_WITHIN_DEG
    bottom_kept = points[:, 1].max() < height * (1 - limb.bottom_crop) - 0.05 * height
    if upright and low <= share <= high and bottom_kept:
        kept = (width, round(height * (1 - limb.bottom_crop)))
        return Frame(letterbox(kept, canvas), 0.0, untouched=True)
    turn = 0.0 if upright else turn
    angle = math.radians(turn)
    rotation = np.eye(3)
    rotation[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    turned = apply(rotation, points)
    top, left = turned[:, 1].min(), turned[:, 0].min()
    framed_height = float(np.ptp(turned[:, 1])) / limb.joints_height
    # A wide hand (thumb far out) must not lose its outer joints to the cohort's median aspect.
    framed_height = max(framed_height, float(np.ptp(turned[:, 0])) / 0.78 / limb.frame_aspect)
    framed_width = framed_height * limb.frame_aspect
    corner_y = top - limb.joints_top * framed_height
    corner_x = left + float(np.ptp(turned[:, 0])) / 2 - framed_width / 2
    shift = np.eye(3)
    shift[:2, 2] = (-corner_x, -corner_y)
    kept = (round(framed_width), round(framed_height * (1 - limb.bottom_crop)))
    return Frame(letterbox(kept, canvas) @ shift @ rotation, turn, untouched=False)
