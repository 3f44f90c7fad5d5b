"""Truth beside results, one row a joint, a film, a grade or a box: the input of every figure.

Layer: training.evaluation; pure functions over what was measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge.anatomy import LIMBS, Limb, has_narrowing, joint_class, shape_template
from edge.errors import NullReason
from edge.model import Status
from edge.pipeline.settings import PipelineSettings
from edge.pipeline.template import apply, similarity, unit_px
from training.evaluation.measure import NOT_SCORED, REACH, named
from training.evaluation.space_rows import space_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edge.model import JointScore, LimbResult, Points
    from training.evaluation.measure import Measured
    from training.evaluation.space_rows import RepeatRow, SpaceRow

KINDS = ("erosion", "narrowing")
NOT_FOUND = "not found"
"""Reason of a joint without a grade where no result names it."""
_TURNS = ("up", "right", "down", "left")
_OVERLAPS = (0.5, 0.75)


@dataclass(frozen=True)
class FilmRow:
    """One labelled limb: what kind of film it is on, and how it ended.

    ``wanted`` is how the truth says that it should end, ``fate_right`` whether it did, for the
    same reason. ``side_right`` is ``None`` where the truth knows no side, ``complete`` where it
    knows no place, ``fate_right`` where it does not know how a film should end. Not ``whole``: the
    set holds crops of joints and no film.
    """

    patient: int
    limb: Limb
    groups: Mapping[str, str]
    clean: bool
    sharp: bool
    limb_right: bool
    side_right: bool | None
    wanted: Status
    fate_right: bool | None
    complete: bool | None
    status: Status
    reason: str | None
    dice: float | None
    whole: bool = True


@dataclass(frozen=True)
class JointRow:
    """One joint with a true place; ``film`` is the index of its `FilmRow`.

    ``named`` under the right name, certain or not; ``certain`` under the right name as certain;
    ``misnamed`` under another name as certain.
    """

    film: int
    found: bool
    named: bool
    certain: bool
    misnamed: bool


@dataclass(frozen=True, eq=False)
class GradeRow:
    """One true grade beside the one given; `NOT_SCORED` where there is none, and why."""

    film: int
    joint: str
    kind: str
    true: int
    given: int
    expected: float | None
    reason: str | None
    probabilities: npt.NDArray[np.float64] | None


@dataclass(frozen=True)
class BoxRow:
    """One found box: its class (``hand PIP``), and whether it covers a true one by .5 and .75."""

    film: int
    label: str
    confidence: float
    hits: tuple[bool, bool]


@dataclass(frozen=True)
class Tables:
    """All rows of one measured set; ``truths`` are the film and class of every true box.

    ``presumed`` are grades given to joints that nobody graded, on films without arthritis: their
    ``true`` is a presumed 0.
    """

    patients: tuple[str, ...]
    films: tuple[FilmRow, ...]
    joints: tuple[JointRow, ...]
    grades: tuple[GradeRow, ...]
    boxes: tuple[BoxRow, ...]
    truths: tuple[tuple[int, str], ...]
    presumed: tuple[GradeRow, ...] = ()
    spaces: tuple[SpaceRow, ...] = ()
    repeats: tuple[RepeatRow, ...] = ()


def tabulate(measured: Sequence[Measured]) -> Tables:
    """Pair truth with results."""
    patients = tuple(dict.fromkeys(one.labelled.patient for one in measured))
    number = {patient: i for i, patient in enumerate(patients)}
    films: list[FilmRow] = []
    joints: list[JointRow] = []
    grades: list[GradeRow] = []
    presumed: list[GradeRow] = []
    spaces: list[SpaceRow] = []
    for index, one in enumerate(measured):
        rows = list(_joint_rows(index, one))
        films.append(_film_row(number[one.labelled.patient], one, rows))
        joints += rows
        grades += _grade_rows(index, one)
        spaces += space_rows(index, one)
        if one.labelled.healthy:
            presumed += _grade_rows(index, one, presumed=True)
    boxes, truths = _box_rows(measured)
    return Tables(
        patients=patients,
        films=tuple(films),
        joints=tuple(joints),
        grades=tuple(grades),
        boxes=tuple(boxes),
        truths=tuple(truths),
        presumed=tuple(presumed),
        spaces=tuple(spaces),
    )


def true_places(truth: LimbResult) -> tuple[list[str], Points]:
    """Names and places [n, 2] of a labelled limb's joints, in pixels of the film as stored."""
    places = {j.name: j.centre for j in truth.joints if j.name and j.centre is not None}
    return list(places), np.array(list(places.values()), np.float64).reshape(-1, 2)


