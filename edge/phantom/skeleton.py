"""One limb from a seed: joints from the shape template, bones between them, tissue round them.

Part of `phantom`; numpy only. `sample_limb` is the whole interface.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from edge.model import Laterality, Limb
from edge.phantom import anatomy, damage
from edge.phantom.anatomy import EndShape, Ray, Tube
from edge.phantom.geometry import (
    NO_BITES,
    SHAFT_STEPS,
    TAUS,
    Block,
    Bone,
    Float,
    JointGrade,
    JointModel,
    LimbModel,
    Surface,
    Vector,
    across_of,
    to_limb,
    unit_vector,
)
from edge.phantom.statistics import Grades, GradeSetting, sample_grades
from edge.phantom.style import STYLES, Style, StyleName, draw
from edge.shape import shape_template, unit_joints

_HEALTHY = JointGrade((0, 0), 0)
_NEAR_REACH_MM = 36.0
_CENTRAL = np.abs(TAUS) <= 0.5
_PROFILE_TAU = np.linspace(-0.5, 0.5, 13, dtype=np.float32)
_SHAFT = np.linspace(0.0, 1.0, SHAFT_STEPS, dtype=np.float32)
_NORM_SPREAD = 0.04


@dataclass(frozen=True)
class _Look:
    """What one limb's bones have in common."""

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
class _Joint:
    """One joint of a ray, scored or not, before bones are built."""

    name: str
    shape: EndShape
    centre: Vector
    axis: Vector
    head_mm: float
    base_mm: float


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
    ``borderline`` draws joint spaces at the borders between grades. Raises KeyError when
    ``grades`` lacks a joint or ``near`` is no joint of the limb.
    """
    family = STYLES[style]
    if isinstance(grades, str):
        grades = sample_grades(rng, limb, grades)
    unit = (anatomy.HAND_UNIT_MM if limb is Limb.HAND else anatomy.FOOT_UNIT_MM) * float(
        np.clip(rng.normal(1, 0.06), 0.86, 1.14)
    )
    centres, per_template_mm, drift = _joint_centres(rng, limb, unit)
    nominal = anatomy.HAND_UNIT_MM if limb is Limb.HAND else anatomy.FOOT_UNIT_MM
    look = _Look(
        style=family,
        size=unit / nominal * float(np.clip(rng.normal(1, 0.045), 0.9, 1.1)),
        density=float(np.clip(rng.normal(1, 0.12), 0.75, 1.3)),
        cortex=float(np.clip(rng.normal(1, 0.18), 0.55, 1.4)),
        roundness=draw(rng, family.head_roundness),
        waist=draw(rng, family.waist),
        texture_seed=int(rng.choice(family.texture_seeds)),
        texture_amplitude=draw(rng, family.texture_amplitude),
        overlap_rate=float(rng.choice([0.0, 0.15, 0.75], p=[0.45, 0.3, 0.25])),
        borderline=borderline,
    )
    builder = _Builder(rng, limb, look, grades, centres[near] if near is not None else None)
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
    # The aggregate holds 1e-4 in the directions of translation and rotation: nothing to draw.
    offset[:] = np.where(np.isfinite(offset), offset, 0)
    points = template.mean + offset.reshape(-1, 2)
    index = {name: i for i, name in enumerate(template.joints)}
    first, second = unit_joints(limb)
    scale = unit_mm / float(np.hypot(*(points[index[first]] - points[index[second]])))
    knuckles = [i for name, i in index.items() if name[:3] in ("MCP", "MTP")]
    moved = (points[knuckles] - template.mean[knuckles]).mean(axis=0) * scale
    centres = {n: (float(points[i, 0] * scale), float(points[i, 1] * scale)) for n, i in index.items()}
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
        look: _Look,
        grades: Grades,
        near: Vector | None,
    ) -> None:
        self.rng, self.limb, self.look, self.grades, self.near = rng, limb, look, grades, near
        self.joints: list[JointModel] = []
        self.bones: list[Bone] = []
        self.blocks: list[Block] = []
        self.tissue: list[tuple[float, ...]] = []

    def _far(self, a: Vector, b: Vector, half_mm: float) -> bool:
        return (
            self.near is not None
            and _distance_to_segment(self.near, a, b) > _NEAR_REACH_MM * self.look.size + half_mm
        )

    # --- rays ------------------------------------------------------------------------------

    def add_ray(
        self, ray: Ray, centres: dict[str, Vector], place: _Placer, unit_mm: float
    ) -> None:
        """Bones, joints and soft tissue of one finger or toe with its metacarpal or metatarsal."""
        rng, size = self.rng, self.look.size
        points = [place(ray.root, (rng.normal(0, 0.8), rng.normal(0, 1.2)))]
        points += [centres[name] for name in ray.scored]
        heading = unit_vector(points[-1][0] - points[-2][0], points[-1][1] - points[-2][1])
        if len(ray.scored) == 1:
            heading = _turn((0.0, -1.0), ray.heading_deg + rng.normal(0, 4.5))
        for length in ray.lengths:
            step = length * unit_mm * float(rng.normal(1, 0.035))
            heading = _turn(heading, float(rng.normal(0, 3.0)))
            points.append(
                (points[-1][0] + heading[0] * step, points[-1][1] + heading[1] * step)
            )
        headings = [unit_vector(b[0] - a[0], b[1] - a[1]) for a, b in zip(points, points[1:])]
        names = ["", *ray.scored, *[""] * (len(points) - 1 - len(ray.scored))]
        joints: list[_Joint] = []
        for i, point in enumerate(points):
            before, after = headings[max(i - 1, 0)], headings[min(i, len(headings) - 1)]
            axis = unit_vector(before[0] + after[0], before[1] + after[1])
            tube = ray.tubes[max(i - 1, 0)]
            width = (tube.head if i > 0 else tube.base) * size
            beyond = ray.tubes[min(i, len(ray.tubes) - 1)].base * size
            shape = self._shape(names[i], i, len(points))
            joints.append(_Joint(names[i], shape, point, axis, width / 2, beyond / 2))
        heads: list[Surface | None] = [None] * len(points)
        bases: list[Surface | None] = [None] * len(points)
        shift = (0.0, 0.0)
        for i, joint in enumerate(joints):
            if not joint.name and i > 0:
                # What lies beyond a displaced joint moves with it, unless the template placed it.
                moved = (joint.centre[0] + shift[0], joint.centre[1] + shift[1])
                joint = joints[i] = replace(joint, centre=moved)
                points[i] = moved
            ends = [joints[j].centre for j in (max(i - 1, 0), min(i + 1, len(joints) - 1))]
            if not self._far(ends[0], joint.centre, joint.head_mm) or not self._far(
                joint.centre, ends[1], joint.head_mm
            ):
                head, base = self._add_joint(joint)
                heads[i], bases[i] = head, base
                if joint.name:
                    shift = (base.origin[0] - head.origin[0], base.origin[1] - head.origin[1])
        for i, tube in enumerate(ray.tubes):
            base, head = bases[i], heads[i + 1]
            if base is not None and head is not None and not self._far(
                base.origin, head.origin, tube.base / 2
            ):
                self._add_tube(tube, base, head)
        starts = [p if base is None else base.origin for p, base in zip(points, bases)]
        self._add_ray_tissue(points, starts)

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

    def _add_joint(self, joint: _Joint) -> tuple[Surface, Surface]:
        rng, shape, half = self.rng, joint.shape, joint.head_mm
        grade = self.grades[joint.name] if joint.name else _HEALTHY
        margin = 1.0 if rng.random() < 0.62 else -1.0
        worst = max(grade.erosion_sides)
        space = damage.narrowing(
            rng,
            grade.narrowing or 0,
            clear_side=-margin if worst >= 2 else 0.0,
            borderline=self.look.borderline and bool(joint.name),
        )
        promised = shape.space * 2 * half
        norm = promised * (1 + _NORM_SPREAD * float(np.clip(rng.standard_normal(), -2, 2)))
        wobble = damage.surface_wobble(rng, half)
        gap = norm * space.ratio
        # Beyond the head's width the edge runs level: a bone that lies askew is not cut off.
        square = np.minimum(TAUS * TAUS, 1)
        fourth = square * square
        eighth = fourth * fourth

        def curve(coefficients: tuple[float, float, float], groove: float) -> Float:
            k2, k4, k8 = coefficients
            fall = k2 * square + k4 * fourth + k8 * eighth
            fall = fall + groove * np.exp(-square * 9.0)
            return (-half * fall).astype(np.float32)

        k2, k4, k8 = shape.head
        head_edge = curve((k2 * self.look.roundness, k4, k8), shape.groove) + wobble - gap / 2
        b2, b4, b8 = shape.base
        base_edge = curve((b2 * self.look.roundness, b4, b8), shape.groove) + wobble + gap / 2
        # The base's corners are round: without this its rim would run out into spikes.
        corner = np.abs(TAUS) * (half / joint.base_mm)
        base_edge = base_edge + half * (0.16 * corner**8 + 0.5 * np.maximum(corner - 1, 0))
        overlaps = bool(joint.name) and not space.fused and rng.random() < self.look.overlap_rate
        lip = float(rng.uniform(*shape.lip)) * half + norm if overlaps else 0.0
        base_origin = to_limb(
            joint.centre,
            joint.axis,
            space.shift_along * 2 * half,
            space.shift_across * 2 * half,
        )
        common = {"axis": joint.axis, "half_width_mm": half, "fused": space.fused}
        head = Surface(
            origin=joint.centre,
            edge_mm=head_edge.astype(np.float32),
            bone_is_proximal=True,
            round_mm=shape.head_round * half,
            plate_mm=0.6,
            **common,
        )
        base = Surface(
            origin=base_origin,
            edge_mm=base_edge.astype(np.float32),
            bone_is_proximal=False,
            round_mm=shape.base_round_mm * self.look.size,
            plate_mm=0.75,
            lip_mm=lip,
            lip_share=float(rng.uniform(0.32, 0.5)) if overlaps else 0.0,
            **common,
        )
        if joint.name:
            head, base = self._record(joint, grade, margin, head, base, norm, promised, gap, space)
        return head, base

    def _record(
        self,
        joint: _Joint,
        grade: JointGrade,
        margin: float,
        head: Surface,
        base: Surface,
        norm: float,
        promised: float,
        gap: Float,
        space: damage.Narrowing,
    ) -> tuple[Surface, Surface]:
        """Bite the erosions out of both sides and keep the truth."""
        rng, half = self.rng, joint.head_mm
        taken: list[damage.Bites] = []
        surfaces: list[Surface] = []
        for surface, amount in zip((head, base), grade.erosion_sides):
            # Both sides are eaten from the same margin: the rest of the joint stays readable.
            bites = damage.bites(
                rng,
                amount,
                surface.edge_mm,
                half,
                bone_is_proximal=surface.bone_is_proximal,
                margin=margin,
            )
            holes = NO_BITES
            if amount == 0 and rng.random() < 0.12:
                holes = damage.cysts(
                    rng, half, surface.edge_mm, bone_is_proximal=surface.bone_is_proximal
                )
            taken.append(bites)
            surfaces.append(replace(surface, bites=bites.discs, cysts=holes))
        head, base = surfaces
        middle = (
            (head.origin[0] + base.origin[0]) / 2,
            (head.origin[1] + base.origin[1]) / 2,
        )
        self.joints.append(
            JointModel(
                name=joint.name,
                centre=middle,
                axis=joint.axis,
                half_width_mm=half,
                grade=grade,
                norm_mm=norm,
                promised_norm_mm=promised,
                space_mm=np.interp(_PROFILE_TAU, TAUS, gap).astype(np.float32),
                bite_shares=(taken[0].area_share, taken[1].area_share),
                bite_reach=(taken[0].reach, taken[1].reach),
                shift_share=space.shift_across,
                fused=space.fused,
                overlap_mm=base.lip_mm,
            )
        )
        return head, base

    def _add_tube(self, tube: Tube, base: Surface, head: Surface) -> None:
        rng, look = self.rng, self.look
        length = math.hypot(head.origin[0] - base.origin[0], head.origin[1] - base.origin[1])
        axis = unit_vector(head.origin[0] - base.origin[0], head.origin[1] - base.origin[1])
        start, end = -0.9 * base.half_width_mm, length + 0.45 * head.half_width_mm
        along = start + (end - start) * _SHAFT
        wide = tube.base * look.size / 2
        waist = tube.waist * look.size * look.waist / 2
        ball = head.half_width_mm
        from_base = np.maximum(along - 0.12 * wide, 0) / (1.35 * wide)
        from_head = np.maximum(length - 0.42 * ball - along, 0) / (1.15 * ball)
        flare = np.hypot(
            (wide - waist) * np.exp(-(from_base**1.7)), (ball - waist) * np.exp(-(from_head**1.9))
        )
        half_width = waist + flare
        middle = (along / length - 0.5) / 0.36
        cortex = tube.cortex * look.cortex * look.size * np.exp(-(middle**4)) + 0.42
        ends = 1 - np.exp(-((np.clip(along / length, 0, 1) - 0.52) / 0.30) ** 4)
        bow = rng.normal(0, 0.012) * length
        # Large bones hold more marrow, and the beam is harder behind them.
        spongy = min(1.0, (9.0 / wide) ** 0.9)
        self.bones.append(
            Bone(
                origin=base.origin,
                axis=axis,
                start_mm=start,
                end_mm=end,
                half_width=half_width.astype(np.float32),
                half_depth=(half_width * (0.80 + 0.12 * ends)).astype(np.float32),
                cortex=cortex.astype(np.float32),
                cancellous=(look.density * spongy * (0.012 + 0.024 * ends)).astype(np.float32),
                centre=(bow * np.sin(np.pi * np.clip(along / length, 0, 1))).astype(np.float32),
                cortical=0.078 * look.density * spongy**0.3,
                texture_seed=look.texture_seed,
                texture_offset_mm=float(rng.uniform(0, 50)),
                texture_amplitude=look.texture_amplitude,
                proximal=base,
                distal=head,
            )
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
            joint = _Joint("", anatomy.CARPAL, end, axis, half, half)
            head, _ = self._add_joint(joint)
            base = replace(head, origin=root, bone_is_proximal=False, half_width_mm=half)
            self._add_tube(tube, base, head)

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
                (shape.half_length_mm, shape.half_width_mm, shape.half_depth_mm),
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
        rng, look = self.rng, self.look
        length, width, depth = half_mm
        if self._far(at, (at[0] + 1e-3, at[1]), max(length, width)):
            return
        angles = np.linspace(0, 2 * math.pi, 64, endpoint=False)
        power = 1 / corner
        outline = (np.abs(np.cos(angles)) ** corner + np.abs(np.sin(angles)) ** corner) ** -power
        for k in (2, 3, 4):
            outline += rng.normal(0, wave / k) * np.cos(k * angles + rng.uniform(0, 6.28))
        scale = look.size if max(length, width) > 6 else 1.0
        self.blocks.append(
            Block(
                centre=at,
                axis=axis,
                half_length_mm=length * scale,
                half_width_mm=width * scale,
                half_depth_mm=depth * scale,
                outline=outline.astype(np.float32),
                cancellous=density * look.density,
                cortical=0.06 * look.density,
                cortex_mm=min(1.1, 0.2 * width),
                texture_seed=look.texture_seed,
                texture_offset_mm=float(rng.uniform(0, 50)),
                texture_amplitude=look.texture_amplitude,
            )
        )

    # --- soft tissue -------------------------------------------------------------------------

    def _capsule(
        self, a: Vector, b: Vector, half_width: Vector, half_depth: Vector
    ) -> None:
        size = self.look.size
        if self._far(a, b, max(half_width) * size):
            return
        row = (*a, *b, *(w * size for w in half_width), *(h * size for h in half_depth))
        self.tissue.append(row)

    def _add_ray_tissue(self, points: list[Vector], starts: list[Vector]) -> None:
        hand = self.limb is Limb.HAND
        first = len(points) == (4 if hand else 4) and points[1][0] > 20
        plump = float(self.rng.uniform(0.94, 1.10))
        if hand:
            palm_w, palm_h = (14.5, 12.5), (14.5, 12.5)
            widths = (12.0, 10.4, 8.8, 7.4) if not first else (12.5, 10.8, 8.6)
            depths = (11.0, 8.6, 7.0, 5.2) if not first else (10.5, 8.6, 6.2)
        else:
            palm_w, palm_h = (15.0, 13.0), (26.0, 14.0)
            widths = (10.0, 8.6, 8.0, 7.0) if not first else (16.0, 13.0, 11.0)
            depths = (11.0, 8.0, 7.0, 5.6) if not first else (14.0, 10.5, 8.0)
        self._capsule(points[0], points[1], palm_w, palm_h)
        for i in range(1, len(points) - 1):
            k = i - 1
            width = (widths[k] * plump, widths[k + 1] * plump)
            depth = (depths[k] * plump, depths[k + 1] * plump)
            self._capsule(starts[i], points[i + 1], width, depth)
            if math.hypot(starts[i][0] - points[i][0], starts[i][1] - points[i][1]) > 2.0:
                # Skin spans a displaced joint.
                self._capsule(points[i], starts[i], (width[0], width[0]), (depth[0], depth[0]))

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
