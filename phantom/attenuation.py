"""Line integrals: any window of a limb, at a cost that depends on the window alone.

Layer: phantom; numpy and OpenCV only. A film is one large window and a training crop a small one
through the very same code, so a scorer is trained on what it will be given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.model import Laterality
from phantom.geometry import (
    SHAFT_STEPS,
    TAU_MAX,
    TAU_STEPS,
    Block,
    Bone,
    Float,
    LimbModel,
    Surface,
    Vector,
    across_of,
)
from phantom.texture import cloud, trabeculae

Affine = npt.NDArray[np.float64]
"""[2, 3] float64: pixel (x, y, 1) to limb millimetres of a left limb."""

_LIP_PER_MM = 0.050
_CYST_RIM_PER_MM = 0.010


@dataclass(frozen=True)
class Attenuation:
    """Line integrals on a pixel grid, float32 [height, width] each, and the pixel's size."""

    bone: Float
    soft: Float
    tissue_mm: Float
    """Thickness of soft tissue along the beam."""
    mm_per_px: float


def window_affine(
    limb: LimbModel, x_mm: float, y_mm: float, mm_per_px: float, turn_rad: float = 0.0
) -> Affine:
    """Pixel-to-limb map of a window of the upright film whose top-left pixel is at (x, y).

    ``turn_rad`` turns the window about that point. Coordinates are those seen on an upright
    film of this limb's side: thumb or hallux at the right of a left limb, at the left of a right.
    """
    c, s = math.cos(turn_rad) * mm_per_px, math.sin(turn_rad) * mm_per_px
    affine = np.array([[c, -s, x_mm], [s, c, y_mm]], dtype=np.float64)
    if limb.laterality is Laterality.RIGHT:
        affine[0] = -affine[0]
    return affine


def render_region(
    limb: LimbModel, x_mm: float, y_mm: float, width_mm: float, height_mm: float, mm_per_px: float
) -> Attenuation:
    """Attenuation of a window of the upright limb, ceil(size / mm_per_px) pixels each way."""
    size = (math.ceil(width_mm / mm_per_px - 1e-6), math.ceil(height_mm / mm_per_px - 1e-6))
    return render_affine(limb, window_affine(limb, x_mm, y_mm, mm_per_px), size)


def render_affine(limb: LimbModel, affine: Affine, size: tuple[int, int]) -> Attenuation:
    """Attenuation on a grid of ``size`` (width, height) pixels that ``affine`` maps to the limb."""
    width, height = size
    px_mm = math.sqrt(abs(float(np.linalg.det(affine[:, :2]))))
    bone = np.zeros((height, width), dtype=np.float32)
    for part in limb.bones:
        _add_bone(bone, part, affine, px_mm)
    for block in limb.blocks:
        _add_block(bone, block, affine, px_mm)
    tissue_mm = _tissue(limb, affine, size, px_mm)
    return Attenuation(bone, tissue_mm * np.float32(limb.tissue_per_mm), tissue_mm, px_mm)


# --- frames ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Patch:
    """A rectangle of the grid: pixel offsets and the pixel-to-limb map."""

    x0: int
    y0: int
    x1: int
    y1: int
    affine: Affine

    def frame(self, origin: Vector, axis: Vector) -> tuple[Float, Float]:
        """Coordinates along and across ``axis`` of every pixel."""
        return self._component(origin, axis), self._component(origin, across_of(axis))

    def _component(self, origin: Vector, direction: Vector) -> Float:
        a, (ux, uy) = self.affine, direction
        per_x = a[0, 0] * ux + a[1, 0] * uy
        per_y = a[0, 1] * ux + a[1, 1] * uy
        start = (a[0, 2] - origin[0]) * ux + (a[1, 2] - origin[1]) * uy
        xs = (per_x * np.arange(self.x0, self.x1) + start).astype(np.float32)
        ys = (per_y * np.arange(self.y0, self.y1)).astype(np.float32)
        grid: Float = xs[None, :] + ys[:, None]
        return grid


