"""Stages 8 and 9: assigns each detection to a finger or toe.

Layer: pipeline; pure functions over points. Candidates come from similarity hypotheses (pairs of
detections laid on pairs of template joints), each completed by optimal assignment, refined under
the template's full covariance, and compared by likelihood. A name is certain only when the best
assignment beats every different one by a margin and lies close enough to the template.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from edge.anatomy import JointClass, Limb, joint_box_side_px, joint_class, shape_template
from edge.pipeline.template import ShapeFit, apply, fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.model import Points

CLASS_ERROR_COST = 3.0
"""Cost of naming a detection against the class that the detector gave it (about 1 in 20 errors)."""
MISSING_COST = 9.0
"""Cost of leaving a template joint or a detection without partner."""
SIZE_SPREAD = 0.18
"""Standard deviation of the logarithm of a box's side about that of its joint: a foot without its
great toe's tip is its own mirror image in all but the size of the first joint."""
LEAST_JOINTS = {Limb.HAND: 7, Limb.FOOT: 5}
MARGIN = {Limb.HAND: 4.0, Limb.FOOT: 4.5}
RESIDUAL_LIMIT = {Limb.HAND: 9.0, Limb.FOOT: 9.0}
"""Largest mean squared Mahalanobis distance of a named limb (95 % of real films: 5.3 and 5.0)."""
TENSION_LIMIT = 2.5
"""Largest full-covariance distance by degree of freedom of a certain naming (labelled real films:
99 % under 2.5 and 2.0; ten points at random, named as well as they can be, 98 % above)."""
WHOLE_TENSION_LIMIT = 5.0
"""The same when every joint was found and nothing else: damage displaces joints, chance hardly
ever fills a whole template."""
SAME_PLACE = 1e-6
"""Detections nearer than this share of the largest distance lie in one place."""
STRANGERS = 2
"""More detections without a joint than this, and the naming is not certain."""


@dataclass(frozen=True)
class Prior:
    """What is known of the pose before the joints are named; ``None`` means nothing is."""

    rotation_deg: float | None = None
    rotation_sd_deg: float = 10.0
    mirrored: bool | None = None


@dataclass(frozen=True)
class Identity:
    """The best naming of some detections.

    ``rows[i]`` is the template joint of detection i, or -1. ``margin`` is the cost of the best
    different naming minus this one's; ``certain`` says that names may be printed.
    """

    limb: Limb
    rows: tuple[int, ...]
    shape: ShapeFit
    cost: float
    margin: float
    certain: bool

    @property
    def names(self) -> tuple[str | None, ...]:
        """Joint name of each detection, ``None`` where it fits no joint."""
        joints = shape_template(self.limb).joints
        return tuple(joints[row] if row >= 0 else None for row in self.rows)

    @property
    def n_named(self) -> int:
        """How many detections have a joint."""
        return sum(row >= 0 for row in self.rows)


@dataclass(frozen=True)
class _Candidate:
    rows: tuple[int, ...]
    shape: ShapeFit
    cost: float


def _hypotheses(
    limb: Limb, points: Points, mirrors: Sequence[bool]
) -> list[tuple[float, bool, np.ndarray]]:
    """Rough fits, best first: cost, mirrored, [n_detections, n_joints] squared distances."""
    shape = shape_template(limb)
    spans = {
        (i, j): math.dist(points[i], points[j]) for i, j in combinations(range(len(points)), 2)
    }
    # Two detections of one place give no direction.
    apart = [pair for pair, span in spans.items() if span > SAME_PLACE * max(spans.values())]
    pairs = sorted(apart, key=lambda pair: -spans[pair])[:12]
    ordered = np.array(list(permutations(range(len(shape.joints)), 2)))
    found = []
    for mirrored in mirrors:
        mean = shape.mean * ((-1.0 if mirrored else 1.0), 1.0)
        z = mean[:, 0] + 1j * mean[:, 1]
        w = points[:, 0] + 1j * points[:, 1]
        for i, j in pairs:
            span = z[ordered[:, 1]] - z[ordered[:, 0]]
            factor = span / (w[j] - w[i])
            placed = (w[None, :] - w[i]) * factor[:, None] + z[ordered[:, 0]][:, None]
            distance = np.abs(placed[:, :, None] - z[None, None, :]) ** 2
            rough = np.minimum(distance.min(axis=2), 0.3).sum(axis=1)
            rough += np.minimum(distance.min(axis=1), 0.3).sum(axis=1)
            found += [(float(rough[k]), mirrored, distance[k]) for k in np.argsort(rough)[:6]]
    found.sort(key=lambda item: item[0])
    return found[:40]


