"""Checks whether a data set is fit to train on: counts, and every fault by patient.

Layer: training.datasets; reads every film of the set once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.anatomy import JointClass, Limb, View, unit_joints
from edge.model import Laterality, LateralitySource
from edge.pipeline.identify import identify
from edge.pipeline.namings import Prior
from edge.pipeline.settings import PipelineSettings
from edge.pipeline.template import apply, unit_px
from phantom.ra2_columns import ScoreKind
from training.datasets.files import Decoded, decode_or_fault, shown
from training.datasets.truth import Code, DataSet, Fault, FilmTruth, grade_maximum

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SMALLEST_FILM_PX = 300
"""Shorter side; the cohort's 5 % are 308 (feet) and 455 px (hands)."""

Task = tuple[Limb, ScoreKind]
Counts = dict[Task, dict[JointClass, Counter[int]]]


@dataclass(frozen=True)
class Checked:
    """What a check found. ``resolution_px`` is the shorter side of films, by limb."""

    dataset: DataSet
    counts: Counts
    boxes: dict[Limb, Counter[JointClass]]
    masks: dict[Limb, int]
    faults: tuple[Fault, ...]
    resolution_px: dict[Limb, tuple[int, ...]] = field(default_factory=dict)

    @property
    def trainable(self) -> bool:
        """Whether no fault stops a training."""
        return not any(fault.stops for fault in self.faults)


def check_dataset(dataset: DataSet, progress: Callable[[int, int], None]) -> Checked:
    """Read every film, count every grade, and collect what is wrong."""
    faults = list(dataset.faults)
    same: dict[str, list[FilmTruth]] = defaultdict(list)
    limbs: dict[tuple[str, Limb, Laterality], list[FilmTruth]] = defaultdict(list)
    sizes: dict[Limb, list[int]] = {limb: [] for limb in Limb}
    damaged = {fault.where for fault in faults if fault.code is Code.FILM_DAMAGED}
    for number, film in enumerate(dataset.films):
        progress(number, len(dataset.films))
        if film.limb is not None and film.laterality is not None and film.path is not None:
            limbs[film.patient, film.limb, film.laterality].append(film)
        if film.path is None:
            faults += _crops(film, dataset.folder)
            continue
        if film.name in damaged:
            continue
        decoded = decode_or_fault(film.path, dataset.folder, faults)
        if decoded is None:
            continue
        same[decoded.sha256].append(film)
        if film.limb is not None:
            sizes[film.limb].append(min(decoded.film.stored_size))
        faults += _film_faults(film, decoded, dataset.folder)
    progress(len(dataset.films), len(dataset.films))
    faults += _duplicates(same)
    faults += _several(limbs, {fault.where for fault in faults if fault.code is Code.TWO_FILMS})
    counts = count_grades(dataset)
    faults += _holes(dataset, counts)
    return Checked(
        dataset,
        counts,
        _count_boxes(dataset),
        {limb: sum(f.mask is not None and f.limb is limb for f in dataset.usable) for limb in Limb},
        tuple(sorted(faults, key=lambda f: (not f.stops, f.patient or "", f.code, f.where))),
        {limb: tuple(sorted(found)) for limb, found in sizes.items() if found},
    )


def count_grades(dataset: DataSet) -> Counts:
    """How many joints of each class have each grade, by task."""
    counts: Counts = {}
    for film in dataset.usable:
        for joint in film.joints:
            for kind in ScoreKind:
                grade = joint.grade(kind)
                if grade is not None and film.limb is not None:
                    task = counts.setdefault((film.limb, kind), {})
                    task.setdefault(joint.joint_class, Counter())[grade] += 1
    return counts


def _count_boxes(dataset: DataSet) -> dict[Limb, Counter[JointClass]]:
    boxes: dict[Limb, Counter[JointClass]] = {}
    for film in dataset.usable:
        if film.limb is not None:
            mine = boxes.setdefault(film.limb, Counter())
            mine.update(joint.joint_class for joint in film.joints if joint.place is not None)
    return boxes


