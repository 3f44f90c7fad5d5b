"""From what was measured to what the report says.

Room: training; pure functions over tables.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edge.errors import NullReason
from edge.model import NARROWING_MAXIMUM, Limb
from edge.pipeline.plausibility import off_by_more
from training.evaluation import statistics as st
from training.evaluation.findings import (
    Baseline,
    ClassBoxes,
    DetectionFindings,
    FateFindings,
    GroupGrades,
    GroupJoints,
    HealthyFindings,
    Outcome,
    OutlineFindings,
    ScorerFindings,
    StricterDoubt,
)
from training.evaluation.measure import NOT_SCORED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from training.evaluation.statistics import Calibration, Floats, Ints
    from training.evaluation.tables import FilmRow, GradeRow, Tables

PAPER_TABLE_1 = {
    (Limb.HAND, "narrowing"): (0.8207, 0.9730),
    (Limb.HAND, "erosion"): (0.7877, 0.9463),
    (Limb.FOOT, "narrowing"): (0.8376, 0.9151),
    (Limb.FOOT, "erosion"): (0.5783, 0.9249),
}
"""Balanced accuracy and balanced accuracy within one, in the order of the paper's figure 6."""
ALWAYS_SHOWN = ("view", "age", "orientation", "size")
"""Groups of films that are listed even where every film is of one kind."""
SCORERS_BY = ("size", "seen in training", "film")
"""Groups of films that scorers are reported by, where a set has more than one of them."""
DOUBT_LIMITS = (1.0, 0.35, 0.2, 0.1, 0.05)
"""Settings of ``grade_doubt`` that a report compares; 1 leaves nothing out."""
_TOO_SMALL = str(NullReason.LOW_RESOLUTION)


def task_name(limb: Limb, kind: str) -> str:
    """Name of a scorer as the paper's Table 1 gives it."""
    return f"{kind.capitalize()} ({'hands' if limb is Limb.HAND else 'feet'})"


def grades_of(limb: Limb, kind: str) -> int:
    """How many grades a scorer tells apart."""
    return 1 + (limb.erosion_maximum if kind == "erosion" else NARROWING_MAXIMUM)


@dataclass(frozen=True, eq=False)
class Rows:
    """A set's tables with the bootstrap draws of its patients."""

    tables: Tables
    weights: Floats

    @classmethod
    def of(cls, tables: Tables) -> Rows:
        """Draw the patients of a set."""
        return cls(tables, st.draw_weights(len(tables.patients)))

    def weights_of(self, clusters: Ints) -> Floats:
        """Weights for figures over some patients: of a single one no draw tells anything."""
        few = len(np.unique(clusters)) < st.LEAST_CLUSTERS
        return self.weights[:1] if few else self.weights

    def patients(self, films: Iterable[int]) -> Ints:
        """Patient of each film index."""
        return np.array([self.tables.films[film].patient for film in films], np.int64)


def fates(rows: Rows) -> tuple[FateFindings, ...]:
    """Limb, side and fate, by limb."""
    found = []
    for limb in Limb:
        films = [film for film in rows.tables.films if film.limb is limb and film.whole]
        if not films:
            continue
        sided = [film for film in films if film.side_right is not None]
        known = [film for film in films if film.fate_right is not None]
        counts = Counter((film.status.value, film.reason) for film in films)
        found.append(
            FateFindings(
                limb=limb.value,
                films=len(films),
                limb_right=_share_of(rows, films, lambda film: film.limb_right),
                side_right=_share_of(rows, sided, lambda film: bool(film.side_right)),
                fate_right=_share_of(rows, known, lambda film: bool(film.fate_right)),
                outcomes=tuple(
                    Outcome(limb.value, status, reason, count)
                    for (status, reason), count in sorted(counts.items(), key=lambda item: -item[1])
                ),
            )
        )
    return tuple(found)


def _share_of(
    rows: Rows, films: Sequence[FilmRow], right: Callable[[FilmRow], bool]
) -> st.Estimate:
    if not films:
        return st.Estimate(None)
    clusters = np.array([film.patient for film in films], np.int64)
    return st.estimate(
        st.share(rows.weights_of(clusters), clusters, [right(film) for film in films])
    )


def detection(rows: Rows) -> DetectionFindings | None:
    """Boxes and names; ``None`` where no place is known."""
    tables = rows.tables
    if not tables.joints and not tables.truths:
        return None
    every = set(range(len(tables.films)))
    labels = sorted({label for _, label in tables.truths}, key=_class_order)
    classes = []
    for label in labels:
        ap50, ap75 = _precisions(rows, every, [label])
        truths = sum(its == label for _, its in tables.truths)
        classes.append(ClassBoxes(label, truths, ap50, ap75))
    groups = []
    for limb in Limb:
        films = {i for i, film in enumerate(tables.films) if film.limb is limb}
        with_places = {joint.film for joint in tables.joints} & films
        with_places |= {film for film, _ in tables.truths} & films
        if not with_places:
            continue
        groups.append(_group(rows, limb, "all", "all films", with_places))
        names = dict.fromkeys(name for film in tables.films for name in film.groups)
        for name in names:
            values = sorted({tables.films[i].groups.get(name, "") for i in with_places} - {""})
            if len(values) == 1 and name not in ALWAYS_SHOWN:
                continue
            for value in values:
                part = {i for i in with_places if tables.films[i].groups.get(name) == value}
                groups.append(_group(rows, limb, name, value, part))
    return DetectionFindings(tuple(classes), tuple(groups))


