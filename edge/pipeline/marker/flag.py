"""The flag of a result that says which marker was read, and where on the film it lies.

Layer: pipeline; pure functions. A result has no field for it: keys of the contract are fixed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edge.pipeline.template import apply, inverse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.model import Radiograph
    from edge.pipeline.marker.read import Marker

_FLAG = re.compile(r"marker ([LR](?: mirrored)?) at (-?\d+) (-?\d+) (\d+) (\d+)")


class ShownMarker(NamedTuple):
    """A marker as a flag states it: ``R`` or ``R mirrored``, and its box on the film as stored.

    ``box`` is left, top, right, bottom in pixels.
    """

    words: str
    box: tuple[int, int, int, int]


def marker_flag(marker: Marker, film: Radiograph) -> str:
    """``marker R at 1087 814 47 65``: x, y, width, height in pixels of the film as stored."""
    x, y, width, height = marker.box
    corners = np.array([(x, y), (x + width, y + height)])
    placed = apply(inverse(film.stored_to_upright), corners)
    left, top = np.rint(placed.min(axis=0)).astype(int).tolist()
    right, bottom = np.rint(placed.max(axis=0)).astype(int).tolist()
    return f"marker {marker.words} at {left} {top} {right - left} {bottom - top}"


def shown_markers(flags: Iterable[str]) -> list[ShownMarker]:
    """The markers that flags of a result state."""
    found = []
    for match in filter(None, map(_FLAG.fullmatch, flags)):
        left, top, width, height = map(int, match.groups()[1:])
        found.append(ShownMarker(match[1], (left, top, left + width, top + height)))
    return found