def _film_faults(film: FilmTruth, decoded: Decoded, folder: Path) -> list[Fault]:
    faults = []
    width, height = decoded.film.stored_size
    if min(width, height) < SMALLEST_FILM_PX:
        faults.append(Fault(Code.LOW_RESOLUTION, film.name, f"{width} x {height} px", film.patient))
    faults += _stated_side(film, decoded)
    if film.mask is not None:
        mask = cv2.imread(str(film.mask), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
        where = shown(film.mask, folder)
        if mask is None:
            faults.append(Fault(Code.FILM_DAMAGED, where, "no picture", film.patient))
        elif mask.shape != (height, width):
            faults.append(
                Fault(
                    Code.SIZE_DIFFERS,
                    where,
                    f"the mask has {mask.shape[1]} x {mask.shape[0]} px, the film {width} x "
                    f"{height}",
                    film.patient,
                )
            )
    if film.limb is not None and not film.left_out:
        faults += _geometry(film, film.limb, decoded)
    return faults


def _stated_side(film: FilmTruth, decoded: Decoded) -> list[Fault]:
    """Tags against file name, and both against the data set."""
    stated = decoded.film.stated
    if stated.conflict is not None:
        return [Fault(Code.SIDE_CONFLICT, film.name, f"{stated.conflict} disagree", film.patient)]
    by_tag = stated.laterality_source is LateralitySource.DICOM
    if by_tag and stated.laterality not in (None, film.laterality) and film.laterality is not None:
        return [
            Fault(
                Code.SIDE_CONFLICT,
                film.name,
                f"its tags say {stated.laterality}, the data set {film.laterality}",
                film.patient,
            )
        ]
    if stated.limb is not None and film.limb is not None and stated.limb is not film.limb:
        return [
            Fault(
                Code.SIDE_CONFLICT,
                film.name,
                f"tags or name say {stated.limb}, the data set {film.limb}",
                film.patient,
            )
        ]
    return []


def _geometry(film: FilmTruth, limb: Limb, decoded: Decoded) -> list[Fault]:
    """The side and the resolution that the joints' places show, where there are places."""
    placed = [(joint, joint.place) for joint in film.joints if joint.place is not None]
    if not placed:
        return []
    stored = np.array([place for _, place in placed], np.float64)
    points = apply(decoded.film.stored_to_upright, stored)
    found = identify(limb, points, [joint.joint_class for joint, _ in placed], Prior())
    if found is None or not found.certain:
        return []
    faults = []
    names = [name or "" for name in found.names]
    odd = [
        f"{joint.name} lies where {name} would"
        for (joint, _), name in zip(placed, names, strict=True)
        if joint.name is not None and name and joint.name != name
    ]
    if odd:
        faults.append(
            Fault(Code.SIDE_AGAINST_GEOMETRY, film.name, "; ".join(odd[:3]), film.patient)
        )
    # The template is a left limb seen from the back of the hand; from the palm it is a right one.
    mirrored = found.shape.mirrored != (decoded.film.stated.view is View.AP and limb is Limb.HAND)
    side = Laterality.RIGHT if mirrored else Laterality.LEFT
    if film.laterality not in (None, side) and not odd:
        faults.append(
            Fault(
                Code.SIDE_AGAINST_GEOMETRY,
                film.name,
                f"its joints lie as on a film of the other side than {film.laterality}: mirrored, "
                "or named wrong",
                film.patient,
            )
        )
    if set(unit_joints(limb)) <= set(names):
        unit = unit_px(limb, names, points)
        least = PipelineSettings().limb(limb).unit_unscored_px
        if unit < least:
            pair = "-".join(unit_joints(limb))
            faults.append(
                Fault(
                    Code.LOW_RESOLUTION,
                    film.name,
                    f"{pair} is {unit:.0f} px; under {least:.0f} joints are not scored",
                    film.patient,
                )
            )
    return faults


def _crops(film: FilmTruth, folder: Path) -> list[Fault]:
    return [
        Fault(Code.FILM_DAMAGED, shown(joint.crop, folder), "no picture", film.patient)
        for joint in film.joints
        if joint.crop is not None and cv2.imread(str(joint.crop), cv2.IMREAD_GRAYSCALE) is None
    ]


def _duplicates(same: dict[str, list[FilmTruth]]) -> list[Fault]:
    faults = []
    for films in same.values():
        for film in films[1:]:
            whose = films[0]
            # Two limbs of one film are two lines of one file.
            if film.path == whose.path and film.limb is not whose.limb:
                continue
            if film.path == whose.path and film.laterality is not whose.laterality:
                continue
            faults.append(
                Fault(
                    Code.DUPLICATE_FILM,
                    film.name,
                    f"the same bytes as {whose.name} of patient {whose.patient}",
                    film.patient,
                )
            )
    return faults


def _several(
    limbs: dict[tuple[str, Limb, Laterality], list[FilmTruth]], reported: set[str]
) -> list[Fault]:
    return [
        Fault(
            Code.TWO_FILMS,
            films[0].name,
            f"{len(films)} films of one limb: {', '.join(film.name for film in films)}",
            patient,
        )
        for (patient, _, _), films in limbs.items()
        if len(films) > 1 and films[0].name.rpartition(".")[0] not in reported
    ]


def _holes(dataset: DataSet, counts: Counts) -> list[Fault]:
    """Grades that no joint has, and a set that holds nothing to learn."""
    if not any(
        joint.place is not None or joint.erosion is not None or joint.narrowing is not None
        for film in dataset.usable
        for joint in film.joints
    ) and not any(film.mask for film in dataset.usable):
        return [Fault(Code.NOTHING_TO_TRAIN, dataset.folder.name, "no grade, no box and no mask")]
    faults = []
    for (limb, kind), classes in counts.items():
        total = sum(classes.values(), Counter[int]())
        highest = grade_maximum(limb, limb.joints[-1], kind) or 0
        missing = [str(grade) for grade in range(highest + 1) if not total[grade]]
        if missing:
            faults.append(
                Fault(
                    Code.NO_GRADES_OF_CLASS,
                    f"{limb} {kind}",
                    f"no joint of grade {', '.join(missing)}: it cannot be learnt",
                )
            )
    return faults
