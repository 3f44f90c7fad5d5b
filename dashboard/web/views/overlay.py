"""Where joints lie in a labelled picture, for boxes that are drawn over it.

Layer: dashboard; pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dashboard.scores import name_of, step_of

if TYPE_CHECKING:
    from edge.contract.vocabulary import LimbResult

_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3})
_LARGEST_PX = 20_000


@dataclass(frozen=True)
class Box:
    """A joint's box in the picture, in pixels, with the step of its grades."""

    name: str
    x: float
    y: float
    side: float
    step: int | None


@dataclass(frozen=True)
class Overlay:
    """Size of a picture in pixels, and the boxes over it; none where the place is not known."""

    width: int
    height: int
    boxes: tuple[Box, ...]


def overlay_of(jpeg: bytes, placed: str | None, result: LimbResult) -> Overlay:
    """Place the boxes of a result over its picture.

    Parameters
    ----------
    jpeg
        The picture.
    placed
        Six numbers of its comment: the film's (x, y) is at (a x + b y + c, d x + e y + f).
    result
        What the picture shows.
    """
    width, height = size_of(jpeg)
    numbers = _numbers(placed)
    if numbers is None or result.limb is None:
        return Overlay(width, height, ())
    a, b, c, d, e, f = numbers
    zoom = math.sqrt(abs(a * e - b * d))
    boxes = []
    for joint in result.joints:
        if joint.box is None or joint.centre is None:
            continue
        x, y = joint.centre
        side = joint.box[2] * zoom
        left, top = a * x + b * y + c - side / 2, d * x + e * y + f - side / 2
        step = step_of(result.limb, joint.erosion, joint.narrowing)
        if 0 < side < _LARGEST_PX and abs(left) < _LARGEST_PX and abs(top) < _LARGEST_PX:
            boxes.append(Box(name_of(joint), round(left, 1), round(top, 1), round(side, 1), step))
    return Overlay(width, height, tuple(boxes))


def size_of(jpeg: bytes) -> tuple[int, int]:
    """Width and height of a JPEG in pixels, by its header; (0, 0) where it has none."""
    at = 2
    while at + 9 < len(jpeg) and jpeg[at] == 0xFF:
        if jpeg[at + 1] in _FRAMES:
            height = int.from_bytes(jpeg[at + 5 : at + 7], "big")
            return int.from_bytes(jpeg[at + 7 : at + 9], "big"), height
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return 0, 0


def _numbers(placed: str | None) -> list[float] | None:
    try:
        numbers = [float(it) for it in (placed or "").split()]
    except ValueError:
        return None
    return numbers if len(numbers) == 6 and all(map(math.isfinite, numbers)) else None
