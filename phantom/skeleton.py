"""One limb from a seed: joints from the shape template, bones between them, tissue round them.

Layer: phantom; numpy only. `sample_limb` is the whole interface.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from edge.anatomy import NARROWING_MAXIMUM, Limb, joint_box_side_px, shape_template, unit_joints
from phantom import anatomy
from phantom.bones import HEALTHY, JointPlan, Look, build_block, build_joint, build_tube
from phantom.geometry import (
    Block,
    Bone,
    JointModel,
    LimbModel,
    Surface,
    Vector,
    across_of,
    to_limb,
    unit_vector,
)
from phantom.statistics import Grades, GradeSetting, sample_grades
from phantom.style import STYLES, StyleName, draw

if TYPE_CHECKING:
    from edge.model import Laterality
    from phantom.anatomy import EndShape, Ray

_NEAR_REACH = 1.6
"""Half diagonal of a crop with its context and jitter, over the side of the joint's box."""


def sample_limb(
    rng: np.random.Generator,
    limb: Limb,
    laterality: Laterality,
    grades: Grades | GradeSetting = "flat",
    style: StyleName = "train",
    *,
    near: str | None = None,
    borderline: bool = False,
) -> LimbModel:
    """Draw one limb.

    ``grades``: joint name -> `JointGrade`, or a setting to draw them from. ``near`` builds only
    what lies round that joint (for crops; the other joints are then missing from ``joints``).
    ``borderline`` draws a third of the joint spaces at a border between two grades.
    Raises KeyError when ``grades`` lacks a joint or ``near`` is no joint of the limb.
    """
    family = STYLES[style]
    if isinstance(grades, str):
        grades = sample_grades(rng, limb, grades)
    unit = (anatomy.HAND_UNIT_MM if limb is Limb.HAND else anatomy.FOOT_UNIT_MM) * float(
        np.clip(rng.normal(1, 0.06), 0.86, 1.14)
    )
    centres, per_template_mm, drift = _joint_centres(rng, limb, unit)
    nominal = anatomy.HAND_UNIT_MM if limb is Limb.HAND else anatomy.FOOT_UNIT_MM
    look = Look(
        style=family,
        size=unit / nominal * float(np.clip(rng.normal(1, 0.045), 0.9, 1.1)),
        density=float(np.clip(rng.normal(1, 0.12), 0.75, 1.3)),
        cortex=float(np.clip(rng.normal(1, 0.18), 0.55, 1.4)),
        roundness=draw(rng, family.head_roundness),
        waist=draw(rng, family.waist),
        texture_seed=int(rng.choice(family.texture_seeds)),
        texture_amplitude=draw(rng, family.texture_amplitude),
        overlap_rate=float(rng.choice([0.08, 0.25, 0.5], p=[0.4, 0.3, 0.3])),
        borderline=borderline,
    )
    reach = _NEAR_REACH * joint_box_side_px(limb, near, unit) if near is not None else 0.0
    spot = centres[near] if near is not None else None
    builder = _Builder(rng, limb, look, grades, spot, reach)
    place = _Placer(per_template_mm, drift)
    for ray in anatomy.HAND_RAYS if limb is Limb.HAND else anatomy.FOOT_RAYS:
        builder.add_ray(ray, centres, place, unit)
    builder.add_leg(place)
    builder.add_short_bones(place)
    builder.add_carpus_tissue(place)
    joints = tuple(j for name in limb.joints for j in builder.joints if j.name == name)
    return LimbModel(
        limb=limb,
        laterality=laterality,
        style=family,
        joints=joints,
        bones=tuple(builder.bones),
        blocks=tuple(builder.blocks),
        tissue=np.array(builder.tissue, dtype=np.float32),
        unit_mm=unit,
        tissue_per_mm=float(rng.uniform(0.0215, 0.0265)),
        seed=int(rng.integers(1 << 30)),
    )


@dataclass(frozen=True)
class _Placer:
    """Template points to limb millimetres, following the sampled knuckles."""

    per_template_mm: float
    drift: Vector

    def __call__(self, point: tuple[float, float], jitter: Vector = (0.0, 0.0)) -> Vector:
        return (
            point[0] * self.per_template_mm + self.drift[0] + jitter[0],
            point[1] * self.per_template_mm + self.drift[1] + jitter[1],
        )


