"""What a labelled picture shows of a film: the limb alone, the limb in its frame, or the film.

Layer: pipeline; arrays only. A picture that leaves the appliance shows nothing but the limb and,
in its frame, one marker of at most two letters: what a scanner burns in may name the patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from edge.pipeline.frame import warp
from edge.pipeline.picture.marker import Place, find_marker, strokes
from edge.pipeline.template import apply, inverse

if TYPE_CHECKING:
    from edge.model import GreyImage, LimbResult, Mask, Radiograph, Transform

MARGIN_SHARE = 0.03
"""Margin round the mask that is shown, as a share of the canvas' height: skin and its edge."""
THINNEST_SHARE = 0.0075
"""Parts of a mask narrower than twice this share are no limb: strokes of letters that touch it."""
WORKING_HEIGHT_PX = 750
"""Half of a canvas: halves are quick to make."""
_LOOK_PX = 400
_CONTENT_MARGIN_SHARE = 0.03
AROUND = 0.5
"""A film is shown up to this share of the frame's size beyond the frame on each side."""
_BLIND = frozenset({"mask_implausible", "mask_cuts_joint"})
_AROUND_INK_PX = 13
"""What is hidden round each stroke, on the copy of `WORKING_HEIGHT_PX`."""


@dataclass(frozen=True)
class Shown:
    """A picture without labels.

    Attributes
    ----------
    picture : [h, w, 3] uint8
        Blue, green, red.
    to_picture : [3, 3] float64
        Pixels of the film as stored to pixels of the picture.
    """

    picture: npt.NDArray[np.uint8]
    to_picture: Transform


def masked_view(
    result: LimbResult,
    canvas: GreyImage,
    plain: GreyImage,
    mask: Mask,
    height_px: int,
) -> Shown:
    """Show the framed canvas inside the widened mask, all else black.

    ``canvas`` and ``plain`` [h, w] are the frame with and without equalised contrast.
    """
    zoom = height_px / canvas.shape[0]
    size = (round(canvas.shape[1] * zoom), height_px)
    stored_to_canvas = np.array(result.transform, dtype=np.float64)
    near = limb_region(plain, mask, _centres(result, stored_to_canvas))
    shown = cv2.resize(near.astype(np.uint8) * 255, size, interpolation=cv2.INTER_LINEAR) > 127
    grey = np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    return Shown(_coloured(grey * shown), np.diag([zoom, zoom, 1.0]) @ stored_to_canvas)


def framed_view(
    film: Radiograph, result: LimbResult, plain: GreyImage, mask: Mask, height_px: int
) -> Shown:
    """Show the film's own grey levels: the limb and one isolated marker, all else black."""
    stored_to_canvas = np.array(result.transform, dtype=np.float64)
    canvas_size = (plain.shape[1], plain.shape[0])
    near = limb_region(plain, mask, _centres(result, stored_to_canvas))
    wide = _seen(film, stored_to_canvas, _around(film, stored_to_canvas, canvas_size),
                 height_px / plain.shape[0])  # fmt: skip
    canvas_to_wide = wide.to_picture @ inverse(stored_to_canvas)
    size = (wide.picture.shape[1], wide.picture.shape[0])
    grey = wide.picture[..., 0]
    to_canvas = np.diag([plain.shape[1] / near.shape[1], plain.shape[0] / near.shape[0], 1.0])
    keep = warp(near.astype(np.uint8) * 255, canvas_to_wide @ to_canvas, size) > 127
    marker = find_marker(grey, keep)
    if marker is not None:
        keep[max(0, marker.top) : marker.bottom, max(0, marker.left) : marker.right] = True
    frame = apply(canvas_to_wide, np.array([(0, 0), canvas_size], dtype=np.float64))
    part = _cut(frame, marker, size)
    shift = np.eye(3)
    shift[:2, 2] = (-part.left, -part.top)
    cut = (grey * keep)[part.top : part.bottom, part.left : part.right]
    return Shown(_coloured(cut), shift @ wide.to_picture)


def film_view(
    film: Radiograph, result: LimbResult, canvas_size: tuple[int, int], longer_px: int
) -> Shown:
    """Show the film as it is, unmasked, turned upright: its frame and what is bright round it.

    ``canvas_size`` is (width, height); ``longer_px`` the length of the picture's longer side.
    """
    stored_to_canvas = np.array(result.transform, dtype=np.float64)
    extent = _around(film, stored_to_canvas, canvas_size)
    small = _seen(film, stored_to_canvas, extent, _LOOK_PX / float(np.ptp(extent, axis=0).max()))
    extent = _with_content(small, stored_to_canvas, canvas_size, extent)
    zoom = longer_px / float(np.ptp(extent, axis=0).max())
    return _seen(film, stored_to_canvas, extent, zoom)


