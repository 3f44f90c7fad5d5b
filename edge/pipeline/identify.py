"""Stages 8 and 9: assigns each detection to a finger or toe.

Layer: pipeline; pure functions over points. Candidates come from similarity hypotheses (pairs of
detections laid on pairs of template joints), each completed by optimal assignment, refined under
the template's full covariance, and compared by likelihood. A name is certain only when the best
assignment beats every different one by a margin and lies close enough to the template.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge.anatomy import Limb, shape_template
from edge.pipeline.namings import (
    Candidate,
    Key,
    Prior,
    Seen,
    complete,
    hypotheses,
    neighbours,
    rate,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.anatomy import JointClass
    from edge.model import Points
    from edge.pipeline.template import ShapeFit

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
STRANGERS = 2
"""More detections without a joint than this, and the naming is not certain."""


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
            Seen.of(
                limb,
                points[used],
                [classes[i] for i in used],
                None if sides is None else sides[used],
                prior or Prior(),
            )
        )
    if found is None or finite.all():
        return found
    rows = [-1] * len(points)
    for i, row in zip(used, found.rows, strict=True):
        rows[i] = row
    return replace(found, rows=tuple(rows), certain=False)


def _identify(seen: Seen) -> Identity | None:
    """Name detections whose centres are finite, four at least."""
    limb, n_joints = seen.limb, len(seen.limb.joints)
    found = _completed(seen)
    if not found:
        return None
    best = min(found.values(), key=lambda c: c.cost)
    for _ in range(6):
        near = [(rows, best.mirrored) for rows in neighbours(best.rows, n_joints)]
        new = [key for key in near if key not in found]
        found |= {c.key: c for c in rate(seen, new) if c is not None}
        before, best = best, min(found.values(), key=lambda c: c.cost)
        if best is before:
            break
    others = [c.cost for c in found.values() if _differs(c.rows, best.rows)]
    margin = min(others) - best.cost if others else math.inf
    named = sum(row >= 0 for row in best.rows)
    whole = named == n_joints == len(best.rows)
    shape = best.shape
    certain = (
        named >= LEAST_JOINTS[limb]
        and margin >= MARGIN[limb]
        and len(best.rows) - named <= STRANGERS
        and shape.mean_square <= RESIDUAL_LIMIT[limb]
        and shape.tension <= (WHOLE_TENSION_LIMIT if whole else TENSION_LIMIT)
    )
    return Identity(limb, best.rows, shape, best.cost, margin, certain)


def _completed(seen: Seen) -> dict[Key, Candidate]:
    """Rate the rough namings, and twice what each becomes by optimal assignment to its own fit."""
    known = seen.prior.mirrored
    rated: dict[Key, Candidate | None] = {}
    following: dict[Key, Key] = {}
    starts = hypotheses(seen, (False, True) if known is None else (known,))
    keys = starts
    for last in (False, False, True):
        new = [key for key in dict.fromkeys(keys) if key not in rated]
        rated |= zip(new, rate(seen, new), strict=True)
        if last:
            break
        ends = [c for c in (rated[key] for key in dict.fromkeys(keys)) if c is not None]
        following |= {
            c.key: (complete(seen, c), c.mirrored) for c in ends if c.key not in following
        }
        keys = [following[c.key] for c in ends]
    found: dict[Key, Candidate] = {}
    # In the order of the rough fits: of two namings of one cost the earlier one counts.
    for start in starts:
        key: Key | None = start
        for _ in range(3):
            candidate = None if key is None else rated[key]
            if candidate is None:
                break
            found.setdefault(candidate.key, candidate)
            key = following.get(candidate.key)
    return found


def _differs(rows: tuple[int, ...], best: tuple[int, ...]) -> bool:
    """Whether a naming gives some detection another name (not merely leaves it without one)."""
    return any(a != b and a >= 0 and b >= 0 for a, b in zip(rows, best, strict=True))
