"""The film round the limb: how it lies, what the plate and the collimator add, which letters.

Layer: phantom; numpy and OpenCV only. Nothing here touches a joint: letters, borders and jewellery
keep away from the boxes, so the truth stays as built.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from edge.anatomy import Limb
from edge.model import Laterality

if TYPE_CHECKING:
    from phantom.attenuation import Affine
    from phantom.geometry import Float, LimbModel
    from phantom.style import Style

_UNIT_PX: dict[Limb, tuple[float, float]] = {Limb.HAND: (250, 400), Limb.FOOT: (390, 620)}
_SMALL_UNIT_PX: dict[Limb, tuple[float, float]] = {Limb.HAND: (110, 150), Limb.FOOT: (170, 230)}
_SMALL_SHARE = 0.04
_METAL_PER_MM = 1.2


@dataclass(frozen=True)
class Layout:
    """Where the limb lies on the film.

    ``affine`` maps film pixels to limb millimetres (of a left limb); ``turn_deg`` is the gross
    turn of the limb on the film, 0 when fingers or toes are up.
    """

    width_px: int
    height_px: int
    mm_per_px: float
    affine: Affine
    turn_deg: int
    mirrored: bool

    def to_film(self, x_mm: float, y_mm: float) -> tuple[float, float]:
        """Film pixel of a limb point."""
        inverse = np.linalg.inv(self.affine[:, :2])
        x, y = inverse @ (np.array([x_mm, y_mm]) - self.affine[:, 2])
        return float(x), float(y)


def draw_layout(
    rng: np.random.Generator,
    limb: LimbModel,
    style: Style,
    *,
    long_side_px: int | None = None,
    mirrored: bool = False,
) -> Layout:
    """Place the limb: framed closely like a cohort's film, or with forearm or lower leg.

    ``long_side_px`` sets the film's size; otherwise it follows from a drawn resolution.
    """
    points = np.array([joint.centre for joint in limb.joints])
    if limb.laterality is Laterality.RIGHT:
        points[:, 0] *= -1
    low, high = points.min(axis=0), points.max(axis=0)
    span = float(high[1] - low[1])
    close = rng.random() < 0.3
    if limb.limb is Limb.HAND:
        share = rng.uniform(0.33, 0.41) if close else rng.uniform(0.22, 0.33)
        place_y = rng.uniform(0.42, 0.47) if close else rng.uniform(0.36, 0.46)
    else:
        share = rng.uniform(0.22, 0.33) if close else rng.uniform(0.17, 0.26)
        place_y = rng.uniform(0.32, 0.38) if close else rng.uniform(0.24, 0.38)
    height_mm = span / share
    width_mm = height_mm * rng.uniform(0.70, 0.85)
    breadth = float(high[0] - low[0]) + 26.0
    width_mm = max(width_mm, breadth * rng.uniform(1.12, 1.35))
    place_x = rng.uniform(0.40, 0.60) if not close else rng.uniform(0.46, 0.54)
    centre = (low + high) / 2

    quarter = 0
    if rng.random() < style.turned_share:
        quarter = int(rng.choice([180, 180, 180, 90, 270]))
    tilt = float(np.clip(rng.normal(0, 5.0), -12, 12))
    sideways = quarter in (90, 270)
    film_mm = (height_mm, width_mm) if sideways else (width_mm, height_mm)
    # The limb's place is drawn on the upright film; a gross turn turns film and limb together.
    offset = np.array([(place_x - 0.5) * width_mm, (place_y - 0.5) * height_mm])
    slack = (width_mm - breadth) / 2
    offset[0] = float(np.clip(offset[0], -slack, slack))

    if long_side_px is None:
        small = rng.random() < _SMALL_SHARE
        unit_px = rng.uniform(*(_SMALL_UNIT_PX if small else _UNIT_PX)[limb.limb])
        mm_per_px = limb.unit_mm / unit_px
    else:
        mm_per_px = max(film_mm) / long_side_px
    width_px, height_px = round(film_mm[0] / mm_per_px), round(film_mm[1] / mm_per_px)

    angle = math.radians(quarter + tilt)
    c, s = math.cos(angle), math.sin(angle)
    gross = math.radians(quarter)
    gc, gs = math.cos(gross), math.sin(gross)
    # film -> upright film of the whole turn, about the film's middle
    back = np.array([[c, s], [-s, c]])
    middle = np.array([width_px - 1, height_px - 1]) / 2
    turned_offset = np.array([[gc, -gs], [gs, gc]]) @ offset
    linear = back * mm_per_px
    shift = centre - back @ turned_offset - linear @ middle
    affine = np.hstack([linear, shift[:, None]])
    flip = limb.laterality is Laterality.RIGHT
    if flip:
        affine[0] *= -1
    if mirrored:
        affine[:, 2] += affine[:, 0] * (width_px - 1)
        affine[:, 0] *= -1
    return Layout(width_px, height_px, mm_per_px, affine, quarter, mirrored)


@dataclass(frozen=True)
class Ring:
    """A finger ring or bangle: an ellipse of metal, in limb millimetres."""

    centre: tuple[float, float]
    half_width_mm: float
    half_height_mm: float
    angle_rad: float
    thick_mm: float


def draw_rings(rng: np.random.Generator, limb: LimbModel) -> tuple[Ring, ...]:
    """Now and then a ring on a proximal phalanx, between its joints, or a bangle at the wrist."""
    rings: list[Ring] = []
    if limb.limb is not Limb.HAND:
        return ()
    if rng.random() < 0.06:
        finger = int(rng.choice([3, 4, 4, 5]))
        a, b = limb.joint(f"MCP{finger}").centre, limb.joint(f"PIP{finger}").centre
        share = rng.uniform(0.42, 0.55)
        centre = (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share)
        angle = math.atan2(b[1] - a[1], b[0] - a[0]) + math.pi / 2
        ring = Ring(centre, 10.5, rng.uniform(0.8, 2.0), angle, 1.3)
        # A ring hides no joint: one that would reach a neighbour's box is left out.
        clear = ring.half_width_mm + 0.27 * limb.unit_mm
        if all(
            math.dist(centre, joint.centre) > min(clear, 0.40 * limb.unit_mm)
            for joint in limb.joints
        ):
            rings.append(ring)
    if rng.random() < 0.05:
        rings.append(
            Ring((rng.normal(0, 2), limb.unit_mm * 3.6), 34.0, rng.uniform(4, 10), 0.0, 2.0)
        )
    return tuple(rings)


def ring_attenuation(rings: tuple[Ring, ...], layout: Layout) -> Float | None:
    """Attenuation of rings on the film's grid, float32 [h, w]; None without rings."""
    if not rings:
        return None
    image = np.zeros((layout.height_px, layout.width_px), dtype=np.float32)
    for ring in rings:
        turns = np.linspace(0, 2 * math.pi, 73)
        x, y = ring.half_width_mm * np.cos(turns), ring.half_height_mm * np.sin(turns)
        c, s = math.cos(ring.angle_rad), math.sin(ring.angle_rad)
        points = [
            layout.to_film(ring.centre[0] + c * p - s * q, ring.centre[1] + s * p + c * q)
            for p, q in zip(x, y, strict=False)
        ]
        line = np.array(points, dtype=np.float32)
        width = max(1, round(ring.thick_mm / layout.mm_per_px))
        cv2.polylines(
            image, [np.round(line * 16).astype(np.int32)], True, _METAL_PER_MM * ring.thick_mm,
            width, cv2.LINE_8, 4,
        )  # fmt: skip
    return cv2.GaussianBlur(image, (0, 0), 0.8)  # type: ignore[return-value]


