"""Damage painted on real joints: graded narrowing and erosions, by the simulator's grading code.

Room: training. Pure functions over arrays and one random generator. A joint is laid upright in a
patch, its bones are lifted off the soft tissue as two layers (proximal, distal), the layers are
bitten and moved as `phantom.damage` says, and the difference is laid back on the film, so that
every pixel that no damage touched keeps its own noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from edge.anatomy import joint_box_side_px
from edge.model import NARROWING_MAXIMUM, Limb, has_narrowing
from edge.pipeline.identify import Prior, identify
from edge.pipeline.settings import PipelineSettings
from phantom import anatomy, damage
from phantom.geometry import TAUS, JointGrade
from phantom.statistics import split_erosion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.model import GreyImage
    from training.data.films import LabelledFilm

Float = npt.NDArray[np.float32]

HEALTHY_SHARE = 0.4
"""Share of joints that stay as they are: real texture must mean every grade alike."""
_PATCH_BOXES = 3.0
"""Side of the patch over the joint's box: a displaced bone is bent back to its place inside it."""
_WIDEST_TURN_DEG = 22
_HALF_RANGE = (0.74, 1.3)
"""How far a measured half width of a bone may lie from what the anatomy's tables promise."""


@dataclass(frozen=True, eq=False)
class RealJoint:
    """One healthy joint of a real film, measured.

    ``angle`` (radians) turns the patch's upward axis to the film's distal direction; ``centre`` and
    ``half_px`` are the joint's middle and half the head's width in film pixels, ``surface_px``
    float32 over `TAUS` the middle of the joint space along the axis, + distally.
    """

    name: str
    centre: tuple[float, float]
    angle: float
    half_px: float
    half_mm: float
    space_px: float
    surface_px: Float
    side_px: float


def _tables(limb: Limb, name: str) -> tuple[anatomy.EndShape, float, float]:
    """Shape, half width of the head (mm at unit size) and usual heading of a scored joint."""
    for ray in anatomy.HAND_RAYS if limb is Limb.HAND else anatomy.FOOT_RAYS:
        if name in ray.scored:
            tube = ray.tubes[ray.scored.index(name)]
            shapes = {"MCP": anatomy.MCP, "PIP": anatomy.PIP, "MTP": anatomy.MTP}
            shape = anatomy.MTP_FIRST if name == "MTP1" else shapes.get(name[:3], anatomy.IP)
            return shape, tube.head / 2, ray.heading_deg
    raise KeyError(name)


def _direction(film: LabelledFilm, name: str) -> tuple[float, float] | None:
    """Where the distal bone of a joint points, from its finger's other joint or the template."""
    at = dict(zip(film.names, film.points, strict=True))
    number = name[-1]
    pair = ("MCP" if film.limb is Limb.HAND else "MTP") + number
    tip = "IP1" if number == "1" else "PIP" + number
    if pair in at and tip in at:
        x, y = at[tip] - at[pair]
        return float(x), float(y)
    identity = identify(film.limb, film.points, film.classes, Prior())
    if identity is None:
        return None
    heading = math.radians(_tables(film.limb, name)[2])
    x, y = identity.shape.to_image[:2, :2] @ (math.sin(heading), -math.cos(heading))
    return float(x), float(y)


def _patch_matrix(centre: tuple[float, float], angle: float, size: int) -> npt.NDArray[np.float64]:
    """Film pixels to patch pixels: distal is up, the joint lies in the middle."""
    c, s = math.cos(-angle), math.sin(-angle)
    linear = np.array([[c, -s], [s, c]])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = (size - 1) / 2 - linear @ centre
    return matrix