def turn_deg(limb: Limb, names: list[str], points: Points) -> float:
    """How far a limb is turned from fingers or toes up, clockwise as one looks at the film."""
    shape = shape_template(limb)
    mean = shape.mean[[shape.joints.index(name) for name in names]]
    fits = []
    for flip in (1.0, -1.0):
        matrix = similarity(mean * (flip, 1.0), points)
        error = float(np.square(apply(matrix, mean * (flip, 1.0)) - points).sum())
        fits.append((error, math.degrees(math.atan2(matrix[1, 0], matrix[0, 0]))))
    return min(fits)[1]


def _film_row(patient: int, one: Measured, joints: list[JointRow]) -> FilmRow:
    labelled, truth, result = one.labelled, one.labelled.truth, one.result
    limb = _limb(truth)
    names, points = true_places(truth)
    unit = unit_px(limb, names, points) if len(names) >= 2 else None
    numbers = PipelineSettings().limb(limb)
    groups = {"view": truth.view.value, "age": "immature" if labelled.immature else "adult"}
    if len(names) >= 3:
        quarter = round(turn_deg(limb, names, points) / 90) % 4
        groups["orientation"] = f"{LIMBS[limb].digits} {_TURNS[quarter]}"
    if unit is not None:
        groups["size"] = _size(unit, numbers.unit_unscored_px, numbers.unit_flagged_px)
    groups["film"] = "clean" if labelled.clean else "other"
    if labelled.kept_out is not None:
        groups["seen in training"] = "no" if labelled.kept_out else "possible"
    final = one.results[0] if result is None else result
    same = result is not None
    if truth.laterality is not None:
        same = same and final.laterality is truth.laterality
    # Grades are compared joint by joint: only a limb that was not held counts as found.
    found = final.status is Status.NOT_GRADED and truth.status is Status.SCORED
    fate = found or (final.status is truth.status and final.reason == truth.reason)
    return FilmRow(
        patient=patient,
        limb=limb,
        groups=groups,
        clean=labelled.clean,
        sharp=unit is not None and unit >= numbers.unit_flagged_px,
        limb_right=result is not None,
        side_right=None if truth.laterality is None else same,
        wanted=truth.status,
        fate_right=fate if labelled.fate_known else None,
        complete=all(joint.certain for joint in joints) if joints else None,
        status=final.status,
        reason=final.reason,
        dice=one.dice,
        whole=not labelled.crops,
    )


def _limb(truth: LimbResult) -> Limb:
    if truth.limb is None:
        raise ValueError(f"{truth.file}: its truth names no limb")
    return truth.limb


def _size(unit: float, unscored: float, flagged: float) -> str:
    if unit < unscored:
        return f"under {unscored:.0f} px"
    return f"{unscored:.0f} to {flagged:.0f} px" if unit < flagged else f"{flagged:.0f} px and more"


def _joint_rows(film: int, one: Measured) -> Iterator[JointRow]:
    truth = one.labelled.truth
    limb = _limb(truth)
    names, points = true_places(truth)
    if len(names) < 2:
        return
    reach = REACH[limb] * unit_px(limb, names, points)
    seen = [
        pair
        for result in one.results
        if result.limb is limb
        for pair in named(result, certain=False).items()
    ]
    for name, place in zip(names, points, strict=True):
        near = [(given, joint) for given, joint in seen if _apart(joint, place) <= reach]
        yield JointRow(
            film=film,
            found=bool(near),
            named=any(given == name for given, _ in near),
            certain=any(joint.name == name for _, joint in near),
            misnamed=any(joint.name not in (None, name) for _, joint in near),
        )