def add_borders(rng: np.random.Generator, grey: Float, keep: npt.NDArray[np.bool_]) -> Float:
    """Collimator shadow, unexposed strip and reader streaks at the film's edges.

    ``keep`` marks what must stay visible (joint boxes); the limb elsewhere may run under a border.
    """
    height, width = grey.shape
    rows, columns = np.nonzero(keep)
    # Room between the joints and each edge: left, top, right, bottom.
    room = (
        (columns.min(), rows.min(), width - 1 - columns.max(), height - 1 - rows.max())
        if rows.size
        else (width // 3, height // 3, width // 3, height // 3)
    )
    edges = {"left": 0, "top": 1, "right": 2, "bottom": 3}
    xs = np.arange(width, dtype=np.float32)[None, :]
    ys = np.arange(height, dtype=np.float32)[:, None]
    for edge, i in edges.items():
        if rng.random() > 0.14:
            continue
        depth = min(rng.uniform(0.01, 0.09) * max(height, width), 0.6 * room[i])
        tilt = rng.normal(0, 0.012)
        soft = max(1.0, rng.uniform(0.001, 0.006) * width)
        distance = {
            "left": xs + tilt * (ys - height / 2),
            "right": width - 1 - xs + tilt * (ys - height / 2),
            "top": ys + tilt * (xs - width / 2),
            "bottom": height - 1 - ys + tilt * (xs - width / 2),
        }[edge]
        cover = np.clip((np.float32(depth) - distance) / np.float32(soft) + 0.5, 0, 1)
        value = np.float32(rng.uniform(235, 255) if rng.random() < 0.45 else rng.uniform(0, 6))
        grey = grey * (1 - cover) + value * cover
    if rng.random() < 0.25:
        streaks = rng.normal(0, rng.uniform(0.4, 1.4), (1, width)).astype(np.float32)
        grey = grey + cv2.blur(streaks, (3, 1))
    return grey


_TAGS = {
    Limb.HAND: ("Hand", "Hand B/V", "HAND PA", "Wrist", ""),
    Limb.FOOT: ("Foot", "FOOT AP", "Foot B/V", ""),
}


def add_letters(
    rng: np.random.Generator,
    grey: Float,
    limb: Limb,
    letter: str,
    free: npt.NDArray[np.bool_],
) -> None:
    """Burn in a side letter and sometimes a tag or logo, where ``free`` has room; in place."""
    height, width = grey.shape
    size = max(8, round(max(height, width) * rng.uniform(0.018, 0.034)))
    if rng.random() < 0.85:
        spot = _find_room(rng, free, round(3.2 * size), round(2.6 * size))
        if spot is not None:
            x, y = spot
            canvas = np.zeros((round(2.6 * size), round(3.2 * size)), dtype=np.uint8)
            thick = max(1, size // 7)
            scale = size / 22
            cv2.putText(canvas, letter, (round(0.9 * size), round(1.1 * size)),
                        cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thick, cv2.LINE_AA)  # fmt: skip
            tag = str(rng.choice(_TAGS[limb]))
            if tag:
                cv2.putText(canvas, tag, (round(0.2 * size), round(2.0 * size)),
                            cv2.FONT_HERSHEY_SIMPLEX, scale * 0.42, 255,
                            max(1, thick // 2), cv2.LINE_AA)  # fmt: skip
            _paste(grey, canvas, x, y, float(rng.uniform(190, 255)))
    if rng.random() < 0.35:
        side = round(1.7 * size)
        spot = _find_room(rng, free, side, side)
        if spot is not None:
            logo = np.zeros((side, side), dtype=np.uint8)
            cv2.rectangle(logo, (1, 1), (side - 2, side - 2), 255, max(1, side // 18))
            cv2.circle(logo, (side // 2, side // 2), side // 3, 255, -1)
            cv2.rectangle(logo, (side // 3, side // 2), (side - 3, round(0.6 * side)), 0, -1)
            _paste(grey, logo, *spot, float(rng.uniform(180, 255)))


def _find_room(
    rng: np.random.Generator, free: npt.NDArray[np.bool_], width: int, height: int
) -> tuple[int, int] | None:
    rows, columns = free.shape
    if width + 4 >= columns or height + 4 >= rows:
        return None
    for _ in range(30):
        x = int(rng.integers(2, columns - width - 2))
        y = int(rng.integers(2, rows - height - 2))
        if free[y : y + height : 4, x : x + width : 4].all():
            free[y : y + height, x : x + width] = False
            return x, y
    return None


def _paste(grey: Float, stamp: npt.NDArray[np.uint8], x: int, y: int, value: float) -> None:
    height, width = stamp.shape
    cover = stamp.astype(np.float32) / 255
    region = grey[y : y + height, x : x + width]
    region *= 1 - cover
    region += cover * np.float32(value)
