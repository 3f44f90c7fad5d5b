"""Finds written text on a film: what may name a patient, and a side marker of one or two letters.

Layer: pipeline; arrays only. Letters of lead and letters that a scanner burned in are alike here:
strokes that are brighter than what lies around them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from edge.model import GreyImage

MOST_LETTERS = 2
_STROKE_SHARE = 0.018
"""Width of the widest stroke as a share of the picture's longer side."""
_CONTRAST = 38
"""Grey levels by which strokes are brighter than their ground."""
_HEIGHT_SHARES = (0.009, 0.09)
"""Least and greatest height of a marker's letter, as shares of the picture's longer side."""
_ASPECT = (0.12, 1.25)
_FILL = (0.12, 0.85)
_MOST_HOLES = 2
_BESIDE = 1.3
"""Letters of one word are no farther apart than this, in letter heights."""
_ALONE = 3.0
"""Within this many letter heights of a marker there is no other stroke."""
_FROM_EDGE = 0.3
"""A marker lies at least so many letter heights from the edge, where collimators end in stripes."""
_SPECK_SHARE = 0.3
"""A stroke lower than this share of the letter's height is a speck, not a letter."""


class Place(NamedTuple):
    """A rectangle in px."""

    left: int
    top: int
    right: int
    bottom: int

    def grown(self, by: float) -> Place:
        """Give the rectangle with a margin of ``by`` px."""
        return Place(
            int(self.left - by), int(self.top - by), int(self.right + by), int(self.bottom + by)
        )

    def meets(self, other: Place) -> bool:
        """Whether both share a pixel."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def strokes(picture: GreyImage, contrast: int = _CONTRAST) -> npt.NDArray[np.bool_]:
    """Where a picture [h, w] shows narrow bright strokes."""
    width = 2 * max(2, round(max(picture.shape) * _STROKE_SHARE / 2)) + 1
    kernel = np.ones((width, width), np.uint8)
    return np.asarray(cv2.morphologyEx(picture, cv2.MORPH_TOPHAT, kernel) > contrast)


def find_marker(picture: GreyImage, limb: npt.NDArray[np.bool_]) -> Place | None:
    """Find the one isolated group of one or two letters outside the limb.

    Parameters
    ----------
    picture : [h, w] uint8
        A film, letters bright.
    limb : [h, w] bool
        What counts as limb: a marker lies apart from it.

    Returns
    -------
    Place or None
        The marker with a margin; None where there is none, or more than one: of several groups
        each might be a letter of a name that is set widely.
    """
    ink = strokes(picture) & ~limb
    parts, letters = _parts_of(ink)
    found = [
        group
        for group in _groups(letters)
        if len(group) <= MOST_LETTERS and _stands_alone(group, parts, limb)
    ]
    if len(found) != 1:
        return None
    whole = _around(found[0])
    return whole.grown(0.3 * (whole.bottom - whole.top))


def _parts_of(ink: npt.NDArray[np.bool_]) -> tuple[list[Place], list[Place]]:
    """All connected parts of strokes, and those that have the shape of a letter."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(ink.astype(np.uint8))
    numbers: npt.NDArray[np.int32] = np.asarray(labels, np.int32)
    stats = np.asarray(stats, np.int32)
    low, high = (share * max(ink.shape) for share in _HEIGHT_SHARES)
    parts = [_place(stats[number]) for number in range(1, count)]
    letters = [
        part
        for number, part in enumerate(parts, 1)
        if low <= part.bottom - part.top <= high
        and _is_letter(numbers, int(stats[number, cv2.CC_STAT_AREA]), number, part)
    ]
    return parts, letters


def _place(stats: npt.NDArray[np.int32]) -> Place:
    left, top, width, height = (int(value) for value in stats[:4])
    return Place(left, top, left + width, top + height)


def _is_letter(labels: npt.NDArray[np.int32], area_px: int, number: int, part: Place) -> bool:
    width, height = part.right - part.left, part.bottom - part.top
    if not _ASPECT[0] <= width / height <= _ASPECT[1]:
        return False
    if not _FILL[0] <= area_px / (width * height) <= _FILL[1]:
        return False
    shape = (labels[part.top : part.bottom, part.left : part.right] == number).astype(np.uint8)
    outlines, _ = cv2.findContours(shape, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return len(outlines) - 1 <= _MOST_HOLES


def _groups(letters: list[Place]) -> list[list[Place]]:
    """Letters that lie beside each other, in any direction."""
    left = list(letters)
    groups = []
    while left:
        group = [left.pop()]
        for letter in group:
            reach = letter.grown(_BESIDE * (letter.bottom - letter.top))
            near = [other for other in left if reach.meets(other)]
            group += near
            left = [other for other in left if other not in near]
        groups.append(group)
    return groups


def _around(group: list[Place]) -> Place:
    lefts, tops, rights, bottoms = zip(*group, strict=True)
    return Place(min(lefts), min(tops), max(rights), max(bottoms))


def _stands_alone(group: list[Place], parts: list[Place], limb: npt.NDArray[np.bool_]) -> bool:
    """Whether neither limb, nor any other stroke, nor the picture's edge is near."""
    whole = _around(group)
    height = max(part.bottom - part.top for part in group)
    free = whole.grown(_FROM_EDGE * height)
    if min(free.left, free.top) < 0 or free.bottom > limb.shape[0] or free.right > limb.shape[1]:
        return False
    reach = whole.grown(_ALONE * height)
    if any(
        reach.meets(part)
        for part in parts
        if part not in group and _longer_side(part) > _SPECK_SHARE * height
    ):
        return False
    near = whole.grown(height)
    return not limb[max(0, near.top) : near.bottom, max(0, near.left) : near.right].any()


def _longer_side(part: Place) -> int:
    return max(part.right - part.left, part.bottom - part.top)