def _class_order(label: str) -> tuple[int, str]:
    limb, _, joint = label.partition(" ")
    return [item.value for item in Limb].index(limb), joint


def _group(rows: Rows, limb: Limb, group: str, value: str, films: set[int]) -> GroupJoints:
    tables = rows.tables
    joints = [joint for joint in tables.joints if joint.film in films]
    clusters = rows.patients(joint.film for joint in joints)
    placed = [tables.films[i] for i in sorted(films) if tables.films[i].complete is not None]
    labels = sorted({label for i, label in tables.truths if i in films})
    ap50, ap75 = _precisions(rows, films, labels)

    def of_joints(right: list[bool]) -> st.Estimate:
        return st.estimate(st.share(rows.weights_of(clusters), clusters, right))

    return GroupJoints(
        limb=limb.value,
        group=group,
        value=value,
        films=len(films),
        joints=len(joints),
        found=of_joints([joint.found for joint in joints]),
        named=of_joints([joint.named for joint in joints]),
        complete=_share_of(rows, placed, lambda film: bool(film.complete)),
        misnamed=sum(joint.misnamed for joint in joints),
        certain=sum(joint.certain or joint.misnamed for joint in joints),
        ap50=ap50,
        ap75=ap75,
    )


def _precisions(
    rows: Rows, films: set[int], labels: Sequence[str]
) -> tuple[st.Estimate, st.Estimate]:
    """AP at overlaps of .5 and .75, the mean over classes."""
    if not labels:
        return st.Estimate(None), st.Estimate(None)
    tables = rows.tables
    weights = rows.weights_of(rows.patients(films))
    size = weights.shape[1]
    found = []
    for level in (0, 1):
        parts = []
        for label in labels:
            boxes = [box for box in tables.boxes if box.label == label and box.film in films]
            truths = rows.patients(i for i, its in tables.truths if its == label and i in films)
            detections = st.Detections(
                confidence=np.array([box.confidence for box in boxes], np.float64),
                hit=np.array([box.hits[level] for box in boxes], np.bool_),
                clusters=rows.patients(box.film for box in boxes),
                truths=np.bincount(truths, minlength=size).astype(np.float64),
            )
            parts.append(st.average_precision(weights, detections))
        found.append(st.estimate(st.mean_over(parts)))
    return found[0], found[1]


def outlines(rows: Rows) -> tuple[OutlineFindings, ...]:
    """Dice by limb, where outlines are known."""
    found = []
    for limb in Limb:
        films = [f for f in rows.tables.films if f.limb is limb and f.dice is not None]
        if films:
            clusters = np.array([film.patient for film in films], np.int64)
            dice = np.array([film.dice for film in films], np.float64)
            mean = st.share(rows.weights_of(clusters), clusters, dice)
            found.append(
                OutlineFindings(
                    limb.value,
                    len(films),
                    st.estimate(mean),
                    float(np.median(dice)),
                    float(dice.min()),
                )
            )
    return tuple(found)


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
    """Each scorer at limits of doubt no looser than the one it ran with, where it was heard."""
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


def paper_part(tables: Tables) -> Tables:
    """Keep of each scorer's joints those that the paper's split draws."""
    kept = []
    for limb, kind in PAPER_TABLE_1:
        grades = graded(tables, limb, kind)
        kept += [grades[i] for i in np.sort(st.paper_split(len(grades)))]
    return replace(tables, grades=tuple(kept))


def graded(tables: Tables, limb: Limb, kind: str) -> list[GradeRow]:
    """Rows of one scorer, in the set's order."""
    films = tables.films
    return [row for row in tables.grades if row.kind == kind and films[row.film].limb is limb]


def _scorer(rows: Rows, limb: Limb, kind: str, grades: list[GradeRow]) -> ScorerFindings:
    count = grades_of(limb, kind)
    clusters = rows.patients(row.film for row in grades)
    true = np.array([row.true for row in grades], np.int64)
    given = np.array([row.given for row in grades], np.int64)
    weights = rows.weights_of(clusters)
    every = st.confusions(weights, clusters, true, given, count)
    # A film that is too small is told so beforehand: that is no error of the scorer.
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
    said = np.array([1 - _probabilities(grades[i])[0] for i in known])
    true = np.array([grades[i].true > 0 for i in known])
    return st.calibration(rows.weights_of(clusters), clusters[known], np.clip(said, 0, 1), true)


def _grade_calibration(
    rows: Rows, grades: list[GradeRow], clusters: Ints, known: list[int]
) -> Calibration | None:
    """Probability of the grade that was given against how often it is right."""
    if not known:
        return None
    said = np.array([_probabilities(grades[i])[grades[i].given] for i in known])
    true = np.array([grades[i].true == grades[i].given for i in known])
    return st.calibration(rows.weights_of(clusters), clusters[known], np.clip(said, 0, 1), true)


def _probabilities(row: GradeRow) -> Floats:
    if row.probabilities is None:
        raise ValueError(f"{row.joint}: no probabilities were heard")
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
