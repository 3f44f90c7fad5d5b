"""Stages 8 and 9: proposes namings of detections and rates them, many at once.

Layer: pipeline; pure functions over points. A naming gives each detection a template joint or none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, permutations
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from edge.anatomy import joint_box_side_px, joint_class
from edge.pipeline.template import Complex, Floats, complex_mean, fit_each

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.anatomy import JointClass, Limb
    from edge.model import Points
    from edge.pipeline.template import ShapeFit, ShapeFits

CLASS_ERROR_COST = 3.0
"""Cost of naming a detection against the class that the detector gave it (about 1 in 20 errors)."""
MISSING_COST = 9.0
"""Cost of leaving a template joint or a detection without partner."""
SIZE_SPREAD = 0.18
"""Standard deviation of the logarithm of a box's side about that of its joint: a foot without its
great toe's tip is its own mirror image in all but the size of the first joint."""
SAME_PLACE = 1e-6
"""Detections nearer than this share of the largest distance lie in one place."""
PAIRS = 12
"""How many pairs of detections, the farthest apart, are laid on every pair of joints."""
BEST_OF_PAIR, BEST_OF_ALL = 6, 40
"""How many of these rough fits go on, of each pair and of all."""

Naming = tuple[int, ...]
"""Template joint of each detection, or -1."""
Key = tuple[Naming, bool]
"""A naming, and whether the limb is mirrored."""


@dataclass(frozen=True)
class Prior:
    """What is known of the pose before the joints are named; ``None`` means nothing is."""

    rotation_deg: float | None = None
    rotation_sd_deg: float = 10.0
    mirrored: bool | None = None


@dataclass(frozen=True)
class Seen:
    """Detections to name: centres x + iy [n], and what each costs under each joint's name.

    ``wrong`` [n, joints] says where the name goes against the detector's class; ``odd``
    [n, joints] is the logarithm of a box's side over that of the joint, not finite where unknown.
    """

    limb: Limb
    points: Complex
    wrong: npt.NDArray[np.bool_]
    odd: Floats | None
    prior: Prior

    @classmethod
    def of(
        cls,
        limb: Limb,
        points: Points,
        classes: Sequence[JointClass],
        sides: Floats | None,
        prior: Prior,
    ) -> Seen:
        """Prepare detections: finite centres [n, 2], and sides of their boxes [n] in pixels."""
        joints = limb.joints
        kinds = [joint_class(name) for name in joints]
        wrong = np.array([[kind is not own for kind in kinds] for own in classes])
        odd = None
        if sides is not None:
            expected = np.array([joint_box_side_px(limb, name, 1.0) for name in joints])
            odd = np.log(np.where(sides > 0, sides, np.nan)[:, None] / expected)
        return cls(limb, points[:, 0] + 1j * points[:, 1], wrong, odd, prior)


@dataclass(frozen=True)
class Candidate:
    """A naming with its cost, and its place among several fits."""

    rows: Naming
    mirrored: bool
    cost: float
    fits: ShapeFits
    at: int

    @property
    def key(self) -> Key:
        """The naming with its side."""
        return self.rows, self.mirrored

    @property
    def shape(self) -> ShapeFit:
        """The fit of this naming."""
        return self.fits.one(self.at)


def rate(seen: Seen, keys: Sequence[Key]) -> list[Candidate | None]:
    """Cost of each naming; ``None`` where too few detections are named or nothing fits them."""
    keys = list(keys)
    found: list[Candidate | None] = [None] * len(keys)
    enough = [i for i, (rows, _) in enumerate(keys) if sum(row >= 0 for row in rows) >= 4]
    if not enough:
        return found
    rows = np.array([keys[i][0] for i in enough])
    mirrored = np.array([keys[i][1] for i in enough])
    fits, cost = _costs(seen, rows, mirrored)
    usable = np.isfinite(fits.cost) & (fits.scale > 0)
    for at, i in enumerate(enough):
        if usable[at]:
            found[i] = Candidate(*keys[i], float(cost[at]), fits, at)
    return found


def _costs(
    seen: Seen, rows: npt.NDArray[np.int64], mirrored: npt.NDArray[np.bool_]
) -> tuple[ShapeFits, Floats]:
    """Fits and full costs of namings [m, n], four detections named at least in each."""
    naming, detection = np.nonzero(rows >= 0)
    joint = rows[naming, detection]
    n_joints = len(seen.limb.joints)
    points = np.zeros((len(rows), n_joints), np.complex128)
    present = np.zeros(points.shape, np.bool_)
    points[naming, joint] = seen.points[detection]
    present[naming, joint] = True
    fits = fit_each(seen.limb, points, present, mirrored)
    used = present.sum(axis=1)
    wrong = np.bincount(naming, seen.wrong[detection, joint], len(rows))
    left_out = rows.shape[1] - used
    cost = fits.cost + CLASS_ERROR_COST * wrong + MISSING_COST * (left_out + n_joints - used)
    # A restricted likelihood of fewer points has fewer terms; the reference density of a joint
    # anywhere in the limb's own extent makes namings of different length comparable.
    cost += left_out * 2 * np.log(fits.scale)
    if seen.odd is not None:
        odd = np.full(rows.shape, np.nan)
        odd[naming, detection] = seen.odd[detection, joint]
        cost += _size_costs(odd)
    if seen.prior.rotation_deg is not None:
        turn = np.where(mirrored, -1, 1) * fits.rotation_deg - seen.prior.rotation_deg
        turn = (turn + 180) % 360 - 180
        cost += 0.5 * np.minimum(turn / seen.prior.rotation_sd_deg, 6.0) ** 2
    return fits, cost


