"""From tables to what the report states of films: limb, side and status, boxes, names, outlines.

Layer: training.evaluation; pure functions over tables.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from edge.anatomy import Limb
from training.evaluation import statistics as st
from training.evaluation.findings import (
    ClassBoxes,
    DetectionFindings,
    FateFindings,
    GroupJoints,
    Outcome,
    OutlineFindings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from training.evaluation.rows import Rows
    from training.evaluation.tables import FilmRow

ALWAYS_SHOWN = ("view", "age", "orientation", "size")
"""Groups of films that are listed even where every film is of one kind."""


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
