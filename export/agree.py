"""Compares two ways to run the same models, film by film, at the level of the task.

Room: export. Reads films; writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edge.pipeline.scorer import FilmScorer
from edge.pipeline.settings import PipelineSettings
from export.gate import weighted_kappa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edge.engine.loader import EngineSet
    from edge.model import JointScore, LimbResult


@dataclass
class Agreement:
    """What two sets of engines made of the same films; ``differences`` are lines to read."""

    films: int = 0
    limbs: int = 0
    fates_differ: int = 0
    joints_differ: int = 0
    grades: list[tuple[int, int]] = field(default_factory=list)
    expected: list[float] = field(default_factory=list)
    centres_px: list[float] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

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
            f"grades {total}, equal {total - self.flips}, weighted kappa {kappa:.4f}",
            f"joints that only one of both scored: {self.joints_differ}",
            f"expected value: largest difference {max(self.expected, default=0.0):.4f}",
            f"joint centres: largest difference {max(self.centres_px, default=0.0):.2f} px",
        ]
        return [*rows, *self.differences]


def compare(
    films: Iterable[tuple[str, bytes]],
    first: EngineSet,
    second: EngineSet,
    settings: PipelineSettings | None = None,
    progress: Callable[[int], None] | None = None,
) -> Agreement:
    """Score every film with both sets. Raises `EngineError` where an engine fails."""
    settings = settings or PipelineSettings()
    scorers = (FilmScorer(first, settings), FilmScorer(second, settings))
    found = Agreement()
    for name, data in films:
        one, other = ([limb.result for limb in s.score(data, name).limbs] for s in scorers)
        found.films += 1
        _add_film(found, name, one, other)
        if progress is not None:
            progress(found.films)
    return found


def _add_film(found: Agreement, name: str, one: list[LimbResult], other: list[LimbResult]) -> None:
    found.limbs += max(len(one), len(other))
    for a, b in zip(one, other, strict=False):
        if (a.status, a.reason, a.limb) != (b.status, b.reason, b.limb):
            found.fates_differ += 1
            found.differences.append(
                f"{name}: {a.status} {a.reason or ''} against {b.status} {b.reason or ''}"
            )
            continue
        joints = [{_name(joint): joint for joint in result.joints} for result in (a, b)]
        for joint in sorted(joints[0].keys() & joints[1].keys()):
            _add_joint(found, f"{name} {joint}", joints[0][joint], joints[1][joint])
    if len(one) != len(other):
        found.fates_differ += abs(len(one) - len(other))
        found.differences.append(f"{name}: {len(one)} limbs against {len(other)}")


def _add_joint(found: Agreement, name: str, a: JointScore, b: JointScore) -> None:
    pairs = (
        ("erosion", a.erosion, b.erosion, a.erosion_expected, b.erosion_expected),
        ("narrowing", a.narrowing, b.narrowing, a.narrowing_expected, b.narrowing_expected),
    )
    if a.centre is not None and b.centre is not None:
        found.centres_px.append(float(np.hypot(*np.subtract(a.centre, b.centre))))
    for kind, grade, other, expected, other_expected in pairs:
        if grade is None and other is None:
            continue
        if grade is None or other is None:
            found.joints_differ += 1
            found.differences.append(f"{name} {kind}: {grade} against {other}")
            continue
        found.grades.append((grade, other))
        if expected is not None and other_expected is not None:
            found.expected.append(abs(expected - other_expected))
        if grade != other:
            found.differences.append(f"{name} {kind}: {grade} against {other}")


def _name(joint: JointScore) -> str:
    return str(joint.name or joint.name_candidate)
