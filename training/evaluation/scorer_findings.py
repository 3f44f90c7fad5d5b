"""From tables to what the report states of grades: accuracy, agreement, calibration, baselines.

Layer: training.evaluation; pure functions over tables.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from edge.errors import NullReason
from edge.pipeline.plausibility import off_by_more
from training.evaluation import statistics as st
from training.evaluation.agreement import intraclass
from training.evaluation.findings import (
    Baseline,
    GroupGrades,
    HealthyFindings,
    ScorerFindings,
    StricterDoubt,
)
from training.evaluation.measure import NOT_SCORED
from training.evaluation.rows import PAPER_TABLE_1, graded, grades_of, task_name

if TYPE_CHECKING:
    from edge.anatomy import Limb
    from training.evaluation.rows import Rows
    from training.evaluation.statistics import Calibration, Floats, Ints
    from training.evaluation.tables import GradeRow

SCORERS_BY = ("size", "seen in training", "film")
"""Groups of films that scorers are reported by, where a set has more than one of them."""
DOUBT_LIMITS = (1.0, 0.35, 0.2, 0.1, 0.05)
"""Settings of ``grade_doubt`` that a report compares; 1 leaves nothing out."""
_TOO_SMALL = str(NullReason.LOW_RESOLUTION)


def scorers(rows: Rows) -> tuple[ScorerFindings, ...]:
    """Each scorer of which grades are known, in the order of the paper's figure 6."""
    found = []
    for limb, kind in PAPER_TABLE_1:
        grades = graded(rows.tables, limb, kind)
        if grades:
            found.append(_scorer(rows, limb, kind, grades))
    return tuple(found)


def scorer_groups(rows: Rows) -> tuple[GroupGrades, ...]:
    """Each scorer by what a film's size and its part in a training may change."""
    films = rows.tables.films
    found = []
    for limb, kind in PAPER_TABLE_1:
        grades = graded(rows.tables, limb, kind)
        for name in SCORERS_BY:
            values = sorted({films[row.film].groups.get(name, "") for row in grades} - {""})
            for value in values if len(values) > 1 else []:
                mine = [row for row in grades if films[row.film].groups.get(name) == value]
                clusters = rows.patients(row.film for row in mine)
                matrices = st.confusions(
                    rows.weights_of(clusters),
                    clusters,
                    np.array([row.true for row in mine], np.int64),
                    np.array([row.given for row in mine], np.int64),
                    grades_of(limb, kind),
                )
                found.append(
                    GroupGrades(
                        task=task_name(limb, kind),
                        group=name,
                        value=value,
                        joints=len(mine),
                        scored=sum(row.given != NOT_SCORED for row in mine),
                        coverage=st.estimate(st.coverage(matrices)),
                        share_exact=st.estimate(st.accuracy(matrices)),
                        share_within_one=st.estimate(st.accuracy(matrices, 1)),
                        kappa=st.estimate(st.weighted_kappa(matrices)),
                    )
                )
    return tuple(found)


def stricter(rows: Rows) -> tuple[StricterDoubt, ...]:
    """Each scorer at limits of doubt no looser than its own, where probabilities are known."""
    found = []
    for limb, kind in PAPER_TABLE_1:
        grades = [
            row
            for row in graded(rows.tables, limb, kind)
            if row.given != NOT_SCORED and row.probabilities is not None
        ]
        if not grades:
            continue
        clusters = rows.patients(row.film for row in grades)
        weights = rows.weights_of(clusters)
        true = np.array([row.true for row in grades], np.int64)
        given = np.array([row.given for row in grades], np.int64)
        doubts = np.array([off_by_more(_probabilities(row), row.given) for row in grades])
        for limit in DOUBT_LIMITS:
            kept = np.where(doubts <= limit, given, NOT_SCORED)
            matrices = st.confusions(weights, clusters, true, kept, grades_of(limb, kind))
            found.append(
                StricterDoubt(
                    task=task_name(limb, kind),
                    limit=limit,
                    scored=int((kept != NOT_SCORED).sum()),
                    coverage=st.estimate(st.coverage(matrices)),
                    exact=st.estimate(st.balanced_accuracy(matrices)),
                    within_one=st.estimate(st.balanced_accuracy(matrices, 1)),
                    sound_within_one=st.estimate(st.accuracy(matrices, 1, true=0)),
                )
            )
    return tuple(found)


