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
from edge.pipeline.entropy import entropy_near

if TYPE_CHECKING:
    from edge.engine.protocol import Engine

Foreground = npt.NDArray[np.bool_]

ENTROPY_WINDOW_PX = 37
WORKING_HEIGHT_PX = 600
"""Without a compiled entropy the classical mask is made on a canvas shrunk to this height: its
window shrinks with it, and the full-size entropy filter takes most of a second."""

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
    _clear_small(ground, LARGEST_HOLE * foreground.size)
    return np.asarray(ground == 0)


def _clear_small(picture: npt.NDArray[np.uint8], least_px: float) -> None:
    """Set parts of a picture [h, w] that have fewer pixels to 0, in place."""
    left = picture.copy()
    flat, at, width = left.ravel(), 0, picture.shape[1]
    # Part by part: a film has a few, and to fill one costs less than to label every pixel.
    while flat[at:].any():
        at += int((flat[at:] > 0).argmax())
        seed = (at % width, at // width)
        area_px = cv2.floodFill(left, None, seed, 0, flags=NEIGHBOURS)[0]
        if area_px < least_px:
            cv2.floodFill(picture, None, seed, 0, flags=NEIGHBOURS)


def classical_mask(canvas: GreyImage) -> Foreground:
    """Foreground [h, w] bool by local entropy, Otsu, filled contours and corner flood fill.

    Paper, section 2.2: entropy over 37 x 37, Otsu's threshold, contours filled, white regions
    below 1 % of the white area removed, the background flooded from the four corners. Where numba
    is not installed, canvas and window are shrunk to `WORKING_HEIGHT_PX`.
    """
    height, width = canvas.shape
    entropy = entropy_everywhere(canvas)
    if entropy is None:
        entropy = _shrunk_entropy(canvas)
    inside = filled(rich(entropy)).astype(np.uint8)
    return np.asarray(cv2.resize(inside, (width, height), interpolation=cv2.INTER_NEAREST) > 0)


def entropy_everywhere(canvas: GreyImage) -> npt.NDArray[np.floating] | None:
    """Entropy over 37 x 37 of a canvas, [h, w]; exact where it decides whether a pixel is `rich`.

    ``None`` where numba is not installed.
    """
    return entropy_near(canvas, ENTROPY_WINDOW_PX, lambda entropy: _otsu(entropy)[1])


def _shrunk_entropy(canvas: GreyImage) -> npt.NDArray[np.floating]:
    zoom = WORKING_HEIGHT_PX / canvas.shape[0]
    small = np.asarray(
        cv2.resize(canvas, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA), np.uint8
    )
    window = 2 * round(ENTROPY_WINDOW_PX * zoom / 2) + 1
    # Imported here: it takes half a second, and the U-Net serves without it.
    from skimage.filters.rank import entropy as rank_entropy  # noqa: PLC0415

    return np.asarray(rank_entropy(small, np.ones((window, window), np.uint8)))


def rich(entropy: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Where the entropy [h, w] lies above Otsu's threshold: 255, else 0."""
    return _otsu(entropy)[0]


def _otsu(entropy: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.uint8], float]:
    """Where the entropy lies above Otsu's threshold, and the least value that does."""
    # 65,536 levels: a threshold on 256 moves a whole one over a hair's difference.
    level = max(float(entropy.max()), 1e-6) / 65535
    scaled = (entropy * (1 / level)).astype(np.uint16)
    threshold, white = cv2.threshold(scaled, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return white.astype(np.uint8), (threshold + 1) * level


def filled(white: npt.NDArray[np.uint8]) -> Foreground:
    """Foreground [h, w] of what is `rich`: filled, without small regions and the background."""
    contours, _ = cv2.findContours(white, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    # A pixel of background all around: the flood reaches every corner from one.
    ground = np.zeros((white.shape[0] + 2, white.shape[1] + 2), np.uint8)
    cv2.drawContours(ground, contours, -1, 255, cv2.FILLED, offset=(1, 1))
    _clear_small(ground, 0.01 * np.count_nonzero(ground))
    cv2.floodFill(ground, None, (0, 0), 128)
    return np.asarray(ground[1:-1, 1:-1] != 128)


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
