"""Parts of a limb: one joint's two surfaces, one tubular bone, one short bone.

Layer: phantom; numpy only. Functions draw from the generator they are given and return parts in
limb millimetres; `skeleton` decides which parts a limb has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from phantom import damage
from phantom.geometry import (
    NO_BITES,
    SHAFT_STEPS,
    TAUS,
    Block,
    Bone,
    Float,
    JointGrade,
    JointModel,
    Surface,
    Vector,
    to_limb,
    unit_vector,
)
from phantom.joint_space import true_space

if TYPE_CHECKING:
    from phantom.anatomy import EndShape, Tube
    from phantom.style import Style

HEALTHY = JointGrade((0, 0), 0)
_PROFILE_TAU = np.linspace(-0.5, 0.5, 13, dtype=np.float32)
_SHAFT = np.linspace(0.0, 1.0, SHAFT_STEPS, dtype=np.float32)
_NORM_SPREAD = 0.04
_CYST_RATE = 0.12
_BORDERLINE_SHARE = 0.35


@dataclass(frozen=True)
class Look:
    """What one limb's bones have in common.

    ``size``, ``density``, ``cortex``, ``roundness`` and ``waist`` are factors on the tables of
    `anatomy`; ``overlap_rate`` the share of joints whose rims overlap.
    """

    style: Style
    size: float
    density: float
    cortex: float
    roundness: float
    waist: float
    texture_seed: int
    texture_amplitude: float
    overlap_rate: float
    borderline: bool


@dataclass(frozen=True, eq=False)
class JointPlan:
    """Where a joint lies before it has surfaces; ``name`` is empty for joints without a score.

    ``head_mm`` and ``base_mm`` are half widths of the proximal and the distal bone's end.
    """

    name: str
    shape: EndShape
    centre: Vector
    axis: Vector
    head_mm: float
    base_mm: float


@dataclass(frozen=True, eq=False)
class JointParts:
    """Both surfaces of a joint, and its truth where it is scored."""

    head: Surface
    base: Surface
    model: JointModel | None


def build_joint(
    rng: np.random.Generator, plan: JointPlan, grade: JointGrade, look: Look
) -> JointParts:
    """Shape a joint of a grade: space, displacement, overlap, bites, cysts."""
    shape, half = plan.shape, plan.head_mm
    margin = 1.0 if rng.random() < 0.62 else -1.0
    borderline = look.borderline and bool(plan.name) and rng.random() < _BORDERLINE_SHARE
    space = damage.narrowing(
        rng,
        grade.narrowing or 0,
        clear_side=-margin if max(grade.erosion_sides) >= 2 else 0.0,
        borderline=borderline,
    )
    promised = shape.space * 2 * half
    norm = promised * (1 + _NORM_SPREAD * float(np.clip(rng.standard_normal(), -2, 2)))
    gap = norm * space.ratio
    wobble = damage.surface_wobble(rng, half)
    # The base's corners are round: without this its rim would run out into spikes.
    corner = np.abs(TAUS) * (half / plan.base_mm)
    rounded = half * (0.16 * corner**8 + 0.5 * np.maximum(corner - 1, 0))
    head_edge = _curve(shape.head, shape.groove, half, look.roundness) + wobble - gap / 2
    base_edge = _curve(shape.base, shape.groove, half, look.roundness) + wobble + gap / 2 + rounded
    overlaps = bool(plan.name) and not space.fused and rng.random() < look.overlap_rate
    # Half of a displacement lies on either side: the joint's centre stays where it was planned.
    along, across = space.shift_along * half, space.shift_across * half
    head = Surface(
        origin=to_limb(plan.centre, plan.axis, -along, -across),
        axis=plan.axis,
        edge_mm=head_edge.astype(np.float32),
        bone_is_proximal=True,
        half_width_mm=half,
        round_mm=shape.head_round * half,
        plate_mm=0.35 + 0.4 * max(0.0, shape.head_round - 0.30),
        fused=space.fused,
    )
    base = Surface(
        origin=to_limb(plan.centre, plan.axis, along, across),
        axis=plan.axis,
        edge_mm=base_edge.astype(np.float32),
        bone_is_proximal=False,
        half_width_mm=half,
        round_mm=shape.base_round_mm * look.size,
        plate_mm=0.75,
        lip_mm=float(rng.uniform(*shape.lip)) * half + norm if overlaps else 0.0,
        lip_share=float(rng.uniform(0.32, 0.5)) if overlaps else 0.0,
        fused=space.fused,
    )
    if not plan.name:
        return JointParts(head, base, None)
    head, head_bites = _erode(rng, head, grade.erosion_sides[0], margin)
    # Both sides are eaten from the same margin: the rest of the joint stays readable.
    base, base_bites = _erode(rng, base, grade.erosion_sides[1], margin)
    model = JointModel(
        name=plan.name,
        centre=plan.centre,
        axis=plan.axis,
        half_width_mm=half,
        grade=grade,
        norm_mm=norm,
        promised_norm_mm=promised,
        space_mm=np.interp(_PROFILE_TAU, TAUS, gap).astype(np.float32),
        bite_shares=(head_bites.area_share, base_bites.area_share),
        bite_reach=(head_bites.reach, base_bites.reach),
        shift_share=space.shift_across,
        fused=space.fused,
        overlap_mm=base.lip_mm,
        borderline=borderline,
        true_space=true_space(head, base, plan.centre, plan.axis),
    )
    return JointParts(head, base, model)


def _curve(
    coefficients: tuple[float, float, float], groove: float, half: float, roundness: float
) -> Float:
    # Beyond the head's width the edge runs level: a bone that lies askew is not cut off.
    square = np.minimum(TAUS * TAUS, 1)
    k2, k4, k8 = coefficients
    fall = k2 * roundness * square + k4 * square**2 + k8 * square**4
    fall = fall + groove * np.exp(-9.0 * square)
    edge: Float = (-half * fall).astype(np.float32)
    return edge


def _erode(
    rng: np.random.Generator, surface: Surface, amount: int, margin: float
) -> tuple[Surface, damage.Bites]:
    bites = damage.bites(
        rng,
        amount,
        surface.edge_mm,
        surface.half_width_mm,
        bone_is_proximal=surface.bone_is_proximal,
        margin=margin,
    )
    holes = NO_BITES
    if amount == 0 and rng.random() < _CYST_RATE:
        holes = damage.cysts(
            rng,
            surface.half_width_mm,
            surface.edge_mm,
            bone_is_proximal=surface.bone_is_proximal,
        )
    return replace(surface, bites=bites.discs, cysts=holes), bites


def build_tube(
    rng: np.random.Generator,
    tube: Tube,
    base: Surface,
    head: Surface,
    look: Look,
    thinning: tuple[float, float] = (0.0, 0.0),
) -> Bone:
    """A tubular bone from its base to its head.

    ``thinning`` is the osteoporosis beside the proximal and the distal joint, 0 to 1.
    """
    dx, dy = head.origin[0] - base.origin[0], head.origin[1] - base.origin[1]
    length = math.hypot(dx, dy)
    start, end = -0.9 * base.half_width_mm, length + 0.45 * head.half_width_mm
    along = start + (end - start) * _SHAFT
    share = np.clip(along / length, 0, 1)
    wide = tube.base * look.size / 2
    waist = tube.waist * look.size * look.waist / 2
    ball = head.half_width_mm
    from_base = np.maximum(along - 0.12 * wide, 0) / (1.35 * wide)
    from_head = np.maximum(length - 0.42 * ball - along, 0) / (1.15 * ball)
    flare = np.hypot(
        (wide - waist) * np.exp(-(from_base**1.7)), (ball - waist) * np.exp(-(from_head**1.9))
    )
    half_width = waist + flare
    ends = 1 - np.exp(-(((share - 0.52) / 0.30) ** 4))
    thin = thinning[0] * np.exp(-((share / 0.35) ** 2)) + thinning[1] * np.exp(
        -(((1 - share) / 0.35) ** 2)
    )
    cortex = tube.cortex * look.cortex * look.size * np.exp(-(((share - 0.5) / 0.36) ** 4)) + 0.42
    # Large bones hold more marrow, and the beam is harder behind them.
    spongy = min(1.0, (9.0 / wide) ** 0.9)
    # A head is a little less dense than a base.
    metaphysis = 0.024 * ends * np.where(share > 0.5, 0.82, 1.0)
    cancellous = look.density * spongy * (0.012 + metaphysis) * (1 - 0.25 * thin)
    bow = float(rng.normal(0, 0.012)) * length
    return Bone(
        origin=base.origin,
        axis=unit_vector(dx, dy),
        start_mm=start,
        end_mm=end,
        half_width=half_width.astype(np.float32),
        half_depth=(half_width * (0.80 + 0.05 * ends)).astype(np.float32),
        cortex=(cortex * (1 - 0.3 * thin)).astype(np.float32),
        cancellous=cancellous.astype(np.float32),
        centre=(bow * np.sin(np.pi * share)).astype(np.float32),
        cortical=0.078 * look.density * spongy**0.3,
        texture_seed=look.texture_seed,
        texture_offset_mm=float(rng.uniform(0, 50)),
        texture_amplitude=look.texture_amplitude * (1 - 0.3 * max(thinning)),
        proximal=base,
        distal=head,
    )


def build_block(
    rng: np.random.Generator,
    at: Vector,
    axis: Vector,
    half_mm: tuple[float, float, float],
    look: Look,
    *,
    wave: float,
    density: float,
    corner: float = 2.0,
) -> Block:
    """A short bone; ``half_mm`` is half length, half width, half depth.

    ``wave`` roughens the outline, ``corner`` is the exponent of its superellipse (2: ellipse).
    """
    length, width, depth = half_mm
    angles = np.linspace(0, 2 * math.pi, 64, endpoint=False)
    outline = (np.abs(np.cos(angles)) ** corner + np.abs(np.sin(angles)) ** corner) ** (-1 / corner)
    for k in (2, 3, 4):
        outline += rng.normal(0, wave / k) * np.cos(k * angles + rng.uniform(0, 2 * math.pi))
    return Block(
        centre=at,
        axis=axis,
        half_length_mm=length,
        half_width_mm=width,
        half_depth_mm=depth,
        outline=outline.astype(np.float32),
        cancellous=density * look.density,
        cortical=0.06 * look.density,
        cortex_mm=min(1.1, 0.2 * width),
        texture_seed=look.texture_seed,
        texture_offset_mm=float(rng.uniform(0, 50)),
        texture_amplitude=look.texture_amplitude,
    )