def _scorer(rows: Rows, limb: Limb, kind: str, grades: list[GradeRow]) -> ScorerFindings:
    count = grades_of(limb, kind)
    clusters = rows.patients(row.film for row in grades)
    true = np.array([row.true for row in grades], np.int64)
    given = np.array([row.given for row in grades], np.int64)
    weights = rows.weights_of(clusters)
    every = st.confusions(weights, clusters, true, given, count)
    # A film too small to be scored is reported as such: that is no error of the scorer.
    judged = np.array([row.reason != _TOO_SMALL for row in grades])
    fair = st.confusions(weights, clusters[judged], true[judged], given[judged], count)
    scored = given != NOT_SCORED
    expected = np.array([row.expected if row.expected is not None else np.nan for row in grades])
    ranked = scored & np.isfinite(expected)
    auc = st.area_under_roc(weights, clusters[ranked], true[ranked] > 0, expected[ranked])
    known = [i for i, row in enumerate(grades) if row.probabilities is not None and scored[i]]
    paper = PAPER_TABLE_1[limb, kind]
    return ScorerFindings(
        task=task_name(limb, kind),
        limb=limb.value,
        kind=kind,
        joints=len(grades),
        scored=int(scored.sum()),
        by_grade=tuple(int(n) for n in np.bincount(true, minlength=count)),
        coverage=st.estimate(st.coverage(every)),
        missing=dict(Counter(row.reason for row in grades if row.reason is not None).most_common()),
        exact=st.estimate(st.balanced_accuracy(every)),
        within_one=st.estimate(st.balanced_accuracy(every, 1)),
        exact_all=st.estimate(st.balanced_accuracy(fair, missing_wrong=True)),
        within_one_all=st.estimate(st.balanced_accuracy(fair, 1, missing_wrong=True)),
        share_exact=st.estimate(st.accuracy(every)),
        share_within_one=st.estimate(st.accuracy(every, 1)),
        sound_exact=st.estimate(st.accuracy(every, true=0)),
        sound_within_one=st.estimate(st.accuracy(every, 1, true=0)),
        kappa=st.estimate(st.weighted_kappa(every)),
        rank=st.estimate(st.rank_correlation(every)),
        icc=st.estimate(_intraclass(every)),
        sensitivity=st.estimate(st.sensitivity(every)),
        specificity=st.estimate(st.specificity(every)),
        mean_error=st.estimate(st.mean_error(every)),
        damage_auc=st.estimate(auc),
        confusion=tuple(tuple(int(n) for n in row) for row in every[0]),
        damage_calibration=_damage_calibration(rows, grades, clusters, known),
        grade_calibration=_grade_calibration(rows, grades, clusters, known),
        zero=_baseline(every[:1], 0),
        constant=_baseline(every[:1], st.best_constant(every)),
        paper_exact=paper[0],
        paper_within_one=paper[1],
    )


def _intraclass(matrices: Floats) -> Floats:
    """ICC(2,1) of the scored joints' true and given grades, [draws]."""
    grades = matrices.shape[-2]
    pairs = np.stack(np.meshgrid(np.arange(grades), np.arange(grades), indexing="ij"), axis=-1)
    times = matrices[..., :grades].reshape(len(matrices), -1)
    return intraclass(pairs.reshape(-1, 2).astype(np.float64), times)


def _baseline(matrix: Floats, grade: int) -> Baseline:
    same = st.constant(matrix, grade)
    return Baseline(
        answer=grade,
        exact=float(st.balanced_accuracy(same)[0]),
        within_one=float(st.balanced_accuracy(same, 1)[0]),
        mean_error=float(st.mean_error(same)[0]),
    )


def _damage_calibration(
    rows: Rows, grades: list[GradeRow], clusters: Ints, known: list[int]
) -> Calibration | None:
    """Probability of any damage against how often there is some."""
    if not known:
        return None
    predicted = np.array([1 - _probabilities(grades[i])[0] for i in known])
    true = np.array([grades[i].true > 0 for i in known])
    return st.calibration(
        rows.weights_of(clusters), clusters[known], np.clip(predicted, 0, 1), true
    )


def _grade_calibration(
    rows: Rows, grades: list[GradeRow], clusters: Ints, known: list[int]
) -> Calibration | None:
    """Probability of the grade that was given against how often it is right."""
    if not known:
        return None
    predicted = np.array([_probabilities(grades[i])[grades[i].given] for i in known])
    true = np.array([grades[i].true == grades[i].given for i in known])
    return st.calibration(
        rows.weights_of(clusters), clusters[known], np.clip(predicted, 0, 1), true
    )


def _probabilities(row: GradeRow) -> Floats:
    if row.probabilities is None:
        raise ValueError(f"{row.joint}: it has no probabilities")
    return row.probabilities


def healthy(rows: Rows) -> tuple[HealthyFindings, ...]:
    """Grades given on clean, sharp films to joints that are presumed to be without arthritis."""
    films = rows.tables.films
    found = []
    for limb, kind in PAPER_TABLE_1:
        mine = [
            row
            for row in rows.tables.presumed
            if row.kind == kind
            and films[row.film].limb is limb
            and films[row.film].clean
            and films[row.film].sharp
        ]
        if not mine:
            continue
        clusters = rows.patients(row.film for row in mine)
        given = np.array([row.given for row in mine], np.int64)
        scored = given != NOT_SCORED
        zero, one = (
            st.ratio(rows.weights_of(clusters), clusters, scored & (given <= most), scored)
            for most in (0, 1)
        )
        counts = np.bincount(given[scored], minlength=grades_of(limb, kind))
        found.append(
            HealthyFindings(
                task=task_name(limb, kind),
                joints=len(mine),
                scored=int(scored.sum()),
                given=tuple(int(n) for n in counts),
                coverage=st.estimate(st.share(rows.weights_of(clusters), clusters, scored)),
                zero=st.estimate(zero),
                at_most_one=st.estimate(one),
            )
        )
    return tuple(found)
