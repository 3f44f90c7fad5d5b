"""What hides a joint in some films: a ring over it, a prosthesis or a screw in it.

Layer: phantom; numpy and OpenCV only. Such a joint keeps its place in the truth and has no grade,
with the reason that the pipeline must give.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.anatomy import Limb
from edge.errors import NullReason
from phantom.geometry import across_of

if TYPE_CHECKING:
    from phantom.geometry import Float, LimbModel, Vector
    from phantom.scene import Layout

_RING_SHARE, _IMPLANT_SHARE = 0.010, 0.008
_METAL = 3.0
"""Attenuation of a few millimetres of metal: nothing but scatter comes through."""


@dataclass(frozen=True)
class Metal:
    """A bar of metal at a joint, from end to end in limb millimetres."""

    joint: str
    why: NullReason
    start: Vector
    end: Vector
    thick_mm: float


def draw_metal(rng: np.random.Generator, limb: LimbModel) -> tuple[Metal, ...]:
    """At most one joint of a limb: a ring across a finger's joint, or metal along a bone's axis."""
    chance = rng.random()
    if limb.limb is Limb.HAND and chance < _RING_SHARE:
        name = f"PIP{rng.choice([3, 4, 5])}"
        return (bar(limb, name, NullReason.OCCLUDED, 10.0, float(rng.uniform(2.2, 3.4))),)
    if chance > 1 - _IMPLANT_SHARE:
        names = ("MCP2", "MCP3", "PIP3") if limb.limb is Limb.HAND else ("MTP1", "IP1", "MTP2")
        name = str(rng.choice(names))
        half = limb.joint(name).half_width_mm
        return (bar(limb, name, NullReason.IMPLANT, 0.9 * half, 0.8 * half),)
    return ()


def bar(limb: LimbModel, name: str, why: NullReason, reach_mm: float, thick_mm: float) -> Metal:
    """Metal across a joint (``occluded``) or along its axis (``implant``)."""
    joint = limb.joint(name)
    way = across_of(joint.axis) if why is NullReason.OCCLUDED else joint.axis
    x, y = joint.centre
    return Metal(
        joint=name,
        why=why,
        start=(x - way[0] * reach_mm, y - way[1] * reach_mm),
        end=(x + way[0] * reach_mm, y + way[1] * reach_mm),
        thick_mm=thick_mm,
    )


def metal_attenuation(metal: tuple[Metal, ...], layout: Layout) -> Float | None:
    """Attenuation of metal on the film's grid, float32 [h, w]; None without any."""
    if not metal:
        return None
    image = np.zeros((layout.height_px, layout.width_px), dtype=np.float32)
    for bar in metal:
        ends = np.array([layout.to_film(*bar.start), layout.to_film(*bar.end)])
        (x0, y0), (x1, y1) = np.round(ends * 16).astype(int).tolist()
        width = max(2, round(bar.thick_mm / layout.mm_per_px))
        cv2.line(image, (x0, y0), (x1, y1), _METAL, width, cv2.LINE_8, 4)
    return cv2.GaussianBlur(image, (0, 0), 0.8)  # type: ignore[return-value]


def add_dirt(rng: np.random.Generator, grey: Float) -> Float:
    """Dust and hairs of a digitised film, and a dead line of the reader, each now and then."""
    height, width = grey.shape
    if rng.random() < 0.12:
        cover = np.zeros_like(grey)
        for _ in range(int(rng.integers(4, 40))):
            x, y = int(rng.integers(width)), int(rng.integers(height))
            if rng.random() < 0.8:
                cv2.circle(cover, (x, y), int(rng.integers(1, 3)), float(rng.uniform(0.3, 1)), -1)
            else:
                turns = np.linspace(0, rng.uniform(0.5, 2.5), 12) + rng.uniform(0, 2 * math.pi)
                radius = rng.uniform(0.005, 0.02) * height
                hair = np.column_stack([x + radius * np.cos(turns), y + radius * np.sin(turns)])
                cv2.polylines(
                    cover, [np.round(hair * 16).astype(np.int32)], False,
                    float(rng.uniform(0.2, 0.6)), 1, cv2.LINE_AA, 4,
                )  # fmt: skip
        cover = np.asarray(cv2.GaussianBlur(cover, (0, 0), 0.7), np.float32)
        grey = grey * (1 - cover) + np.float32(rng.uniform(215, 250)) * cover
    if rng.random() < 0.04:
        column = int(rng.integers(width))
        grey = grey.copy()
        grey[:, column] = np.float32(rng.uniform(0, 40))
    return grey