def limb_region(
    plain: GreyImage, mask: Mask, joints: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """What of a canvas may be shown, [h', w'] bool on a smaller copy.

    The mask without thin parts and with a margin, in which nothing written is left. Where the mask
    was not accepted, the hull of the joints stands for it. What is written across the limb itself
    is not found.
    """
    zoom = min(1.0, WORKING_HEIGHT_PX / plain.shape[0])
    size = (round(plain.shape[1] * zoom), round(plain.shape[0] * zoom))
    grey = np.asarray(cv2.resize(plain, size, interpolation=cv2.INTER_AREA), np.uint8)
    if _BLIND.isdisjoint(mask.flags):
        small = cv2.resize(mask.foreground.view(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        thin = cv2.getStructuringElement(
            cv2.MORPH_ELLIPSE, (2 * max(1, round(THINNEST_SHARE * size[1])) + 1,) * 2
        )
        limb = np.asarray(cv2.morphologyEx(small, cv2.MORPH_OPEN, thin), np.uint8)
    else:
        limb = _hull(joints * zoom, size)
    near = _widened(limb, round(MARGIN_SHARE * size[1]))
    written = strokes(grey) & (limb == 0)
    if written.any():
        near &= cv2.dilate(written.astype(np.uint8), np.ones((_AROUND_INK_PX,) * 2, np.uint8)) == 0
    return near


def _widened(limb: npt.NDArray[np.uint8], by_px: int) -> npt.NDArray[np.bool_]:
    """The limb with a margin and a smooth edge."""
    near = cv2.distanceTransform(1 - limb, cv2.DIST_L2, 3) <= by_px
    return np.asarray(near)


def _hull(joints: npt.NDArray[np.float64], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """The joints' hull with a margin of half of their spacing; [h, w] 0 or 1."""
    limb = np.zeros((size[1], size[0]), np.uint8)
    if len(joints):
        hull = cv2.convexHull(np.round(joints).astype(np.int32))
        cv2.fillConvexPoly(limb, hull, 1)
        reach = max(8, round(0.18 * float(np.ptp(joints, axis=0).max())))
        limb = _widened(limb, reach).astype(np.uint8)
    return limb


def _centres(result: LimbResult, stored_to_canvas: Transform) -> npt.NDArray[np.float64]:
    points = [joint.centre for joint in result.joints if joint.centre is not None]
    return apply(stored_to_canvas, np.array(points, dtype=np.float64).reshape(-1, 2))


def _around(
    film: Radiograph, stored_to_canvas: Transform, canvas_size: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """The film's extent round its frame: corners [2, 2] on the canvas."""
    height, width = film.pixels.shape
    edge = np.array([(0, 0), (width, 0), (0, height), (width, height)], dtype=np.float64) - 0.5
    corners = apply(stored_to_canvas @ inverse(film.stored_to_upright), edge)
    extent = np.array(canvas_size, dtype=np.float64)
    low = np.maximum(corners.min(axis=0), -AROUND * extent)
    high = np.minimum(corners.max(axis=0), (1 + AROUND) * extent)
    return np.stack([low, high])


def _seen(
    film: Radiograph,
    stored_to_canvas: Transform,
    extent: npt.NDArray[np.float64],
    zoom: float,
) -> Shown:
    """A part of a film, turned as its canvas is; ``extent`` [2, 2] are its corners there."""
    to_view = np.diag([zoom, zoom, 1.0])
    to_view[:2, 2] = -extent[0] * zoom
    width, height = (max(1, round(float(side))) for side in np.ptp(extent, axis=0) * zoom)
    to_canvas = stored_to_canvas @ inverse(film.stored_to_upright)
    grey = warp(film.pixels, to_view @ to_canvas, (width, height))
    return Shown(_coloured(grey), to_view @ stored_to_canvas)


def _with_content(
    small: Shown,
    stored_to_canvas: Transform,
    canvas_size: tuple[int, int],
    extent: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """The frame and everything bright beside it, with a margin: corners [2, 2] on the canvas."""
    grey = small.picture[..., 0]
    bright = (cv2.threshold(grey, 0, 1, cv2.THRESH_OTSU)[1] > 0) | strokes(grey)
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    frame = np.array([(0.0, 0.0), canvas_size])
    if len(rows) and len(columns):
        found = np.array([(columns[0], rows[0]), (columns[-1] + 1, rows[-1] + 1)], dtype=float)
        content = apply(stored_to_canvas @ inverse(small.to_picture), found)
        frame = np.stack([np.minimum(frame[0], content[0]), np.maximum(frame[1], content[1])])
    margin = _CONTENT_MARGIN_SHARE * float(np.ptp(frame, axis=0).max())
    low, high = frame[0] - margin, frame[1] + margin
    return np.stack([np.maximum(low, extent[0]), np.minimum(high, extent[1])])


def _cut(frame: npt.NDArray[np.float64], marker: Place | None, size: tuple[int, int]) -> Place:
    """The frame within the picture, made large enough for the marker."""
    (left, top), (right, bottom) = np.round(frame).astype(int).tolist()
    if marker is not None:
        left, top = min(left, marker.left), min(top, marker.top)
        right, bottom = max(right, marker.right), max(bottom, marker.bottom)
    return Place(max(0, left), max(0, top), min(size[0], right), min(size[1], bottom))


def _coloured(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(grey), cv2.COLOR_GRAY2BGR), np.uint8)