@dataclass(frozen=True)
class _Seen:
    """Detections to name: centres [n, 2], classes, and sides of the boxes where they are known."""

    points: Points
    classes: Sequence[JointClass]
    sides: npt.NDArray[np.float64] | None


def _size_cost(limb: Limb, names: Sequence[str], sides: npt.NDArray[np.float64]) -> float:
    """How badly the boxes' sides, relative to one another, suit the names."""
    known = np.isfinite(sides) & (sides > 0)
    if not known.any():
        return 0.0
    expected = np.array([joint_box_side_px(limb, name, 1.0) for name in names])
    odd = np.log(sides[known] / expected[known])
    odd = (odd - np.median(odd)) / SIZE_SPREAD
    return 0.5 * float(np.minimum(odd**2, 9.0).sum())


def _cost(
    limb: Limb, rows: tuple[int, ...], seen: _Seen, prior: Prior, *, mirrored: bool
) -> _Candidate | None:
    """Full cost of one naming; ``None`` when too few detections are named or nothing fits them."""
    used = [i for i, row in enumerate(rows) if row >= 0]
    if len(used) < 4:
        return None
    try:
        shape = fit(limb, tuple(rows[i] for i in used), seen.points[used], mirrored=mirrored)
    except np.linalg.LinAlgError:
        # All in one place: no similarity leads there and back.
        return None
    if not (math.isfinite(shape.cost) and shape.scale > 0):
        return None
    joints = shape_template(limb).joints
    wrong = sum(joint_class(joints[rows[i]]) is not seen.classes[i] for i in used)
    lost = len(rows) - len(used) + len(joints) - len(used)
    cost = shape.cost + CLASS_ERROR_COST * wrong + MISSING_COST * lost
    # A restricted likelihood of fewer points has fewer terms; the reference density of a joint
    # anywhere in the limb's own extent makes namings of different length comparable.
    cost += (len(rows) - len(used)) * 2 * math.log(shape.scale)
    if seen.sides is not None:
        cost += _size_cost(limb, [joints[rows[i]] for i in used], seen.sides[used])
    if prior.rotation_deg is not None:
        turn = shape.rotation_deg * (-1 if mirrored else 1) - prior.rotation_deg
        turn = (turn + 180) % 360 - 180
        cost += 0.5 * min(turn / prior.rotation_sd_deg, 6.0) ** 2
    return _Candidate(rows, shape, cost)


def _complete(
    limb: Limb, shape: ShapeFit, points: Points, classes: Sequence[JointClass]
) -> tuple[int, ...]:
    """Optimal assignment of detections to the template placed by a fit."""
    joints = shape_template(limb).joints
    placed = apply(shape.to_image, shape_template(limb).mean)
    distance = np.square((points[:, None] - placed[None]) / shape.scale).sum(axis=2) / 0.012
    wrong = np.array([[joint_class(name) is not kind for name in joints] for kind in classes])
    table = np.minimum(distance + 2 * CLASS_ERROR_COST * wrong, 60.0)
    return _assign(table, 59.0)


def _assign(table: np.ndarray, limit: float) -> tuple[int, ...]:
    rows = [-1] * len(table)
    for i, j in zip(*linear_sum_assignment(table), strict=True):
        if table[i, j] < limit:
            rows[int(i)] = int(j)
    return tuple(rows)


