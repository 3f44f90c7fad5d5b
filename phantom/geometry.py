"""What a simulated limb is made of, in millimetres.

Layer: phantom; plain frozen types and two small frame helpers. Every coordinate is that of a *left*
limb seen as on a film: y down, fingers or toes up, thumb or hallux at the right. A right limb is
the mirror image, which the renderer takes care of.

A joint has its own frame: ``along`` points distally, ``across`` towards thumb or hallux, and
``tau`` is ``across`` over half the head's width. The two bones of a joint end where its head
and its base table say so, hence the joint space is exact by construction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from edge.anatomy import Limb
    from edge.model import Laterality, SpacePart
    from phantom.style import Style

Float = npt.NDArray[np.float32]
Vector = tuple[float, float]

TAU_MAX = 1.6
TAU_STEPS = 512
TAUS: Float = np.linspace(-TAU_MAX, TAU_MAX, TAU_STEPS, dtype=np.float32)
SHAFT_STEPS = 512

NO_BITES: Float = np.zeros((0, 5), dtype=np.float32)


@dataclass(frozen=True)
class JointGrade:
    """SvH grades of one joint; the foot's erosion is the sum of its two sides.

    ``erosion_sides`` is (proximal, distal) and sums to ``erosion``; ``narrowing`` is None for
    the thumb's IP, which has no narrowing grade.
    """

    erosion_sides: tuple[int, int]
    narrowing: int | None

    @property
    def erosion(self) -> int:
        """The joint's erosion grade."""
        return sum(self.erosion_sides)


@dataclass(frozen=True, eq=False)
class Surface:
    """The end of one bone: a curve in the joint's frame and what was bitten out of it.

    ``edge_mm``: float32 [TAU_STEPS], position along the axis at each ``tau`` of `TAUS`.
    ``bone_is_proximal``: the bone lies below the curve (a head) or above it (a base).
    ``bites``: float32 [n, 5], along, across, radius (mm), share of the thickness removed,
    width of the soft margin (mm). ``cysts`` has the same columns and breaks no cortex.
    ``fused``: the end runs on into its partner, without a rim.
    """

    origin: Vector
    axis: Vector
    edge_mm: Float
    bone_is_proximal: bool
    half_width_mm: float
    round_mm: float
    plate_mm: float
    lip_mm: float = 0.0
    lip_share: float = 0.0
    fused: bool = False
    bites: Float = field(default_factory=lambda: NO_BITES)
    cysts: Float = field(default_factory=lambda: NO_BITES)


@dataclass(frozen=True, eq=False)
class Bone:
    """A swept elliptical tube from ``origin`` along ``axis`` (pointing distally).

    The tables (float32 [SHAFT_STEPS]) run over ``start_mm`` .. ``end_mm`` along the axis: half
    width, half depth, cortical thickness (mm), cancellous attenuation (1/mm), centre line (mm).
    """

    origin: Vector
    axis: Vector
    start_mm: float
    end_mm: float
    half_width: Float
    half_depth: Float
    cortex: Float
    cancellous: Float
    centre: Float
    cortical: float
    texture_seed: int
    texture_offset_mm: float
    texture_amplitude: float
    proximal: Surface | None
    distal: Surface | None


@dataclass(frozen=True, eq=False)
class Block:
    """A short bone (carpal, tarsal, sesamoid, spur): an ellipsoid with a wavy outline.

    ``outline``: float32 [64], radius over the ellipse's at equal angles.
    """

    centre: Vector
    axis: Vector
    half_length_mm: float
    half_width_mm: float
    half_depth_mm: float
    outline: Float
    cancellous: float
    cortical: float
    cortex_mm: float
    texture_seed: int
    texture_offset_mm: float
    texture_amplitude: float


@dataclass(frozen=True)
class TrueSpace:
    """Widths in mm along normals of the joint line.

    ``towards`` and ``away`` are means over the outer thirds of the middle part on the side of
    thumb or hallux and on the other; None where less than two lines are left. A mean of 0 or less
    means that the surfaces overlap.
    """

    part: SpacePart
    mean: float
    minimum: float
    towards: float | None
    away: float | None


@dataclass(frozen=True, eq=False)
class JointModel:
    """One scored joint: truth and the numbers that an ideal observer may measure.

    ``space_mm`` is the joint space on ``space_tau`` (n profile lines over the middle of the
    joint); ``norm_mm`` the width this joint's own bone width promises; ``bite_shares`` the
    area bitten out of the proximal and distal side over the square of the head's width;
    ``bite_reach`` how far the largest bite reaches across (0 margin, .5 midline, 1 other side);
    ``shift_share`` lateral shift over the head's width; ``overlap_mm`` the lip's overlap;
    ``borderline`` joints lie at a border between two grades. ``true_space`` is the width of the
    joint space as built, erosions and displacement included; None where there is none.
    """

    name: str
    centre: Vector
    axis: Vector
    half_width_mm: float
    grade: JointGrade
    norm_mm: float
    promised_norm_mm: float
    space_mm: Float
    bite_shares: tuple[float, float]
    bite_reach: tuple[float, float]
    shift_share: float
    fused: bool
    overlap_mm: float
    borderline: bool
    true_space: TrueSpace | None = None


@dataclass(frozen=True, eq=False)
class LimbModel:
    """One limb, ready to be rendered in any window.

    ``tissue``: float32 [n, 8], capsules of soft tissue: x y of both ends, half width and half
    depth at both ends. ``unit_mm`` is MCP3-PIP3 (hand) or MTP1-MTP5 (foot).
    """

    limb: Limb
    laterality: Laterality
    style: Style
    joints: tuple[JointModel, ...]
    bones: tuple[Bone, ...]
    blocks: tuple[Block, ...]
    tissue: Float
    unit_mm: float
    tissue_per_mm: float
    seed: int

    def joint(self, name: str) -> JointModel:
        """The joint of that name; KeyError when this limb was built without it."""
        for joint in self.joints:
            if joint.name == name:
                return joint
        raise KeyError(name)


def across_of(axis: Vector) -> Vector:
    """Unit vector towards thumb or hallux for an axis that points distally."""
    return -axis[1], axis[0]


def unit_vector(x: float, y: float) -> Vector:
    """The direction of (x, y)."""
    length = float(np.hypot(x, y))
    return x / length, y / length


def to_limb(origin: Vector, axis: Vector, along: float, across: float) -> Vector:
    """A point of a frame in limb millimetres."""
    side = across_of(axis)
    return (
        origin[0] + along * axis[0] + across * side[0],
        origin[1] + along * axis[1] + across * side[1],
    )