def _size_costs(odd: Floats) -> Floats:
    """How badly the boxes' sides, relative to one another, suit the names of each row [m, n]."""
    known = np.isfinite(odd)
    odd = np.where(known, odd, np.inf)
    ranked, count, every = np.sort(odd, axis=1), known.sum(axis=1), np.arange(len(odd))
    median = (ranked[every, (count - 1) // 2] + ranked[every, count // 2]) / 2
    # Of a row with no size that is known the median is infinite too, and has no difference.
    median = np.where(count > 0, median, 0.0)
    off = np.where(known, odd - median[:, None], 0) / SIZE_SPREAD
    return np.asarray(0.5 * np.minimum(off**2, 9.0).sum(axis=1))


def complete(seen: Seen, candidate: Candidate) -> Naming:
    """Optimal assignment of detections to the template placed by a fit."""
    fits, at = candidate.fits, candidate.at
    placed = fits.factor[at] * complex_mean(seen.limb) + fits.shift[at]
    image = -seen.points.conj() if candidate.mirrored else seen.points
    apart = (image[:, None] - placed) / abs(fits.factor[at])
    distance = (apart.real**2 + apart.imag**2) / 0.012
    return assign(np.minimum(distance + 2 * CLASS_ERROR_COST * seen.wrong, 60.0), 59.0)


def assign(table: Floats, limit: float) -> Naming:
    """Assign detections to joints at the least sum of ``table`` [n, joints], each below a limit."""
    rows = [-1] * len(table)
    detections, joints = linear_sum_assignment(table)
    fits = table[detections, joints] < limit
    for i, j in zip(detections[fits].tolist(), joints[fits].tolist(), strict=True):
        rows[i] = j
    return tuple(rows)


def hypotheses(seen: Seen, mirrors: Sequence[bool]) -> list[Key]:
    """Namings by rough fits, best first: pairs of detections are laid on pairs of joints."""
    w = seen.points
    i, j = np.triu_indices(len(w), 1)
    span = np.abs(w[i] - w[j])
    # Two detections of one place give no direction.
    distinct = np.flatnonzero(span > SAME_PLACE * span.max())
    far = distinct[np.argsort(-span[distinct], kind="stable")][:PAIRS]
    i, j = i[far, None], j[far, None]
    first, second = _ordered_pairs(len(seen.limb.joints))
    costs, tables = [], []
    # One table for all, filled in place: to allocate it takes longer than to fill it.
    apart = np.empty((len(w), len(seen.limb.joints), i.size * first.size))
    for mirrored in mirrors:
        mean = complex_mean(seen.limb)
        z = -mean.conj() if mirrored else mean
        factor = (z[second] - z[first]) / (w[j] - w[i])
        placed = ((w[:, None, None] - w[i]) * factor + z[first]).reshape(len(w), -1)
        _square_distances(placed, z, apart)
        rough = np.minimum(apart.min(axis=1), 0.3).sum(axis=0)
        rough += np.minimum(apart.min(axis=0), 0.3).sum(axis=0)
        ranked = np.argsort(rough.reshape(factor.shape), axis=1)[:, :BEST_OF_PAIR]
        best = (ranked + first.size * np.arange(len(factor))[:, None]).ravel()
        costs.append(rough[best])
        tables.append(np.minimum(apart[:, :, best] / 0.03, 30.0))
    order = np.argsort(np.concatenate(costs), kind="stable")[:BEST_OF_ALL]
    each = i.size * BEST_OF_PAIR
    return [(assign(tables[k // each][:, :, k % each], 29.0), mirrors[k // each]) for k in order]


def _square_distances(placed: Complex, z: Complex, out: Floats) -> None:
    """Fill ``out`` [n, joints, m] with those from ``placed`` [n, m] to ``z`` [joints]."""
    x, y = placed.real.copy(), placed.imag.copy()
    down = np.empty(out.shape[1:])
    for across, x_of_one, y_of_one in zip(out, x, y, strict=True):
        np.subtract(x_of_one, z.real[:, None], out=across)
        np.subtract(y_of_one, z.imag[:, None], out=down)
        np.square(across, out=across)
        np.square(down, out=down)
        np.add(across, down, out=across)


@lru_cache(maxsize=2)
def _ordered_pairs(n_joints: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    pairs = np.array(list(permutations(range(n_joints), 2)))
    return pairs[:, 0], pairs[:, 1]


def neighbours(rows: Naming, n_joints: int) -> set[Naming]:
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
