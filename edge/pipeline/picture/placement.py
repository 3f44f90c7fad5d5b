"""Places labels beside their joints: never on each other, on a joint's centre or over the edge.

Layer: pipeline; arithmetic on rectangles.

Each label has candidate places around its joint's box, near ones first. Labels take the cheapest
place that is free, those with the least choice first, and then move as long as that makes the whole
cheaper (coordinate descent over a finite set, so that it ends). A label without a free candidate
takes the nearest free place of a grid over the whole picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

Rectangles = npt.NDArray[np.float64]
"""[n, 4] float64: left, top, right, bottom, in px."""

BETWEEN_PX = 3.0
"""Least distance of two labels."""
FROM_CENTRE_PX = 5.0
"""Least distance of a label from any joint's centre."""
_GAPS = (0.06, 0.35, 0.8, 1.5, 2.5)
"""Distances of candidates from the box, as shares of the label's height."""
_ROUNDS = 6
_OVER_BOX = 8.0
"""Cost of a label that covers another joint's box wholly, in label heights of distance."""
_OVER_WHITE = 3.0
"""Cost of a label that covers nothing but white: labels prefer ground to skin, and skin to bone."""
_BESIDE_OTHER = 0.5
"""Cost of a label that lies as close to another joint's box as if it were that joint's."""
_MISLEADING = 6.0
"""Cost of a label whose middle lies nearer to another joint's centre than to its own."""
_NEAR = 0.3
"""So close, in label heights."""
_CROSSING = 3.0
"""Cost of a leader line that meets another label or box."""
_SHORT_PX = 8.0
"""A shorter leader is in no label's way."""
_ON_LINE = np.linspace(0.0, 1.0, 6)


@dataclass(frozen=True)
class Subject:
    """What a label is for: a box, its centre, and the label's size, in px of the picture.

    ``box`` is (left, top, right, bottom), ``centre`` (x, y), ``size`` (width, height).
    """

    box: tuple[float, float, float, float]
    centre: tuple[float, float]
    size: tuple[float, float]


def place_labels(
    subjects: Sequence[Subject],
    area: tuple[float, float],
    grey: npt.NDArray[np.uint8] | None = None,
    taken: Sequence[tuple[float, float, float, float]] = (),
) -> list[tuple[float, float] | None]:
    """Place a label for each subject.

    Parameters
    ----------
    subjects
        Labels in any order.
    area
        Width and height of the picture in px.
    grey : [h, w] uint8, optional
        The picture at any scale: labels prefer to lie where it is dark.
    taken
        Rectangles that labels must keep off as off each other.

    Returns
    -------
    list of (left, top) or None
        The label's corner in px; None where the picture has no room left for it.
    """
    if not subjects:
        return []
    placing = _Placing(subjects, area, grey, taken)
    order = sorted(range(len(subjects)), key=placing.choice_of)
    for index in order:
        placing.settle(index)
    for _ in range(_ROUNDS):
        if sum(placing.improve(index) for index in order) == 0:
            break
    return placing.corners()