def _patch(
    corners: npt.NDArray[np.float64], affine: Affine, shape: tuple[int, ...]
) -> _Patch | None:
    """The pixels that hold a polygon of limb points, or None when it misses the grid."""
    inverse = np.linalg.inv(affine[:, :2])
    pixels = (corners - affine[:, 2]) @ inverse.T
    x0, y0 = np.floor(pixels.min(axis=0)).astype(int) - 1
    x1, y1 = np.ceil(pixels.max(axis=0)).astype(int) + 2
    x0, y0 = max(int(x0), 0), max(int(y0), 0)
    x1, y1 = min(int(x1), shape[1]), min(int(y1), shape[0])
    return _Patch(x0, y0, x1, y1, affine) if x1 > x0 and y1 > y0 else None


def _box_corners(
    origin: Vector, axis: Vector, start: float, end: float, half: float
) -> npt.NDArray[np.float64]:
    side = across_of(axis)
    return np.array(
        [
            (
                origin[0] + along * axis[0] + across * side[0],
                origin[1] + along * axis[1] + across * side[1],
            )
            for along in (start, end)
            for across in (-half, half)
        ]
    )


# --- tubular bones -----------------------------------------------------------------------------


_EDGE_STEPS = 384


def _round_over(depth: Float, radius: float, px_mm: float) -> Float:
    """Share of the full thickness at a depth below a rounded edge: a quarter circle.

    Averaged over a pixel along the axis: a joint space narrower than a pixel must still take
    its share of it, wherever the grid happens to lie.
    """
    fine = np.linspace(-1.5 * px_mm, radius + 1.5 * px_mm, _EDGE_STEPS)
    x = np.clip(fine / radius, 0, 1)
    step = fine[1] - fine[0]
    integral = np.cumsum(np.sqrt(x * (2 - x))) * step
    upper = np.interp(fine + px_mm / 2, fine, integral)
    lower = np.interp(fine - px_mm / 2, fine, integral)
    table = ((upper - lower) / px_mm).astype(np.float32)
    table[fine > radius + 0.5 * px_mm] = 1
    index = (depth - np.float32(fine[0])) * np.float32(1 / step)
    index += np.float32(0.5)
    np.clip(index, 0, _EDGE_STEPS - 1, out=index)
    share: Float = np.take(table, index.astype(np.int32))
    return share


def _disc_cover(along: Float, across: Float, discs: Float, px_mm: float) -> Float:
    """Share of the thickness that a scalloped union of discs removes."""
    kept = np.ones_like(along)
    for a, t, radius, depth, margin in discs.tolist():
        soft = max(margin, px_mm)
        distance = np.sqrt(np.square(along - np.float32(a)) + np.square(across - np.float32(t)))
        cover = np.clip((np.float32(radius) - distance) * np.float32(1 / soft) + 0.5, 0, 1)
        np.minimum(kept, 1 - np.float32(depth) * cover, out=kept)
    return 1 - kept


@dataclass(frozen=True)
class _End:
    """What one surface leaves of its bone: outer and inner share, lip, bites, cysts and rims."""

    outer: Float
    inner: Float
    lip: Float | None
    kept: Float | None
    rim: Float | None
    hollow: Float | None


