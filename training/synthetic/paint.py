"""Damage painted on one real joint: graded narrowing and erosions, by the simulator's grading code.

Layer: training.synthetic; pure functions over arrays and one random generator. A joint is laid
upright in a patch, its bones are separated from the soft tissue as two layers (proximal, distal),
the layers are eroded and moved as `phantom.damage` computes, and the difference is added to the
film, so that every pixel that no damage touched keeps its own noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from phantom import damage
from phantom.geometry import TAUS
from training.synthetic.joint_measurement import PATCH_BOXES, patch_matrix

if TYPE_CHECKING:
    from phantom.geometry import JointGrade
    from training.synthetic.joint_measurement import Float, RealJoint


@dataclass(frozen=True, eq=False)
class _Layers:
    """Soft tissue, proximal and distal bone of a patch, and where they lie.

    ``along`` and ``across`` are pixels from the joint's middle; ``depth`` is ``along`` less the
    joint line.
    """

    soft: Float
    proximal: Float
    distal: Float
    along: Float
    across: Float
    depth: Float


def _smooth_step(x: Float | npt.NDArray[np.float64]) -> Float:
    t = np.clip(np.asarray(x, np.float32), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _layers(patch: Float, joint: RealJoint) -> _Layers:
    """Lift both bones off the soft tissue, which is bridged row by row under them."""
    size, half = patch.shape[0], joint.half_px
    middle = (size - 1) / 2
    grid_y, grid_x = np.mgrid[:size, :size].astype(np.float32)
    along, across = middle - grid_y, grid_x - middle
    smooth = cv2.GaussianBlur(patch, (0, 0), 0.12 * half)
    ends = []
    for low, high in ((-1.7, -1.2), (1.2, 1.7)):
        band = smooth[:, max(0, round(middle + low * half)) : round(middle + high * half) + 1]
        ends.append(_even(np.percentile(band, 40, axis=1), 0.25 * half))
    # A neighbouring bone beside one wall is not soft tissue: the darker side bounds the other.
    lower = np.minimum(*ends) + 10
    ends = [np.minimum(end, lower) for end in ends]
    share = np.clip((across + 1.3 * half) / (2.6 * half), 0, 1)
    soft = ends[0][:, None] * (1 - share) + ends[1][:, None] * share
    inside = _smooth_step((1.5 - np.abs(across) / half) / 0.35)
    above = np.maximum(patch - soft, 0)
    contrast = float(np.percentile(above[np.abs(across) < half], 75)) + 1
    # Soft tissue is brighter than its bridge here and there; only what is near bone's brightness
    # is lifted.
    solid = _smooth_step((smooth - soft) / (0.4 * contrast) - 0.25)
    bone = above * inside * solid
    line = np.interp(across / half, TAUS, joint.surface_px)
    depth = (along - line).astype(np.float32)
    distal = _smooth_step(depth / (0.10 * half) + 0.5)
    return _Layers(
        soft=(patch - bone).astype(np.float32),
        proximal=(bone * (1 - distal)).astype(np.float32),
        distal=(bone * distal).astype(np.float32),
        along=along,
        across=across,
        depth=depth,
    )


def _even(values: npt.NDArray[np.float64], sigma: float) -> Float:
    column = values.astype(np.float32)[:, None]
    blurred = cv2.GaussianBlur(column, (1, 2 * round(3 * sigma) + 1), sigma)
    return np.asarray(blurred, np.float32)[:, 0]


def _eaten(layers: _Layers, joint: RealJoint, discs: Float) -> Float:
    """Share of the bone's thickness that bites (mm, as `damage.bites` lays them) leave."""
    scale = joint.half_px / joint.half_mm
    left = np.ones_like(layers.along)
    for along, across, radius, depth, soft in discs.tolist():
        far = np.hypot(layers.along - along * scale, layers.across - across * scale)
        # The film's own blur is about a twentieth of the half width: no edge is sharper than that.
        margin = max(soft * scale, 0.06 * joint.half_px)
        left = np.minimum(left, 1 - depth * _smooth_step((radius * scale - far) / margin + 0.5))
    return left


def _moved(distal: Float, layers: _Layers, joint: RealJoint, space: damage.Narrowing) -> Float:
    """The distal bone where a narrowing puts it, bent back to its place far from the joint."""
    half, middle = joint.half_px, (distal.shape[0] - 1) / 2
    ratio = np.interp(layers.across / half, TAUS, space.ratio)
    closer = (1 - ratio) * joint.space_px - 2 * space.shift_along * half
    aside = 2 * space.shift_across * half
    fade = _smooth_step((0.5 * distal.shape[0] - layers.along) / (0.2 * distal.shape[0]))
    x = middle + layers.across - aside * fade
    y = middle - (layers.along + closer * fade)
    return np.asarray(
        cv2.remap(distal, x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC), np.float32
    )