def _apart(joint: JointScore, place: Points) -> float:
    return float(np.hypot(*(np.asarray(joint.centre) - place)))


def _grade_rows(film: int, one: Measured, *, presumed: bool = False) -> Iterator[GradeRow]:
    """Compare each joint under the name that it was given: a wrong name gives a wrong grade."""
    result = one.result
    given = {} if result is None else {joint.name: joint for joint in result.joints if joint.name}
    for joint in one.labelled.truth.joints:
        if joint.name is None:
            continue
        other = given.get(joint.name)
        for kind in KINDS:
            true = getattr(joint, kind)
            if presumed:
                narrows = kind == "erosion" or has_narrowing(_limb(one.labelled.truth), joint.name)
                true = 0 if true is None and narrows else None
            if true is None:
                continue
            grade = None if other is None else getattr(other, kind)
            why = _missing_reason(result) if other is None else getattr(other, f"{kind}_reason")
            yield GradeRow(
                film=film,
                joint=joint.name,
                kind=kind,
                true=true,
                given=NOT_SCORED if grade is None else grade,
                expected=None if other is None else getattr(other, f"{kind}_expected"),
                reason=None if grade is not None else why or NOT_FOUND,
                probabilities=one.probabilities.get((joint.name, kind)),
            )


def _missing_reason(result: LimbResult | None) -> str:
    if result is None:
        return NOT_FOUND
    return str(NullReason.HELD) if result.status is Status.HELD else NOT_FOUND


def _box_rows(measured: Sequence[Measured]) -> tuple[list[BoxRow], list[tuple[int, str]]]:
    """Match found boxes with true ones, film by film: the surest first, each truth once."""
    by_film: dict[object, list[int]] = {}
    for index, one in enumerate(measured):
        by_film.setdefault(one.labelled.path, []).append(index)
    boxes: list[BoxRow] = []
    truths: list[tuple[int, str]] = []
    for indices in by_film.values():
        wanted = [
            (index, f"{measured[index].labelled.truth.limb} {its}", box)
            for index in indices
            for its, box in measured[index].labelled.boxes
        ]
        if not wanted:
            continue
        truths += [(index, label) for index, label, _ in wanted]
        found = [
            (joint.confidence or 0.0, f"{result.limb} {joint_class(name)}", joint.box)
            for result in measured[indices[0]].results
            for name, joint in named(result, certain=False).items()
            if joint.box is not None
        ]
        boxes += _matched(indices[0], wanted, sorted(found, key=lambda box: -box[0]))
    return boxes, truths


def _matched(
    first: int,
    wanted: Sequence[tuple[int, str, tuple[float, ...]]],
    found: Sequence[tuple[float, str, tuple[float, ...]]],
) -> Iterator[BoxRow]:
    free = [set(range(len(wanted))) for _ in _OVERLAPS]
    for confidence, label, box in found:
        overlaps = {
            i: _overlap(box, true) for i, (_, its, true) in enumerate(wanted) if its == label
        }
        film, hits = first, []
        for least, left in zip(_OVERLAPS, free, strict=True):
            fits = [i for i in overlaps if i in left and overlaps[i] >= least]
            best = max(fits, key=lambda i: overlaps[i], default=None)
            hits.append(best is not None)
            if best is not None:
                left.remove(best)
                film = wanted[best][0]
        yield BoxRow(film, label, confidence, (hits[0], hits[1]))


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Intersection over union of two boxes (x, y, width, height)."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    both = max(width, 0.0) * max(height, 0.0)
    return both / (one[2] * one[3] + other[2] * other[3] - both)