def _joint_centres(
    rng: np.random.Generator, limb: Limb, unit_mm: float
) -> tuple[dict[str, Vector], float, Vector]:
    template = shape_template(limb)
    values, vectors = np.linalg.eigh(template.covariance)
    normal = np.clip(rng.standard_normal(len(values)), -2.0, 2.0)
    offset = vectors @ (np.sqrt(np.maximum(values, 0)) * normal)
    points = template.mean + offset.reshape(-1, 2)
    index = {name: i for i, name in enumerate(template.joints)}
    first, second = unit_joints(limb)
    scale = unit_mm / float(np.hypot(*(points[index[first]] - points[index[second]])))
    knuckles = [i for name, i in index.items() if name[:3] in ("MCP", "MTP")]
    moved = (points[knuckles] - template.mean[knuckles]).mean(axis=0) * scale
    points = points * scale
    centres = {name: (float(points[i, 0]), float(points[i, 1])) for name, i in index.items()}
    return centres, scale, (float(moved[0]), float(moved[1]))


def _turn(axis: Vector, degrees: float) -> Vector:
    """Turn a direction towards thumb or hallux."""
    angle = math.radians(degrees)
    side = across_of(axis)
    c, s = math.cos(angle), math.sin(angle)
    return axis[0] * c + side[0] * s, axis[1] * c + side[1] * s


def _distance_to_segment(p: Vector, a: Vector, b: Vector) -> float:
    dx, dy = b[0] - a[0], b[1] - a[1]
    share = ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / max(dx * dx + dy * dy, 1e-9)
    share = min(max(share, 0.0), 1.0)
    return math.hypot(p[0] - a[0] - share * dx, p[1] - a[1] - share * dy)