def leader(
    label: tuple[float, float, float, float], box: tuple[float, float, float, float]
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Line (from label to box) between the points that are nearest; None where the two touch."""
    ends = _nearest(np.array([label], dtype=float), np.array(box, dtype=float))[0]
    (x0, y0), (x1, y1) = ends.tolist()
    if abs(x1 - x0) + abs(y1 - y0) < 1.0:
        return None
    return (x0, y0), (x1, y1)


class _Placing:
    """Candidates of all labels, and where each label lies so far."""

    def __init__(
        self,
        subjects: Sequence[Subject],
        area: tuple[float, float],
        grey: npt.NDArray[np.uint8] | None,
        taken: Sequence[tuple[float, float, float, float]],
    ) -> None:
        self._subjects, self._area = subjects, area
        self._boxes = np.array([it.box for it in subjects], dtype=float).reshape(-1, 4)
        self._centres = np.array([it.centre for it in subjects], dtype=float).reshape(-1, 2)
        self._taken = np.array(taken, dtype=float).reshape(-1, 4)
        self._shade = None if grey is None else _Shade(grey, area)
        self._places: Rectangles = np.full((len(subjects), 4), np.nan)
        self._leaders = np.full((len(subjects), len(_ON_LINE), 2), np.nan)
        self._reaching = np.zeros(len(subjects), np.bool_)
        """Which labels have a leader that is long enough for others to be in its way."""
        self._chosen: list[int | None] = [None] * len(subjects)
        """Candidate of each label; None while it has none, and where it lies on the grid."""
        self._candidates: list[Rectangles] = []
        self._costs: list[npt.NDArray[np.float64]] = []
        self._lines: list[npt.NDArray[np.float64]] = []
        for index in range(len(subjects)):
            rectangles = self._free_of_centres(_around(subjects[index]))
            lines = _lines(rectangles, self._boxes[index])
            self._candidates.append(rectangles)
            self._lines.append(lines)
            self._costs.append(self._cost(index, rectangles, lines))

    def choice_of(self, index: int) -> tuple[int, int]:
        """Sorting key: labels with few candidates come first."""
        return len(self._candidates[index]), index

    def corners(self) -> list[tuple[float, float] | None]:
        """Upper left corners; None for labels that have no place."""
        return [
            None if np.isnan(place[0]) else (float(place[0]), float(place[1]))
            for place in self._places
        ]

    def settle(self, index: int) -> None:
        """Give a label its cheapest free place, or the nearest free one of the whole picture."""
        if not self._take_best(index):
            self._take_anywhere(index)

    def improve(self, index: int) -> bool:
        """Move a label where that makes it cheaper; whether it moved."""
        before = self._chosen[index]
        if before is None:
            return False
        own = self._costs[index]
        now = self._pair_cost(
            index, self._candidates[index][before][None], self._lines[index][before][None]
        )
        if now[0] == 0 and own[before] <= own.min():
            return False
        return self._take_best(index) and self._chosen[index] != before

    def _take_best(self, index: int) -> bool:
        rectangles = self._candidates[index]
        if not len(rectangles):
            return False
        cost = self._costs[index] + self._pair_cost(index, rectangles, self._lines[index])
        best, before = int(cost.argmin()), self._chosen[index]
        if not np.isfinite(cost[best]):
            return False
        if before is None or cost[best] < cost[before] - 1e-9:
            self._chosen[index] = best
            self._put(index, rectangles[best])
        return True

    def _take_anywhere(self, index: int) -> None:
        subject = self._subjects[index]
        width, height = subject.size
        xs = np.arange(0.0, max(self._area[0] - width, 0) + 1, max(height / 2, 4.0))
        ys = np.arange(0.0, max(self._area[1] - height, 0) + 1, max(height / 2, 4.0))
        corner = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
        rectangles = self._free_of_centres(np.hstack([corner, corner + np.array(subject.size)]))
        free = rectangles[np.isfinite(self._hindered(index, rectangles))]
        if not len(free):
            return
        middle = (free[:, :2] + free[:, 2:]) / 2
        nearest = int(np.abs(middle - self._centres[index]).sum(axis=1).argmin())
        self._put(index, free[nearest])

    def _put(self, index: int, place: Rectangles) -> None:
        self._places[index] = place
        line = _lines(place[None], self._boxes[index])[0]
        self._leaders[index] = line
        self._reaching[index] = np.hypot(*(line[-1] - line[0])) > _SHORT_PX

    def _free_of_centres(self, rectangles: Rectangles) -> Rectangles:
        """Rectangles inside the picture that hold no joint's centre and nothing that is taken."""
        inside = (rectangles[:, :2] >= 0).all(axis=1)
        inside &= (rectangles[:, 2:] <= self._area).all(axis=1)
        spot = np.hstack([self._centres - FROM_CENTRE_PX, self._centres + FROM_CENTRE_PX])
        for other in (spot, self._taken):
            inside &= ~_overlaps(rectangles, other).any(axis=1)
        return rectangles[inside]

    def _cost(
        self, index: int, rectangles: Rectangles, lines: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Costs that do not depend on other labels, in label heights."""
        height = self._subjects[index].size[1]
        cost = np.hypot(*(lines[:, -1] - lines[:, 0]).T) / height
        others = self._boxes[np.arange(len(self._boxes)) != index]
        areas = np.prod(rectangles[:, 2:] - rectangles[:, :2], axis=1)
        cost += _OVER_BOX * _shared(rectangles, self._boxes).sum(axis=1) / areas
        cost += _CROSSING * _meets(lines, others)
        cost += _BESIDE_OTHER * (_apart(rectangles, others) < _NEAR * height).sum(axis=1)
        cost += _MISLEADING * self._nearer_to_another(index, rectangles)
        if self._shade is not None:
            cost += _OVER_WHITE * self._shade.mean(rectangles)
        return np.asarray(cost, dtype=np.float64)

    def _nearer_to_another(self, index: int, rectangles: Rectangles) -> npt.NDArray[np.float64]:
        """By how much another joint's centre is nearer than the label's own: 0 where none, to 1."""
        middle = (rectangles[:, :2] + rectangles[:, 2:]) / 2
        apart = np.hypot(*(middle[:, None] - self._centres[None]).transpose(2, 0, 1))
        own = apart[:, index]
        others = np.delete(apart, index, axis=1)
        if not others.shape[1]:
            return np.zeros(len(rectangles))
        return np.asarray(
            np.clip(1.5 - others.min(axis=1) / np.maximum(own, 1.0), 0.0, 1.0), np.float64
        )

    def _hindered(self, index: int, rectangles: Rectangles) -> npt.NDArray[np.float64]:
        """Infinite where a rectangle would lie on another label, else 0."""
        placed = ~np.isnan(self._places[:, 0])
        placed[index] = False
        grown = self._places[placed] + np.array([-1.0, -1.0, 1.0, 1.0]) * BETWEEN_PX
        return np.where(_overlaps(rectangles, grown).any(axis=1), np.inf, 0.0)

    def _pair_cost(
        self, index: int, rectangles: Rectangles, lines: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Costs that depend on the labels that have a place; infinite on one of them."""
        placed = ~np.isnan(self._places[:, 0])
        placed[index] = False
        cost = self._hindered(index, rectangles) + _CROSSING * _meets(lines, self._places[placed])
        for theirs in self._leaders[placed & self._reaching]:
            cost += _CROSSING * _holds(rectangles, theirs)
            cost += _CROSSING * _cross(lines[:, 0], lines[:, -1], theirs[0], theirs[-1])
        return np.asarray(cost, dtype=np.float64)


class _Shade:
    """How bright the picture is below a rectangle, from sums over a small copy."""

    def __init__(self, grey: npt.NDArray[np.uint8], area: tuple[float, float]) -> None:
        height, width = grey.shape
        self._scale = np.array([width / area[0], height / area[1]])
        self._top = np.array([width, height])
        self._sums = np.zeros((height + 1, width + 1))
        self._sums[1:, 1:] = grey.cumsum(axis=0, dtype=np.float64).cumsum(axis=1) / 255

    def mean(self, rectangles: Rectangles) -> npt.NDArray[np.float64]:
        """Mean grey of each rectangle, 0 to 1."""
        low = np.clip(np.floor(rectangles[:, :2] * self._scale), 0, self._top).astype(int)
        high = np.clip(np.ceil(rectangles[:, 2:] * self._scale), 0, self._top).astype(int)
        (x0, y0), (x1, y1) = low.T, high.T
        sums = self._sums
        inside = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
        return np.asarray(inside / np.maximum((x1 - x0) * (y1 - y0), 1), dtype=np.float64)


def _around(subject: Subject) -> Rectangles:
    """Candidates: sixteen places round the box at each distance."""
    left, top, right, bottom = subject.box
    width, height = subject.size
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    corners = []
    for share in _GAPS:
        gap = share * height
        above, below = top - gap - height, bottom + gap
        before, after = left - gap - width, right + gap
        for x in (middle_x - width / 2, left, right - width):
            corners += [(x, above), (x, below)]
        for y in (middle_y - height / 2, top, bottom - height):
            corners += [(before, y), (after, y)]
        corners += [(before, above), (after, above), (before, below), (after, below)]
    corner = np.array(corners, dtype=float)
    return np.hstack([corner, corner + np.array(subject.size)])


def _nearest(rectangles: Rectangles, box: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Points [n, 2, 2] of each rectangle and of the box that are nearest to each other."""
    low = np.maximum(rectangles[:, :2], box[:2])
    high = np.minimum(rectangles[:, 2:], box[2:])
    middle = (low + high) / 2
    ours = np.where(low <= high, middle, np.where(rectangles[:, :2] > box[2:], low, high))
    theirs = np.where(low <= high, middle, np.where(rectangles[:, :2] > box[2:], high, low))
    return np.stack([ours, theirs], axis=1)


def _lines(rectangles: Rectangles, box: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Points [n, k, 2] along the leader of each rectangle."""
    ends = _nearest(rectangles, box)
    return ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * _ON_LINE[None, :, None]


def _overlaps(first: Rectangles, second: Rectangles) -> npt.NDArray[np.bool_]:
    """Whether each of the first [n] overlaps each of the second [m]."""
    left, top, right, bottom = first.T[:, :, None]
    x0, y0, x1, y1 = second.T[:, None, :]
    return np.asarray((left < x1) & (x0 < right) & (top < y1) & (y0 < bottom))


def _shared(first: Rectangles, second: Rectangles) -> npt.NDArray[np.float64]:
    """Areas [n, m] that each of the first shares with each of the second."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    return np.asarray(np.clip(high - low, 0, None).prod(axis=2))


def _apart(first: Rectangles, second: Rectangles) -> npt.NDArray[np.float64]:
    """Distance [n, m] of each of the first from each of the second; 0 where they overlap."""
    left, top, right, bottom = first.T[:, :, None]
    x0, y0, x1, y1 = second.T[:, None, :]
    across = np.maximum(np.maximum(x0 - right, left - x1), 0)
    down = np.maximum(np.maximum(y0 - bottom, top - y1), 0)
    return np.asarray(np.hypot(across, down))


def _meets(lines: npt.NDArray[np.float64], rectangles: Rectangles) -> npt.NDArray[np.float64]:
    """How many of the rectangles each line [n, k, 2] meets."""
    x0, y0, x1, y1 = rectangles.T
    x, y = lines[..., 0, None], lines[..., 1, None]
    inside = (x > x0) & (x < x1) & (y > y0) & (y < y1)
    return np.asarray(np.any(inside, axis=1).sum(axis=1), dtype=np.float64)


def _holds(rectangles: Rectangles, line: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Whether each rectangle holds a point of a line [k, 2]."""
    left, top, right, bottom = rectangles.T[:, :, None]
    x, y = line.T
    inside = (x > left) & (x < right) & (y > top) & (y < bottom)
    return np.asarray(np.any(inside, axis=1), dtype=np.float64)


def _cross(
    a: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    c: npt.NDArray[np.float64],
    d: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Whether each line from ``a`` to ``b`` [n, 2] crosses the line from ``c`` to ``d`` [2]."""

    def turn(
        p: npt.NDArray[np.float64], q: npt.NDArray[np.float64], r: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        one, two = q - p, r - p
        return np.asarray(one[..., 0] * two[..., 1] - one[..., 1] * two[..., 0])

    crossed = (turn(a, b, c) * turn(a, b, d) < 0) & (turn(c, d, a) * turn(c, d, b) < 0)
    return np.asarray(crossed, dtype=np.float64)