def _end(surface: Surface, patch: _Patch, px_mm: float) -> _End:
    along, across = patch.frame(surface.origin, surface.axis)
    scale = (TAU_STEPS - 1) / (2 * TAU_MAX)
    index = across * np.float32(scale / surface.half_width_mm) + np.float32(TAU_MAX * scale + 0.5)
    edge = np.take(surface.edge_mm, np.clip(index, 0, TAU_STEPS - 1).astype(np.int32))
    depth = edge - along if surface.bone_is_proximal else along - edge
    lip: Float | None = None
    if surface.fused:
        outer = inner = np.clip(depth * np.float32(1 / 1.6) + 0.5, 0, 1)
    else:
        outer = _round_over(depth, surface.round_mm, px_mm)
        inner = _round_over(depth - np.float32(surface.plate_mm), surface.round_mm, px_mm)
        if surface.lip_mm > 0:
            tau = across * np.float32(1 / surface.half_width_mm)
            reach = np.float32(surface.lip_mm) * (1 - np.float32(0.45) * tau * tau)
            lip = (_round_over(depth + reach, 1.2, px_mm) - outer) * np.float32(surface.lip_share)
            np.maximum(lip, 0, out=lip)
    kept: Float | None = None
    rim: Float | None = None
    hollow: Float | None = None
    if len(surface.bites):
        kept = 1 - _disc_cover(along, across, surface.bites, px_mm)
    for a, t, radius, share, margin in surface.cysts.tolist():
        soft = max(margin, px_mm)
        distance = np.sqrt(np.square(along - np.float32(a)) + np.square(across - np.float32(t)))
        hole = np.clip((np.float32(radius) - distance) * np.float32(1 / soft) + 0.5, 0, 1)
        left = 1 - np.float32(share) * hole
        hollow = left if hollow is None else hollow * left
        ring = np.exp(-np.square((distance - np.float32(radius + 0.25)) * np.float32(1 / 0.28)))
        rim = ring if rim is None else rim + ring
    return _End(outer, inner, lip, kept, rim, hollow)


def _add_bone(image: Float, bone: Bone, affine: Affine, px_mm: float) -> None:
    margin = 1.6 * float(bone.half_width.max())
    corners = _box_corners(bone.origin, bone.axis, bone.start_mm, bone.end_mm, margin)
    patch = _patch(corners, affine, image.shape)
    if patch is None:
        return
    along, across = patch.frame(bone.origin, bone.axis)
    scale = (SHAFT_STEPS - 1) / (bone.end_mm - bone.start_mm)
    index = along * np.float32(scale) + np.float32(0.5 - bone.start_mm * scale)
    inside = (index >= 0) & (index < SHAFT_STEPS)
    index = np.clip(index, 0, SHAFT_STEPS - 1).astype(np.int32)
    half_width, half_depth = np.take(bone.half_width, index), np.take(bone.half_depth, index)
    cortex = np.take(bone.cortex, index)
    offset = np.abs(across - np.take(bone.centre, index))
    outer = 2 * half_depth * np.sqrt(np.maximum(1 - np.square(offset / half_width), 0)) * inside
    inner_width = np.maximum(half_width - cortex, np.float32(0.05))
    inner = np.sqrt(np.maximum(1 - np.square(offset / inner_width), 0)) * inside
    inner *= 2 * np.maximum(half_depth - cortex, 0)
    lip: Float | None = None
    kept: Float | None = None
    rim: Float | None = None
    hollow: Float | None = None
    for surface in (bone.proximal, bone.distal):
        if surface is None:
            continue
        end = _end(surface, patch, px_mm)
        if end.lip is not None:
            lip = outer * end.lip
        outer = outer * end.outer
        inner = inner * end.inner
        if end.kept is not None:
            kept = end.kept if kept is None else kept * end.kept
        if end.rim is not None:
            rim = end.rim if rim is None else rim + end.rim
        if end.hollow is not None:
            hollow = end.hollow if hollow is None else hollow * end.hollow
    grain = trabeculae(bone.texture_seed, bone.texture_offset_mm, across, along, px_mm)
    grain *= np.float32(bone.texture_amplitude)
    grain += 1
    np.maximum(grain, 0.2, out=grain)
    core = np.take(bone.cancellous, index) * inner * grain
    if hollow is not None:
        core *= hollow
    total = np.maximum(outer - inner, 0) * np.float32(bone.cortical) + core
    if rim is not None:
        total = total + rim * inner * np.float32(_CYST_RIM_PER_MM)
    if lip is not None:
        total = total + lip * np.float32(_LIP_PER_MM) * grain
    if kept is not None:
        total = total * kept
    image[patch.y0 : patch.y1, patch.x0 : patch.x1] += total