def _neighbours(rows: tuple[int, ...], n_joints: int) -> set[tuple[int, ...]]:
    """Namings one step away: two swapped, one moved to a free joint, or a row shifted."""
    free = [j for j in range(n_joints) if j not in rows]
    near = set()
    for i, j in combinations(range(len(rows)), 2):
        swapped = list(rows)
        swapped[i], swapped[j] = swapped[j], swapped[i]
        near.add(tuple(swapped))
    for i in range(len(rows)):
        for joint in free:
            moved = list(rows)
            moved[i] = joint
            near.add(tuple(moved))
    # A joint lost inside a row of fingers pulls all after it one place along: try each run.
    for hole in free:
        for step in (1, -1):
            shifted, at = list(rows), hole
            while at + step in shifted and 0 <= at + step < n_joints:
                shifted[shifted.index(at + step)] = at
                at += step
                near.add(tuple(shifted))
    near.discard(rows)
    return near


def identify(
    limb: Limb,
    points: Points,
    classes: Sequence[JointClass],
    prior: Prior | None = None,
    sides: npt.NDArray[np.float64] | None = None,
) -> Identity | None:
    """Name detections.

    Parameters
    ----------
    limb : Limb
        Whose template to use.
    points : [n, 2] float64
        Centres of the detections in pixels.
    classes : sequence of n JointClass
        Class that the detector gave each one.
    prior : Prior, optional
        Known turn and side.
    sides : [n] float64, optional
        Sides of the detections' boxes in pixels.

    Returns
    -------
    Identity or None
        ``None`` where no naming can fit: fewer than four detections with finite centres, or all
        of them in one place. Detections without a finite centre get no joint.
    """
    finite = np.isfinite(points).all(axis=1)
    used = np.flatnonzero(finite).tolist()
    if len(used) < 4:
        return None
    with np.errstate(all="ignore"):  # what overflows is not finite, and drops out by that
        found = _identify(
            limb,
            _Seen(points[used], [classes[i] for i in used], None if sides is None else sides[used]),
            prior or Prior(),
        )
    if found is None or finite.all():
        return found
    rows = [-1] * len(points)
    for i, row in zip(used, found.rows, strict=True):
        rows[i] = row
    return replace(found, rows=tuple(rows), certain=False)


def _identify(limb: Limb, seen: _Seen, prior: Prior) -> Identity | None:
    """Name detections whose centres are finite, four at least."""
    points, classes = seen.points, seen.classes
    n_joints = len(shape_template(limb).joints)
    mirrors = (False, True) if prior.mirrored is None else (prior.mirrored,)
    found: dict[tuple[tuple[int, ...], bool], _Candidate] = {}

    def consider(rows: tuple[int, ...], mirrored: bool) -> _Candidate | None:
        key = (rows, mirrored)
        if key not in found:
            candidate = _cost(limb, rows, seen, prior, mirrored=mirrored)
            if candidate is None:
                return None
            found[key] = candidate
        return found[key]

    for _, mirrored, distance in _hypotheses(limb, points, mirrors):
        candidate = consider(_assign(np.minimum(distance / 0.03, 30.0), 29.0), mirrored)
        for _ in range(2):
            if candidate is None:
                break
            candidate = consider(_complete(limb, candidate.shape, points, classes), mirrored)
    if not found:
        return None
    for _ in range(6):
        best = min(found.values(), key=lambda c: c.cost)
        for rows in _neighbours(best.rows, n_joints):
            consider(rows, best.shape.mirrored)
        if min(found.values(), key=lambda c: c.cost) is best:
            break
    best = min(found.values(), key=lambda c: c.cost)
    others = [c.cost for c in found.values() if _differs(c.rows, best.rows)]
    margin = min(others) - best.cost if others else math.inf
    named = sum(row >= 0 for row in best.rows)
    whole = named == n_joints == len(best.rows)
    certain = (
        named >= LEAST_JOINTS[limb]
        and margin >= MARGIN[limb]
        and len(best.rows) - named <= STRANGERS
        and best.shape.mean_square <= RESIDUAL_LIMIT[limb]
        and best.shape.tension <= (WHOLE_TENSION_LIMIT if whole else TENSION_LIMIT)
    )
    return Identity(limb, best.rows, best.shape, best.cost, margin, certain)


def _differs(rows: tuple[int, ...], best: tuple[int, ...]) -> bool:
    """Whether a naming gives some detection another name (not merely leaves it without one)."""
    return any(a != b and a >= 0 and b >= 0 for a, b in zip(rows, best, strict=True))
