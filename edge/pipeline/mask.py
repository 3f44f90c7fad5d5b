"""Stages 6 and 6b: which pixels of the canvas are limb.

Layer: pipeline; arrays and an `Engine`. The U-Net serves where it is installed; the classical
algorithm makes its training masks and stands in for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from edge.engine.inputs import input_size, to_inputs
from edge.engine.outputs import run_engine
from edge.engine.passport import Role
from edge.model import GreyImage, Mask, Points

if TYPE_CHECKING:
    from edge.engine.protocol import Engine

Foreground = npt.NDArray[np.bool_]

ENTROPY_WINDOW_PX = 37
WORKING_HEIGHT_PX = 600
"""The classical mask is made on a canvas shrunk to this height: its window shrinks with it, and
the full-size entropy filter takes most of a second."""

LARGEST_HOLE = 0.01
"""A gap in the mask with a smaller share of the canvas is filled."""
NEIGHBOURS = 8
"""Pixels that touch at a corner belong together."""


def unet_mask(engine: Engine, canvas: GreyImage) -> Foreground:
    """Foreground [h, w] bool of a canvas by the U-Net engine."""
    height, width = input_size(engine)
    small = np.asarray(cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    outputs = run_engine(engine, Role.MASK, to_inputs(engine, small[None]))
    probability = next(iter(outputs.values()))[0, 0]
    full = cv2.resize(
        probability, (canvas.shape[1], canvas.shape[0]), interpolation=cv2.INTER_LINEAR
    )
    return without_holes(full >= 0.5)


def without_holes(foreground: Foreground) -> Foreground:
    """Fill small holes: a deep erosion of dark bone looks like background to the network."""
    ground = (~foreground).view(np.uint8)
    left = ground.copy()
    flat, at, width = left.ravel(), 0, foreground.shape[1]
    # Part by part: a film has a few, and to fill one costs less than to label every pixel.
    while flat[at:].any():
        at += int(flat[at:].argmax())
        seed = (at % width, at // width)
        area_px = cv2.floodFill(left, None, seed, 0, flags=NEIGHBOURS)[0]
        if area_px < LARGEST_HOLE * foreground.size:
            cv2.floodFill(ground, None, seed, 0, flags=NEIGHBOURS)
    return np.asarray(ground == 0)


def classical_mask(canvas: GreyImage) -> Foreground:
    """Foreground [h, w] bool by local entropy, Otsu, filled contours and corner flood fill.

    Paper, section 2.2: entropy over 37 x 37, Otsu's threshold, contours filled, white regions
    below 1 % of the white area removed, the background flooded from the four corners.
    """
    height, width = canvas.shape
    zoom = WORKING_HEIGHT_PX / height
    small = np.asarray(
        cv2.resize(canvas, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA), np.uint8
    )
    window = 2 * round(ENTROPY_WINDOW_PX * zoom / 2) + 1
    # Imported here: it takes half a second, and the U-Net serves without it.
    from skimage.filters.rank import entropy as rank_entropy  # noqa: PLC0415

    entropy = rank_entropy(small, np.ones((window, window), np.uint8))
    scaled = (entropy * (255 / max(float(entropy.max()), 1e-6))).astype(np.uint8)
    _, white = cv2.threshold(scaled, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(white, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    filled = np.zeros_like(small)
    cv2.drawContours(filled, contours, -1, 255, cv2.FILLED)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(filled)
    least = 0.01 * int((filled > 0).sum())
    for i in range(1, count):
        if stats[i, cv2.CC_STAT_AREA] < least:
            filled[labels == i] = 0
    flooded = np.pad(filled, 1)
    ground = flooded.copy()
    for x, y in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        seed = (x % ground.shape[1], y % ground.shape[0])
        if ground[seed[1], seed[0]] == 0:
            cv2.floodFill(ground, None, seed, 128)
    inside = (ground != 128)[1:-1, 1:-1].astype(np.uint8)
    return np.asarray(cv2.resize(inside, (width, height), interpolation=cv2.INTER_NEAREST) > 0)


def judge(
    foreground: Foreground, joints: Points, reach_px: float, area_range: tuple[float, float]
) -> Mask:
    """Decide whether a mask may be used: plausible area, and no joint of the first look cut.

    ``joints`` [n, 2] are centres on the canvas; each must lie inside by ``reach_px`` / 2 at least
    for most of its neighbourhood. A mask that fails lets everything through, with a flag.
    """
    share = np.count_nonzero(foreground) / foreground.size
    low, high = area_range
    if not low <= share <= high:
        return Mask(np.ones_like(foreground), ("mask_implausible",))
    half = max(1, round(reach_px / 4))
    height, width = foreground.shape
    for x, y in joints.round().astype(int):
        if not (0 <= x < width and 0 <= y < height):
            continue
        patch = foreground[max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1]
        if patch.mean() < 0.9:
            return Mask(np.ones_like(foreground), ("mask_cuts_joint",))
    return Mask(_with_joints(foreground, joints))


def _with_joints(foreground: Foreground, joints: Points) -> Foreground:
    """The parts of a mask that hold a joint: letters, rulers and other limbs fall away."""
    height, width = foreground.shape
    parts = foreground.astype(np.uint8)
    kept = 2
    for x, y in joints.round().astype(int).tolist():
        if 0 <= x < width and 0 <= y < height and parts[y, x] == 1:
            cv2.floodFill(parts, None, (x, y), kept, flags=NEIGHBOURS)
    held = parts == kept
    return np.asarray(held) if held.any() else foreground


def apply_mask(canvas: GreyImage, mask: Mask) -> GreyImage:
    """The canvas with its background set to 0."""
    return canvas * mask.foreground
