"""Any labelled folder as a set to measure, in every layout and with this project's own files.

Layer: training.evaluation; reads labels through `training.datasets`; films are read when they are
scored.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge.anatomy import has_narrowing, joint_class
from edge.errors import REASONS
from edge.model import JointScore, LimbResult, Status, Versions
from phantom.ra2_columns import ScoreKind
from training.datasets.places import stated_places
from training.datasets.reading import read_dataset
from training.datasets.split import Part, split_patients
from training.datasets.truth import JointTruth, grade_maximum
from training.errors import TrainingError
from training.evaluation.truth import TRUTH_NAME, Kind, LabelledSet, TruthLimb, read_truth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from edge.anatomy import Limb
    from training.datasets.truth import DataSet, FilmTruth


READY_MADE = (
    "joints are ready-made crops of the set, not cut by this pipeline: nothing is said of finding "
    "them"
)


READ_OFF = (
    "boxes that say only their class got the names that their places give away, where these are "
    "certain"
)


def read_set(folder: Path, layout: str | None = None) -> LabelledSet:
    """Read a folder in any layout of `training.datasets.readers`.

    A ``truth.jsonl`` of the simulator or of painted films is read in full. Raises
    `TrainingError` where nothing is known of any film.
    """
    if layout is None and (folder / TRUTH_NAME).is_file():
        try:
            own = read_truth(folder)
        except TrainingError:
            # Shorter than a result: the readers of data sets report what is wrong with it.
            own = None
        if own is not None and own.kind is not Kind.REAL:
            tested = _tested(limb.patient for limb in own.limbs)
            limbs = tuple(replace(limb, kept_out=limb.patient in tested) for limb in own.limbs)
            return replace(own, limbs=limbs, fresh=False)
    return of_dataset(read_dataset(folder, layout))


def _tested(patients: Iterable[str]) -> set[str]:
    """Patients whom a training on this set keeps for its test; none where it cannot be split."""
    try:
        parts = split_patients(patients)
    except TrainingError:
        return set()
    return {patient for patient, part in parts.items() if part is Part.TEST}


def of_dataset(dataset: DataSet) -> LabelledSet:
    """Films of a data set as labelled limbs; those whose limb is not known stay out."""
    tested = _tested(film.patient for film in dataset.usable)
    limbs = tuple(
        limb
        for film in dataset.films
        if (limb := _of_film(film, kept_out=film.patient in tested)) is not None
    )
    if not limbs:
        raise TrainingError(
            f"{dataset.folder}: no film with a known limb is there",
            fix="see sharpedge train data check on this folder",
        )
    kind = Kind.PHANTOM if dataset.simulated else Kind.REAL
    notes: tuple[str, ...] = (f"read as {' + '.join(dataset.layouts)}",)
    if any(limb.crops for limb in limbs):
        notes += (READY_MADE,)
    if any(joint.name is None for film in dataset.films for joint in film.joints):
        notes += (READ_OFF,)
    if dataset.faults:
        notes += (f"{len(dataset.faults)} faults in the labels: see sharpedge train data check",)
    return LabelledSet(dataset.folder.name, kind, limbs, notes)


def _of_film(film: FilmTruth, *, kept_out: bool) -> TruthLimb | None:
    limb = film.limb
    crops = {j.name: j.crop for j in film.joints if j.name is not None and j.crop is not None}
    path = film.path or next((crop.parent for crop in crops.values()), None)
    if limb is None or path is None:
        return None
    known = named_joints(film)
    held = film.left_out or None
    truth = LimbResult(
        file=path.name,
        limb_index=0,
        status=Status.SCORED if held is None else _status_of(held),
        reason=held,
        limb=limb,
        laterality=film.laterality,
        joints=tuple(_of_joint(limb, joint) for joint in known),
        n_expected=len(limb.joints),
        versions=Versions(software="labels"),
    )
    return TruthLimb(
        path=path,
        patient=film.patient,
        truth=truth,
        kept_out=kept_out,
        mask=film.mask,
        class_boxes=tuple(
            (joint.joint_class, joint.box)
            for joint in film.joints
            if joint.name is None and joint.box is not None
            if joint.box not in {one.box for one in known}
        ),
        fate_known=held is not None,
        names_given=all(joint.name is not None for joint in film.joints),
        crops={} if film.path else crops,
    )


def named_joints(film: FilmTruth) -> tuple[JointTruth, ...]:
    """Joints whose name is known, each once, with its grades and its place.

    Boxes with a class alone get the names that follow from their places, where these are certain.
    """
    named = {joint.name: joint for joint in film.joints if joint.name is not None}
    placed = None
    if any(joint.name is None for joint in film.joints):
        placed = stated_places(film)
    if placed is not None:
        boxes = {joint.place: joint.box for joint in film.joints}
        for name, (x, y) in zip(placed.names, placed.points.tolist(), strict=True):
            joint = named.get(name) or JointTruth(name, joint_class(name))
            named[name] = replace(joint, centre=(x, y), box=boxes.get((x, y), joint.box))
    return tuple(named[name] for name in sorted(named, key=_place_in(film.limb)))


def _place_in(limb: Limb | None) -> Callable[[str], int]:
    order = () if limb is None else limb.joints
    return lambda name: order.index(name) if name in order else len(order)


def _status_of(reason: str) -> Status:
    return next((text.status for code, text in REASONS.items() if code == reason), Status.HELD)


def _of_joint(limb: Limb, joint: JointTruth) -> JointScore:
    """A joint's truth; grades beyond what SvH gives are left out, as `data check` says."""
    name = joint.name or ""
    grades = {}
    for kind in ScoreKind:
        grade, top = joint.grade(kind), grade_maximum(limb, name, kind)
        if grade is not None and top is not None and 0 <= grade <= top:
            grades[kind.value] = grade
    return JointScore(
        name=name,
        box=joint.box,
        centre=joint.place,
        erosion=grades.get("erosion"),
        narrowing=grades.get("narrowing") if has_narrowing(limb, name) else None,
    )
