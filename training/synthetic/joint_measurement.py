"""Measures one labelled joint of a real film: axis, width of the bone, joint space.

Layer: training.synthetic; pure functions over arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from edge.anatomy import Limb, joint_box_side_px
from edge.pipeline.identify import identify
from edge.pipeline.namings import Prior
from phantom import anatomy
from phantom.geometry import TAUS

if TYPE_CHECKING:
    from edge.model import GreyImage
    from training.datasets.labelled_films import LabelledFilm

Float = npt.NDArray[np.float32]

PATCH_BOXES = 3.0
"""Side of a joint's patch over the side of its box: wide enough for a displaced bone to be bent
back to its place inside it."""
_WIDEST_TURN_DEG = 22
_HALF_RANGE = (0.74, 1.3)
"""Bounds of a bone's measured half width, as multiples of the anatomy's tables."""


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


def patch_matrix(centre: tuple[float, float], angle: float, size: int) -> npt.NDArray[np.float64]:
    """Film pixels to patch pixels: distal is up, the joint lies in the middle."""
    c, s = math.cos(-angle), math.sin(-angle)
    linear = np.array([[c, -s], [s, c]])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = (size - 1) / 2 - linear @ centre
    return matrix


def _lift(pixels: GreyImage, centre: tuple[float, float], angle: float, size: int) -> Float:
    matrix = patch_matrix(centre, angle, size)
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
    """Axis, width, and joint space of one labelled joint; ``None`` where these are not clear."""
    heading = _direction(film, name)
    if heading is None:
        return None
    shape, half_mm, _ = _tables(film.limb, name)
    unit_mm = anatomy.HAND_UNIT_MM if film.limb is Limb.HAND else anatomy.FOOT_UNIT_MM
    promised = half_mm * film.unit / unit_mm
    side = joint_box_side_px(film.limb, name, film.unit)
    size = 2 * round(PATCH_BOXES * side / 2) + 1
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