def _lift(pixels: GreyImage, centre: tuple[float, float], angle: float, size: int) -> Float:
    matrix = _patch_matrix(centre, angle, size)
    return cv2.warpAffine(
        pixels, matrix[:2], (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.float32)


def _blurred(patch: Float, sigma_px: float) -> Float:
    return np.asarray(cv2.GaussianBlur(patch, (0, 0), sigma_px), np.float32)


def _rows(patch: Float, low: float, high: float) -> Float:
    """Mean over the rows whose position along the axis lies in low..high pixels (+ distally)."""
    middle = (patch.shape[0] - 1) / 2
    return np.asarray(patch[round(middle - high) : round(middle - low) + 1].mean(axis=0))


def measure_joint(film: LabelledFilm, name: str) -> RealJoint | None:
    """Axis, width, and joint space of one labelled joint; ``None`` where they cannot be told."""
    heading = _direction(film, name)
    if heading is None:
        return None
    shape, half_mm, _ = _tables(film.limb, name)
    unit_mm = anatomy.HAND_UNIT_MM if film.limb is Limb.HAND else anatomy.FOOT_UNIT_MM
    promised = half_mm * film.unit / unit_mm
    side = joint_box_side_px(film.limb, name, film.unit)
    size = 2 * round(_PATCH_BOXES * side / 2) + 1
    label = film.points[film.names.index(name)]
    centre = (float(label[0]), float(label[1]))
    first = math.atan2(heading[0], -heading[1])
    angle = max(
        (first + math.radians(turn) for turn in range(-_WIDEST_TURN_DEG, _WIDEST_TURN_DEG + 1, 2)),
        key=lambda trial: (
            _straightness(_lift(film.pixels, centre, trial, size), promised)
            - 0.5 * ((trial - first) / math.radians(_WIDEST_TURN_DEG)) ** 2
        ),
    )
    patch = _blurred(_lift(film.pixels, centre, angle, size), 0.06 * promised)
    left, right = _walls(_rows(patch, -1.1 * promised, -0.45 * promised), promised)
    half, aside = (right - left) / 2, (right + left) / 2
    centre = (centre[0] + math.cos(angle) * aside, centre[1] + math.sin(angle) * aside)
    patch = _blurred(_lift(film.pixels, centre, angle, size), 0.05 * promised)
    surface = _joint_line(patch, half, shape)
    return RealJoint(
        name=name,
        centre=centre,
        angle=angle,
        half_px=half,
        half_mm=half_mm,
        space_px=shape.space * 2 * half,
        surface_px=surface,
        side_px=side,
    )


def _straightness(patch: Float, half: float) -> float:
    """How clearly the walls of both shafts stand along the patch's axis."""
    columns = (patch.shape[1] - 1) / 2 + np.array([-2.0, 2.0]) * half
    window = slice(max(0, round(columns[0])), round(columns[1]) + 1)
    total = 0.0
    for low, high in ((-2.2, -0.7), (0.8, 2.0)):
        profile = _rows(patch, low * half, high * half)[window]
        smooth = cv2.GaussianBlur(profile[None], (0, 0), 0.08 * half)[0]
        total += float(np.square(np.diff(smooth)).sum())
    spread = float(patch[:, window].std()) + 1e-3
    return total / spread**2 * half


def _walls(profile: Float, promised: float) -> tuple[float, float]:
    """Left and right wall of a head in a profile across it, pixels from the middle.

    Each is where the profile falls most steeply outwards; the promise stands where none does.
    """
    middle = (len(profile) - 1) / 2
    slope = np.diff(cv2.GaussianBlur(profile[None].astype(np.float32), (0, 0), 0.08 * promised)[0])
    at = np.arange(len(slope)) + 0.5 - middle
    walls = []
    for sign in (-1.0, 1.0):
        near = (sign * at > _HALF_RANGE[0] * promised) & (sign * at < _HALF_RANGE[1] * promised)
        fall = -sign * slope * near
        walls.append(float(at[fall.argmax()]) if fall.max() > 0 else sign * promised)
    return walls[0], walls[1]


def _joint_line(patch: Float, half: float, shape: anatomy.EndShape) -> Float:
    """The middle of the joint space over `TAUS`: the darkest path across the joint.

    Searched within a third of the head's half width of the anatomy's own curve, by dynamic
    programming; kept as a smooth curve.
    """
    square = np.minimum(TAUS * TAUS, 1)
    rise = [(a + b) / 2 for a, b in zip(shape.head, shape.base, strict=True)]
    usual = -half * (
        rise[0] * square + rise[1] * square**2 + rise[2] * square**4
        + shape.groove * np.exp(-9.0 * square)
    )  # fmt: skip
    middle = (patch.shape[0] - 1) / 2
    taus = np.linspace(-0.9, 0.9, 37)
    base = np.interp(taus, TAUS, usual)
    # The label is the middle of the space: the curve passes through it on average.
    base = base - base[np.abs(taus) < 0.5].mean()
    reach = 0.36 * half
    steps = np.linspace(-reach, reach, 49)
    along = base[:, None] + steps[None]
    x = np.broadcast_to(middle + taus[:, None] * half, along.shape).astype(np.float32)
    dark = cv2.remap(patch, x, (middle - along).astype(np.float32), cv2.INTER_LINEAR)
    # Columns differ in brightness (a rim, a sesamoid): each is judged against itself.
    dark = (dark - dark.mean(axis=1, keepdims=True)) / (dark.std() + 1e-3)
    dark = dark + 0.9 * np.square(steps / reach)[None]
    bend = np.square(np.subtract.outer(steps, steps) / (0.03 * half))
    cost, come = dark[0], []
    for row in dark[1:]:
        total = cost[None] + 0.15 * bend
        come.append(total.argmin(axis=1))
        cost = total.min(axis=1) + row
    path = [int(cost.argmin())]
    for back in reversed(come):
        path.append(int(back[path[-1]]))
    offset = steps[np.array(path[::-1])]
    fitted = np.polyval(np.polyfit(taus, offset, 3), np.clip(TAUS, -0.9, 0.9))
    shift = base.mean() - np.interp(taus, TAUS, usual).mean()
    return (usual + shift + fitted).astype(np.float32)


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
    size = 2 * round(_PATCH_BOXES * joint.side_px / 2) + 1
    matrix = _patch_matrix(joint.centre, joint.angle, size)
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


@dataclass(frozen=True, eq=False)
class SharpFilm:
    """A labelled film sharp enough to be scored, with its joints measured."""

    film: LabelledFilm
    joints: Mapping[str, RealJoint]


def sharp_films(films: list[LabelledFilm]) -> list[SharpFilm]:
    """Adults' films, read at full size, on which the pipeline would score, measured."""
    found = []
    for film in films:
        least = PipelineSettings().limb(film.limb).unit_unscored_px
        if film.immature or film.unit < least:
            continue
        measured = {name: measure_joint(film, name) for name in film.names}
        joints = {name: joint for name, joint in measured.items() if joint is not None}
        if joints:
            found.append(SharpFilm(film, joints))
    return found


def draw_grades(
    rng: np.random.Generator, limb: Limb, names: tuple[str, ...]
) -> dict[str, JointGrade]:
    """Grades to paint: `HEALTHY_SHARE` untouched, the rest with every grade equally often."""
    grades = {}
    for name in names:
        narrows = has_narrowing(limb, name)
        if rng.random() < HEALTHY_SHARE:
            grades[name] = JointGrade((0, 0), 0 if narrows else None)
            continue
        erosion = int(rng.integers(limb.erosion_maximum + 1))
        narrowing = int(rng.integers(NARROWING_MAXIMUM + 1)) if narrows else None
        grades[name] = JointGrade(split_erosion(rng, limb, erosion), narrowing)
    return grades


def paint_film(
    sharp: SharpFilm, grades: Mapping[str, JointGrade], rng: np.random.Generator
) -> LabelledFilm:
    """The film with its joints damaged; the points are those of the joints afterwards."""
    film = sharp.film
    pixels = film.pixels.astype(np.float32)
    points = film.points.copy()
    for name, joint in sharp.joints.items():
        if grades[name].erosion or grades[name].narrowing:
            points[film.names.index(name)] = paint_joint(pixels, joint, grades[name], rng)
    painted = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return replace(film, pixels=painted, points=points)