def _fused(bone: Float, layers: _Layers, joint: RealJoint) -> Float:
    """Bone that runs on across a joint: the band round the line is filled from both sides."""
    half, middle = joint.half_px, (bone.shape[0] - 1) / 2
    x = (middle + layers.across).astype(np.float32)
    reach = 0.55 * half
    far = [
        cv2.remap(bone, x, (middle - layers.along - step).astype(np.float32), cv2.INTER_LINEAR)
        for step in (-reach, reach)
    ]
    share = np.clip(layers.depth / reach * 0.5 + 0.5, 0, 1)
    # Each side's own texture, not a mean of both, which would be smoother than bone.
    blend = _smooth_step(share * 3 - 1)
    fill = far[1] * (1 - blend) + far[0] * blend
    band = _smooth_step((0.42 - np.abs(layers.depth) / half) / 0.2)
    band = band * _smooth_step((1.02 - np.abs(layers.across) / half) / 0.12)
    return np.asarray(bone * (1 - band) + fill * band, np.float32)


def paint_joint(
    pixels: Float, joint: RealJoint, grade: JointGrade, rng: np.random.Generator
) -> tuple[float, float]:
    """Paint one grade on a film in place, float32 [h, w] in 0..255.

    The joint must be healthy before. Returns its centre afterwards, film pixels: the middle between
    both bones, which a luxation moves.
    """
    size = 2 * round(PATCH_BOXES * joint.side_px / 2) + 1
    matrix = patch_matrix(joint.centre, joint.angle, size)
    patch = cv2.warpAffine(
        pixels, matrix[:2], (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    layers = _layers(np.asarray(patch, np.float32), joint)
    margin = 1.0 if rng.random() < 0.5 else -1.0
    space = damage.narrowing(
        rng,
        grade.narrowing or 0,
        clear_side=-margin if max(grade.erosion_sides) >= 2 else 0.0,
        borderline=False,
    )
    surface_mm = joint.surface_px * (joint.half_mm / joint.half_px)
    gap_mm = joint.space_px * joint.half_mm / joint.half_px
    proximal, distal = layers.proximal, layers.distal
    for i, amount in enumerate(grade.erosion_sides):
        edge = (surface_mm - gap_mm / 2 if i == 0 else surface_mm + gap_mm / 2).astype(np.float32)
        bitten = damage.bites(
            rng, amount, edge, joint.half_mm, bone_is_proximal=i == 0, margin=margin
        )
        left = _eaten(layers, joint, bitten.discs)
        if i == 0:
            proximal = proximal * left
        else:
            distal = distal * left
    if grade.narrowing:
        distal = _moved(distal, layers, joint, space)
    room = np.maximum(255 - layers.soft, np.float32(1))
    before = layers.proximal + layers.distal - layers.proximal * layers.distal / room
    after = np.asarray(proximal + distal - proximal * distal / room, np.float32)
    if space.fused:
        after = _fused(after, layers, joint)
    grain = _grain(np.asarray(patch, np.float32), rng)
    gone = np.clip((before - after) / np.maximum(before, 8), 0, 1)
    change = (after - before + grain * gone).astype(np.float32)
    border = np.maximum(abs(layers.along), abs(layers.across))
    change *= _smooth_step((0.5 * size - border) / (0.06 * size))
    _lay_back(pixels, change, matrix)
    c, s = math.cos(joint.angle), math.sin(joint.angle)
    across, along = space.shift_across * joint.half_px, space.shift_along * joint.half_px
    return joint.centre[0] + c * across + s * along, joint.centre[1] + s * across - c * along


def _lay_back(pixels: Float, change: Float, matrix: npt.NDArray[np.float64]) -> None:
    """Add a patch's change to the film, in place, inside the patch's own rectangle."""
    size = change.shape[0] - 1
    back = np.linalg.inv(matrix)
    corners = np.array([(0, 0), (size, 0), (0, size), (size, size)]) @ back[:2, :2].T + back[:2, 2]
    height, width = pixels.shape
    left, top = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, (width, height))
    right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1, 0, (width, height))
    if right <= left or bottom <= top:
        return
    shifted = matrix[:2].copy()
    shifted[:, 2] += matrix[:2, :2] @ (left, top)
    pixels[top:bottom, left:right] += cv2.warpAffine(
        change, shifted, (int(right - left), int(bottom - top)),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )  # fmt: skip


def _grain(patch: Float, rng: np.random.Generator) -> Float:
    """Noise as fine and as strong as the patch's own, for places where bone was taken away."""
    fine = patch - cv2.GaussianBlur(patch, (0, 0), 1.5)
    spread = 1.4826 * float(np.median(np.abs(fine)))
    white = rng.standard_normal(patch.shape).astype(np.float32)
    noise = cv2.GaussianBlur(white, (0, 0), 0.7)
    return np.asarray(noise / noise.std() * spread, np.float32)