# --- short bones -------------------------------------------------------------------------------


def _add_block(image: Float, block: Block, affine: Affine, px_mm: float) -> None:
    reach = 1.25 * max(block.half_length_mm, block.half_width_mm)
    patch = _patch(
        _box_corners(block.centre, block.axis, -reach, reach, reach), affine, image.shape
    )
    if patch is None:
        return
    along, across = patch.frame(block.centre, block.axis)
    x = across * np.float32(1 / block.half_width_mm)
    y = along * np.float32(1 / block.half_length_mm)
    angle = cv2.phase(x, y)
    steps = len(block.outline)
    index = (angle * np.float32(steps / (2 * math.pi))).astype(np.int32) % steps
    square = (x * x + y * y) / np.square(np.take(block.outline, index))
    shrink = block.cortex_mm / min(block.half_length_mm, block.half_width_mm)
    outer = 2 * np.float32(block.half_depth_mm) * np.sqrt(np.maximum(1 - square, 0))
    inner = np.sqrt(np.maximum(1 - square * np.float32((1 - shrink) ** -2), 0))
    inner *= np.float32(2 * (block.half_depth_mm - block.cortex_mm))
    grain = trabeculae(block.texture_seed, block.texture_offset_mm, across, along, px_mm)
    core = inner * np.float32(block.cancellous) * (1 + np.float32(block.texture_amplitude) * grain)
    image[patch.y0 : patch.y1, patch.x0 : patch.x1] += (
        np.maximum(outer - inner, 0) * np.float32(block.cortical) + core
    )


# --- soft tissue -------------------------------------------------------------------------------


def _tissue(limb: LimbModel, affine: Affine, size: tuple[int, int], px_mm: float) -> Float:
    """Thickness of soft tissue in mm: smooth union of tapered capsules.

    Computed on every n-th pixel (soft tissue holds nothing finer than half a millimetre).
    """
    width, height = size
    step = max(1, min(8, round(0.55 / px_mm)))
    coarse = (-(-width // step) + 1, -(-height // step) + 1)
    coarse_affine = affine.copy()
    coarse_affine[:, :2] *= step
    shape = (coarse[1], coarse[0])
    total = np.zeros(shape, dtype=np.float32)
    for x1, y1, x2, y2, w1, w2, h1, h2 in limb.tissue.tolist():
        length = math.hypot(x2 - x1, y2 - y1)
        axis = ((x2 - x1) / length, (y2 - y1) / length)
        half = max(w1, w2)
        corners = _box_corners((x1, y1), axis, -half, length + half, half)
        patch = _patch(corners, coarse_affine, shape)
        if patch is None:
            continue
        along, across = patch.frame((x1, y1), axis)
        share = np.clip(along * np.float32(1 / length), 0, 1)
        beyond = along - share * np.float32(length)
        half_width = np.float32(w1) + np.float32(w2 - w1) * share
        half_depth = np.float32(h1) + np.float32(h2 - h1) * share
        inside = 1 - (np.square(across) + np.square(beyond)) / np.square(half_width)
        square = np.maximum(inside, 0) * np.square(2 * half_depth)
        # The fourth power makes a smooth union in which overlapping parts do not add up.
        total[patch.y0 : patch.y1, patch.x0 : patch.x1] += np.square(square)
    thickness = np.sqrt(np.sqrt(total))
    patch = _Patch(0, 0, coarse[0], coarse[1], coarse_affine)
    along, across = patch.frame((0.0, 0.0), (0.0, -1.0))
    thickness *= 1 + np.float32(0.03) * cloud(limb.seed % 7, across, along)
    if step == 1:
        return np.ascontiguousarray(thickness[:height, :width])
    grow = np.array([[1 / step, 0, 0], [0, 1 / step, 0]], dtype=np.float64)
    return cv2.warpAffine(  # type: ignore[return-value]
        thickness,
        grow,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
