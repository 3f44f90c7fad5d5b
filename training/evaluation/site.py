"""Thresholds of each scorer fitted on films that a site has graded itself, with intervals.

Layer: training.evaluation; pure functions over measured films. Nothing is stored here: see
`edge.engine.site`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.anatomy import Limb
from edge.engine.passport import SiteThreshold
from phantom.ra2_columns import ScoreKind
from training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from training.evaluation.measure import Measured

LEAST_FILMS = 30
"""Fewer locally graded films say too little of a threshold."""
GRID = np.round(np.arange(0.1, 0.901, 0.02), 2)
DRAWS = 400
SEED = 20_260_101
AS_TRAINED = 0.5


@dataclass(frozen=True)
class SiteFit:
    """The fitted threshold of one task; ``useful``: .5 lies outside its interval."""

    limb: Limb
    kind: ScoreKind
    fitted: SiteThreshold

    @property
    def useful(self) -> bool:
        """Whether the films say that the threshold should change."""
        return not self.fitted.low <= AS_TRAINED <= self.fitted.high


@dataclass(frozen=True, eq=False)
class _Graded:
    """Joints of one task: error of the grade at each threshold [n, t], patient and film of each."""

    errors: np.ndarray
    patients: np.ndarray
    films: int


def fit_site(measured: Sequence[Measured]) -> list[SiteFit]:
    """Fit a threshold for each task of which the films have grades.

    The threshold is the one with the least mean absolute error, the nearest to .5 of equal ones;
    its interval is of a bootstrap by patient. Raises `TrainingError` for fewer than `LEAST_FILMS`
    films that were scored and graded.
    """
    used = [one for one in measured if one.probabilities]
    films = {one.labelled.path for one in used if _graded_joints(one, None)}
    if len(films) < LEAST_FILMS:
        raise TrainingError(
            f"{len(films)} films are graded here and scored by the box: {LEAST_FILMS} are the "
            "fewest that a threshold is fitted on",
            fix="grade more films, or look why films are held: sharpedge evaluate report",
        )
    fits = []
    for limb in Limb:
        for kind in ScoreKind:
            graded = _collect(used, limb, kind)
            if graded is not None:
                fits.append(SiteFit(limb, kind, _fit(graded)))
    return fits


def _graded_joints(one: Measured, kind: ScoreKind | None) -> list[tuple[np.ndarray, int]]:
    """Probabilities and local grade of each joint that has both."""
    found = []
    for joint in one.labelled.truth.joints:
        for each in ScoreKind if kind is None else (kind,):
            grade = getattr(joint, str(each))
            probabilities = one.probabilities.get((joint.name or "", str(each)))
            if grade is not None and probabilities is not None:
                found.append((probabilities, int(grade)))
    return found


def _collect(used: Iterable[Measured], limb: Limb, kind: ScoreKind) -> _Graded | None:
    errors, patients, films = [], [], set()
    for one in used:
        if one.result is None or one.result.limb is not limb:
            continue
        for probabilities, grade in _graded_joints(one, kind):
            errors.append(np.abs(grades_at(probabilities, GRID) - grade))
            patients.append(one.labelled.patient)
            films.add(one.labelled.path)
    if not errors:
        return None
    _, numbers = np.unique(patients, return_inverse=True)
    return _Graded(np.array(errors), numbers, len(films))


def grades_at(probabilities: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Grade [t] of one joint at each threshold, from its probabilities [grades].

    As `edge.pipeline.ordinal.decode_ordinal` decides: "at least grade k" is the sum from k on.
    """
    at_least = np.cumsum(probabilities[::-1])[::-1][1:]
    return np.asarray((at_least[None, :] >= thresholds[:, None]).sum(1))


def _best(errors: np.ndarray) -> float:
    """Threshold of the least mean error [t]; of equal ones the nearest to .5."""
    least = np.flatnonzero(errors <= errors.min() + 1e-12)
    return float(GRID[least[np.argmin(np.abs(GRID[least] - AS_TRAINED))]])


def _fit(graded: _Graded) -> SiteThreshold:
    count = int(graded.patients.max()) + 1
    sums = np.zeros((count, len(GRID)))
    np.add.at(sums, graded.patients, graded.errors)
    joints = np.bincount(graded.patients, minlength=count)
    rng = np.random.default_rng(SEED)
    drawn = []
    for _ in range(DRAWS):
        times = np.bincount(rng.integers(0, count, count), minlength=count)
        drawn.append(_best((times @ sums) / (times @ joints)))
    means = graded.errors.mean(0)
    best = _best(means)
    low, high = (float(value) for value in np.quantile(drawn, (0.025, 0.975)))
    return SiteThreshold(
        threshold=best,
        low=min(low, best),
        high=max(high, best),
        joints=len(graded.errors),
        films=graded.films,
        mean_error_before=round(float(means[np.argmin(np.abs(GRID - AS_TRAINED))]), 4),
        mean_error=round(float(means[np.argmin(np.abs(GRID - best))]), 4),
    )