class _Builder:
    """Collects the parts of one limb; every method draws from the one generator in turn."""

    def __init__(
        self,
        rng: np.random.Generator,
        limb: Limb,
        look: Look,
        grades: Grades,
        near: Vector | None,
        reach_mm: float,
    ) -> None:
        self.rng, self.limb, self.look, self.grades = rng, limb, look, grades
        self.near, self.reach_mm = near, reach_mm
        self.joints: list[JointModel] = []
        self.bones: list[Bone] = []
        self.blocks: list[Block] = []
        self.tissue: list[tuple[float, ...]] = []

    def _far(self, a: Vector, b: Vector, half_mm: float) -> bool:
        return (
            self.near is not None
            and _distance_to_segment(self.near, a, b) > self.reach_mm + half_mm
        )

    # --- rays ------------------------------------------------------------------------------

    def add_ray(self, ray: Ray, centres: dict[str, Vector], place: _Placer, unit_mm: float) -> None:
        """Bones, joints and soft tissue of one finger or toe with its metacarpal or metatarsal."""
        rng, _size = self.rng, self.look.size
        points = [place(ray.root, (rng.normal(0, 0.8), rng.normal(0, 1.2)))]
        points += [centres[name] for name in ray.scored]
        heading = unit_vector(points[-1][0] - points[-2][0], points[-1][1] - points[-2][1])
        if len(ray.scored) == 1:
            heading = _turn((0.0, -1.0), ray.heading_deg + rng.normal(0, 4.5))
        for length in ray.lengths:
            step = length * unit_mm * float(rng.normal(1, 0.035))
            heading = _turn(heading, float(rng.normal(0, 3.0)))
            points.append((points[-1][0] + heading[0] * step, points[-1][1] + heading[1] * step))
        plans = self._plan(ray, points)
        heads: list[Surface | None] = [None] * len(points)
        bases: list[Surface | None] = [None] * len(points)
        shift = (0.0, 0.0)
        for i, plan in enumerate(plans):
            if not plan.name and i > 0:
                # What lies beyond a displaced joint moves with it, unless the template placed it.
                points[i] = (plan.centre[0] + shift[0], plan.centre[1] + shift[1])
                plans[i] = replace(plan, centre=points[i])
            before, after = points[max(i - 1, 0)], points[min(i + 1, len(points) - 1)]
            if self._far(before, points[i], plan.head_mm) and self._far(
                points[i], after, plan.head_mm
            ):
                continue
            grade = self.grades[plan.name] if plan.name else HEALTHY
            parts = build_joint(rng, plans[i], grade, self.look)
            heads[i], bases[i] = parts.head, parts.base
            if parts.model is not None:
                self.joints.append(parts.model)
                base = parts.base.origin
                shift = (base[0] - points[i][0], base[1] - points[i][1])
        disease = [self._disease(plan.name) for plan in plans]
        for i, tube in enumerate(ray.tubes):
            start, end = bases[i], heads[i + 1]
            if start is None or end is None or self._far(start.origin, end.origin, tube.base / 2):
                continue
            thinning = (disease[i], disease[i + 1])
            self.bones.append(build_tube(rng, tube, start, end, self.look, thinning))
        starts = [p if base is None else base.origin for p, base in zip(points, bases, strict=True)]
        self._add_ray_tissue(points, starts, disease)

    def _plan(self, ray: Ray, points: list[Vector]) -> list[JointPlan]:
        size = self.look.size
        headings = [unit_vector(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(points)]
        names = ["", *ray.scored, *[""] * (len(points) - 1 - len(ray.scored))]
        plans = []
        for i, point in enumerate(points):
            before, after = headings[max(i - 1, 0)], headings[min(i, len(headings) - 1)]
            axis = unit_vector(before[0] + after[0], before[1] + after[1])
            tube = ray.tubes[max(i - 1, 0)]
            width = (tube.head if i > 0 else tube.base) * size
            beyond = ray.tubes[min(i, len(ray.tubes) - 1)].base * size
            shape = self._shape(names[i], i, len(points))
            plans.append(JointPlan(names[i], shape, point, axis, width / 2, beyond / 2))
        return plans

    def _disease(self, name: str) -> float:
        """How far osteoporosis and swelling follow the damage of a joint, 0 to 1."""
        if not name:
            return 0.0
        grade = self.grades[name]
        damage = grade.erosion / self.limb.erosion_maximum
        damage = (damage + (grade.narrowing or 0) / NARROWING_MAXIMUM) / 2
        return damage * float(self.rng.uniform(0, 1))

    def _shape(self, name: str, index: int, count: int) -> EndShape:
        if index == 0:
            return anatomy.CARPAL
        if index == count - 1:
            return anatomy.TIP
        if not name:
            return anatomy.DIP
        if name == "MTP1":
            return anatomy.MTP_FIRST
        return {"MCP": anatomy.MCP, "PIP": anatomy.PIP, "MTP": anatomy.MTP}.get(
            name[:3], anatomy.IP
        )

    # --- forearm or lower leg ----------------------------------------------------------------

    def add_leg(self, place: _Placer) -> None:
        """Radius and ulna, or tibia and fibula, running off towards the body."""
        for at, tube in anatomy.LEG_HAND if self.limb is Limb.HAND else anatomy.LEG_FOOT:
            end = place(at, (self.rng.normal(0, 1.0), self.rng.normal(0, 1.0)))
            root = (end[0] + self.rng.normal(0, 6.0) - 0.03 * end[0], end[1] + 300.0)
            half = tube.head * self.look.size / 2
            if self._far(root, end, half):
                continue
            axis = unit_vector(end[0] - root[0], end[1] - root[1])
            plan = JointPlan("", anatomy.CARPAL, end, axis, half, half)
            head = build_joint(self.rng, plan, HEALTHY, self.look).head
            base = replace(head, origin=root, bone_is_proximal=False)
            self.bones.append(build_tube(self.rng, tube, base, head, self.look))

    # --- short bones -------------------------------------------------------------------------

    def add_short_bones(self, place: _Placer) -> None:
        """Carpus or tarsus, sesamoids and spurs."""
        rng, size = self.rng, self.look.size
        shapes = anatomy.CARPUS if self.limb is Limb.HAND else anatomy.TARSUS
        for shape in shapes:
            at = place(shape.at, (rng.normal(0, 0.8), rng.normal(0, 0.8)))
            turn = _turn((0.0, -1.0), -shape.turn_deg + rng.normal(0, 4))
            self._add_block(
                at,
                turn,
                (
                    shape.half_length_mm * size,
                    shape.half_width_mm * size,
                    shape.half_depth_mm * size,
                ),
                wave=0.10,
                density=0.020 if self.limb is Limb.HAND else 0.012,
                corner=float(rng.uniform(2.4, 3.2)),
            )
        for joint in self.joints:
            self._add_sesamoids(joint)
            if rng.random() < 0.10:
                side = 1.0 if rng.random() < 0.5 else -1.0
                spot = to_limb(
                    joint.centre,
                    joint.axis,
                    rng.uniform(0.10, 0.45) * joint.half_width_mm,
                    side * rng.uniform(1.06, 1.16) * joint.half_width_mm,
                )
                length, width = rng.uniform(1.2, 2.0) * size, rng.uniform(0.8, 1.3) * size
                self._add_block(spot, joint.axis, (length, width, 1.8 * size), 0.1, 0.030)

    def _add_sesamoids(self, joint: JointModel) -> None:
        rng, half = self.rng, joint.half_width_mm
        spots: list[tuple[float, float, float]] = []
        if joint.name == "MTP1":
            spots = [(-0.95, 0.52, 5.2), (-0.95, -0.45, 5.0)]
        elif joint.name == "MCP1":
            spots = [(-0.45, -1.0, 2.6), (-0.40, 0.75, 2.4)]
        elif joint.name in ("MCP2", "MCP5", "MTP5") and rng.random() < 0.25:
            spots = [(-0.75, float(rng.uniform(-0.6, 0.6)), 2.2)]
        for along, across, radius in spots:
            at = to_limb(
                joint.centre,
                joint.axis,
                (along + rng.normal(0, 0.06)) * half,
                (across + rng.normal(0, 0.08)) * half,
            )
            size = radius * self.look.size * rng.uniform(0.85, 1.15)
            self._add_block(at, joint.axis, (size * 1.2, size, size * 0.8), 0.06, 0.034)

    def _add_block(
        self,
        at: Vector,
        axis: Vector,
        half_mm: tuple[float, float, float],
        wave: float,
        density: float,
        corner: float = 2.0,
    ) -> None:
        if self._far(at, at, max(half_mm)):
            return
        self.blocks.append(
            build_block(
                self.rng, at, axis, half_mm, self.look, wave=wave, density=density, corner=corner
            )
        )

    # --- soft tissue -------------------------------------------------------------------------

    def _capsule(self, a: Vector, b: Vector, half_width: Vector, half_depth: Vector) -> None:
        size = self.look.size
        if self._far(a, b, max(half_width) * size):
            return
        row = (*a, *b, *(w * size for w in half_width), *(h * size for h in half_depth))
        self.tissue.append(row)

    def _add_ray_tissue(
        self, points: list[Vector], starts: list[Vector], disease: list[float]
    ) -> None:
        first = len(points) == 4
        shape = anatomy.RAY_TISSUE[self.limb is Limb.HAND, first]
        plump = float(self.rng.uniform(0.94, 1.10))
        self._capsule(points[0], points[1], shape.palm_width_mm, shape.palm_depth_mm)
        for i in range(1, len(points) - 1):
            width = (shape.half_width_mm[i - 1] * plump, shape.half_width_mm[i] * plump)
            depth = (shape.half_depth_mm[i - 1] * plump, shape.half_depth_mm[i] * plump)
            self._capsule(starts[i], points[i + 1], width, depth)
            swollen = 1 + 0.2 * disease[i]
            self._capsule(
                points[i],
                (starts[i][0], starts[i][1] - 0.5),
                (width[0] * swollen, width[0] * swollen),
                (depth[0] * swollen, depth[0] * swollen),
            )

    def add_carpus_tissue(self, place: _Placer) -> None:
        """Palm or sole towards the body, and the forearm or lower leg."""
        if self.limb is Limb.HAND:
            self._capsule(place((0.0, 1.5)), place((0.0, 2.6)), (34.0, 30.0), (15.0, 19.0))
            self._capsule(place((-0.02, 2.3)), place((-0.05, 9.5)), (29.0, 46.0), (19.0, 36.0))
            self._capsule(place((0.55, 1.75)), place((0.75, 1.05)), (16.0, 12.0), (15.0, 11.0))
        else:
            self._capsule(place((-0.05, 2.3)), place((-0.05, 3.4)), (34.0, 34.0), (22.0, 28.0))
            self._capsule(place((0.0, 3.2)), place((0.0, 4.5)), (36.0, 34.0), (28.0, 31.0))
            self._capsule(place((0.0, 4.2)), place((0.0, 14.0)), (34.0, 56.0), (30.0, 46.0))
