"""Compares two ways to score the same films: grades, end states, places.

Layer: scoring; pure functions over results.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edge.model import Recheck

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge.model import JointScore, LimbResult


@dataclass
class Agreement:
    """What two sets of engines made of the same films; ``differences`` are lines to read."""

    films: int = 0
    limbs: int = 0
    fates_differ: int = 0
    joints_differ: int = 0
    """Grades that one of both lacks, and values that are not numbers."""
    grades: list[tuple[int, int]] = field(default_factory=list)
    expected: list[float] = field(default_factory=list)
    centres_px: list[float] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    def add(self, name: str, one: Sequence[LimbResult], other: Sequence[LimbResult]) -> None:
        """Take in what two sets of engines made of the film ``name``."""
        self.films += 1
        self.limbs += max(len(one), len(other))
        for a, b in zip(one, other, strict=False):
            if (a.status, a.reason, a.limb) != (b.status, b.reason, b.limb):
                self.fates_differ += 1
                self.differences.append(
                    f"{name}: {a.status} {a.reason or ''} against {b.status} {b.reason or ''}"
                )
                continue
            joints = [{_name(joint): joint for joint in result.joints} for result in (a, b)]
            for joint in sorted(joints[0].keys() & joints[1].keys()):
                _add_joint(self, f"{name} {joint}", joints[0][joint], joints[1][joint])
        if len(one) != len(other):
            self.fates_differ += abs(len(one) - len(other))
            self.differences.append(f"{name}: {len(one)} limbs against {len(other)}")

    def as_recheck(self) -> Recheck:
        """The figures without any film's name."""
        return Recheck(
            films=self.films,
            grades=len(self.grades),
            grades_differ=self.flips + self.joints_differ,
            fates_differ=self.fates_differ,
            largest_expected=round(max(self.expected, default=0.0), 4),
        )

    @property
    def flips(self) -> int:
        """Grades that differ."""
        return sum(a != b for a, b in self.grades)

    def lines(self) -> list[str]:
        """A table a person can read."""
        total = len(self.grades)
        kappa = weighted_kappa(self.grades)
        rows = [
            f"films {self.films}, limbs {self.limbs}, of another fate {self.fates_differ}",
            f"grades {total}, equal {total - self.flips}, weighted kappa "
            + (f"{kappa:.4f}" if total else "not defined"),
            f"joints that only one of both scored, or not with numbers: {self.joints_differ}",
            f"expected value: largest difference {max(self.expected, default=0.0):.4f}",
            f"joint centres: largest difference {max(self.centres_px, default=0.0):.2f} px",
        ]
        return [*rows, *self.differences]


def weighted_kappa(pairs: Iterable[tuple[int, int]]) -> float:
    """Cohen's kappa with quadratic weights of (wanted, found) grades; 1 where nothing varies."""
    table = np.array(list(pairs), np.float64).reshape(-1, 2)
    wanted, found = table[:, 0], table[:, 1]
    chance = float(np.square(wanted[:, None] - found[None, :]).mean()) if len(table) else 0.0
    return 1.0 if chance == 0 else 1 - float(np.square(wanted - found).mean()) / chance


def _add_joint(found: Agreement, name: str, a: JointScore, b: JointScore) -> None:
    pairs = (
        ("erosion", a.erosion, b.erosion, a.erosion_expected, b.erosion_expected),
        ("narrowing", a.narrowing, b.narrowing, a.narrowing_expected, b.narrowing_expected),
    )
    if a.centre is not None and b.centre is not None:
        apart = math.dist(a.centre, b.centre)
        if math.isfinite(apart):
            found.centres_px.append(apart)
        else:
            found.joints_differ += 1
            found.differences.append(f"{name}: a centre is not a number")
    for kind, grade, other, expected, other_expected in pairs:
        if grade is None and other is None:
            continue
        if grade is None or other is None:
            found.joints_differ += 1
            found.differences.append(f"{name} {kind}: {grade} against {other}")
            continue
        found.grades.append((grade, other))
        if expected is not None or other_expected is not None:
            # A value that is missing, or not a number, agrees with nothing, not even with itself.
            gap = math.nan
            if expected is not None and other_expected is not None:
                gap = abs(expected - other_expected)
            if math.isfinite(gap):
                found.expected.append(gap)
            else:
                found.joints_differ += 1
                found.differences.append(f"{name} {kind}: {expected} against {other_expected}")
        if grade != other:
            found.differences.append(f"{name} {kind}: {grade} against {other}")


def _name(joint: JointScore) -> str:
    return str(joint.name or joint.name_candidate)
