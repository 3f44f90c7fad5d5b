"""Labelled sets: what is known of each film, as one type for all sources.

Layer: training.evaluation; reads truth files and label tables, and looks whether the films are
there.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from edge.anatomy import NARROWING_MAXIMUM, JointClass, Limb, View, joint_box_side_px, joint_class
from edge.enums import StrEnum
from edge.imaging.identity import identity_of_name
from edge.model import Box, JointScore, LimbResult, Status, Versions
from edge.pipeline.template import unit_px
from training.datasets.labelled_films import is_validation
from training.errors import TrainingError
from training.evaluation.measure_identity import finite

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TRUTH_NAME = "truth.jsonl"
_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".dcm")
_PAINTED = re.compile(r"^(.+)-(?:hand|foot)\d+$")
_TROUBLE = ("cast", "bandage", "cut", "flexed", "overlap", "foreshortened", "amputated", "implant")


class Kind(StrEnum):
    """Of what kind a set's truth is: decides what its figures may be called."""

    PHANTOM = "phantom"
    PAINTED = "painted"
    REAL = "real"


class Split(StrEnum):
    """Which part of a set is measured."""

    PATIENT = "patient"
    PAPER = "paper"
    ALL = "all"


PAPER_SPLIT = (
    "the paper's, by joint: 10 % of the joints of each scorer with random state 42. IT LEAKS "
    "PATIENTS: joints of one patient stand in training and test, so the figures are too good for a "
    "new patient. For comparison with the paper's Table 1 only"
)


@dataclass(frozen=True)
class TruthLimb:
    """What is known of one limb of one film.

    ``truth`` is in the shape of a result: joints with their places, boxes and grades as far as they
    are known, in pixels of the film as stored; ``healthy`` says that every joint is presumed to be
    without arthritis; ``kept_out`` that no training here has seen the film, ``None`` where
    nothing is known of it; ``class_boxes`` are boxes of joints of which only the class is known;
    ``fate_known`` that the truth says whether the film should be scored or held; ``names_given``
    that the names were given, and not inferred from places; ``crops`` are
    ready-made pictures of joints by name, where the set has those and no film (``path`` is then
    their folder).
    """

    path: Path
    patient: str
    truth: LimbResult
    issues: str = ""
    immature: bool = False
    healthy: bool = False
    kept_out: bool | None = None
    mask: Path | None = None
    class_boxes: tuple[tuple[JointClass, Box], ...] = ()
    fate_known: bool = True
    names_given: bool = True
    crops: Mapping[str, Path] = field(default_factory=dict)

    @property
    def boxes(self) -> tuple[tuple[JointClass, Box], ...]:
        """Detector class and box of every joint whose box is known, its name known or not."""
        named = [
            (joint_class(joint.name), joint.box)
            for joint in self.truth.joints
            if joint.name is not None and joint.box is not None
        ]
        return (*named, *self.class_boxes)

    @property
    def clean(self) -> bool:
        """An adult's plain view without cast, cut, flexion, overlap or implant."""
        plain = self.truth.view in (View.PA, View.AP)
        return plain and not self.immature and not any(word in self.issues for word in _TROUBLE)


@dataclass(frozen=True)
class LabelledSet:
    """Limbs with known truth in the set's own order, of what kind it is, what to know of it.

    ``fresh``: no training can have seen any of it, so that every film is measured.
    """

    name: str
    kind: Kind
    limbs: tuple[TruthLimb, ...]
    notes: tuple[str, ...] = ()
    fresh: bool = False


def patient_of(file: str) -> str:
    """Patient in a film's name: ``P0001-LH.jpg`` is of ``P0001``.

    A name without a limb at its end is a patient of its own; of a painted film (``X-hand3.jpg``)
    the film that was painted on.
    """
    by_name = identity_of_name(file)
    if by_name is not None and by_name.id is not None:
        return by_name.id
    stem = PurePosixPath(file).stem or file
    painted = _PAINTED.match(stem)
    return painted.group(1) if painted else stem


def read_truth(folder: Path) -> LabelledSet:
    """Read a folder with ``truth.jsonl``: simulated, painted, or a clinic's own.

    Raises `TrainingError` for a file that cannot be read, a line that is no result, or a film that
    is not there.
    """
    path = folder / TRUTH_NAME
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(
            f"{path}: no truth can be read there ({_why(error)})",
            fix="name a folder with films and truth.jsonl, as sharpedge phantom writes it",
        ) from error
    limbs = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            truth = LimbResult.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            raise TrainingError(
                f"{path}, line {number}: {'.'.join(map(str, first['loc']))}: {first['msg']}",
                fix="one JSON object a line, as sharpedge phantom writes it",
            ) from error
        _refuse_impossible(truth, f"{path}, line {number}")
        limbs.append(_of_truth(folder, truth))
    if not limbs:
        raise TrainingError(f"{path}: it holds no film", fix="name a folder with labelled films")
    flags = {flag for limb in limbs for flag in limb.truth.flags}
    kind = Kind.PAINTED if "painted" in flags else Kind.PHANTOM if "phantom" in flags else Kind.REAL
    return LabelledSet(folder.name, kind, tuple(limbs), fresh=kind is not Kind.REAL)


def _refuse_impossible(truth: LimbResult, where: str) -> None:
    """Raise `TrainingError` for a limb, a joint or a grade that there is not."""
    if truth.limb is None:
        raise TrainingError(f"{where}: no limb is named", fix="state hand or foot")
    for joint in truth.joints:
        if joint.name is None:
            continue
        if joint.name not in truth.limb.joints:
            raise TrainingError(
                f"{where}: a {truth.limb} has no scored joint {joint.name}",
                fix=f"name {', '.join(truth.limb.joints)}",
            )
        for kind, grade, most in (
            ("erosion", joint.erosion, truth.limb.erosion_maximum),
            ("narrowing", joint.narrowing, NARROWING_MAXIMUM),
        ):
            if grade is not None and grade > most:
                raise TrainingError(
                    f"{where}: {kind} of {joint.name} is {grade}", fix=f"give 0 to {most}"
                )


def _of_truth(folder: Path, truth: LimbResult) -> TruthLimb:
    path = folder / truth.file
    if not path.is_file():
        raise TrainingError(
            f"{path}: the film is not there", fix="keep the films beside their truth.jsonl"
        )
    patient = patient_of(truth.file)
    # A painting belongs to the fold of the film that was painted on.
    film = f"{patient}.jpg" if "painted" in truth.flags else patient
    mask = path.with_name(f"{path.stem}_mask.png")
    return TruthLimb(
        path=path,
        patient=patient,
        truth=truth,
        immature=truth.reason == "immature" or "immature" in truth.flags,
        kept_out=None if "phantom" in truth.flags else is_validation(film),
        mask=mask if mask.is_file() else None,
    )


def read_joint_table(films_dir: Path, table: Path, *, healthy: bool = False) -> LabelledSet:
    """Read joint places from a table: films' own labels, or landmarks.

    Columns ``film, limb, limb_no, view, immature, issues, joint, x_px, y_px`` (the project's
    labels) or ``image, limb, width, height, joint, x, y``. Films are searched by name in
    ``films_dir`` and below; those that are not there are left out. Raises `TrainingError` for a
    table that cannot be read, and where no film of it is there.
    """
    there = {
        path.name: path
        for path in sorted(films_dir.rglob("*"))
        if path.suffix.lower() in _SUFFIXES and not path.stem.endswith("_mask")
    }
    limbs = []
    for (film, name, _), rows in _read_rows(table).items():
        if film in there:
            truth = _of_rows(film, Limb(name), rows)
            limbs.append(
                TruthLimb(
                    path=there[film],
                    patient=patient_of(film),
                    truth=truth,
                    issues=rows[0].get("issues", ""),
                    immature=rows[0].get("immature", "") == "1",
                    healthy=healthy,
                    kept_out=is_validation(film),
                    fate_known=False,
                )
            )
    if not limbs:
        raise TrainingError(
            f"{films_dir}: none of the films of {table} is there",
            fix="name the folder that holds them, or the labels that belong to it (--labels)",
        )
    limbs.sort(key=lambda limb: limb.truth.file)
    return LabelledSet(films_dir.name, Kind.REAL, tuple(limbs))


def _read_rows(table: Path) -> dict[tuple[str, str, str], list[dict[str, str]]]:
    rows: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    try:
        with table.open(newline="", encoding="utf-8") as handle:
            for number, row in enumerate(csv.DictReader(handle), 2):
                film = row.get("film") or row.get("image")
                if not film or row.get("limb") not in set(Limb):
                    raise TrainingError(
                        f"{table}, line {number}: no film or no limb (hand, foot) is named",
                        fix="give the columns film, limb, joint, x_px, y_px",
                    )
                rows.setdefault((film, row["limb"], row.get("limb_no") or "0"), []).append(row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(
            f"{table}: the joint labels cannot be read ({_why(error)})", fix="name a CSV file"
        ) from error
    return rows


def _of_rows(film: str, limb: Limb, rows: list[dict[str, str]]) -> LimbResult:
    try:
        places = {
            row["joint"]: (finite(row.get("x_px") or row["x"]), finite(row.get("y_px") or row["y"]))
            for row in rows
        }
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"{film}: a joint's place cannot be read ({error})",
            fix="give the columns film, limb, joint, x_px, y_px, in pixels",
        ) from error
    view = rows[0].get("view", "unknown")
    return placed_truth(film, limb, places, View(view) if view in set(View) else View.UNKNOWN)


def placed_truth(
    film: str, limb: Limb, places: dict[str, tuple[float, float]], view: View
) -> LimbResult:
    """Truth that knows joint places alone; boxes are squares of the size usual for the joint."""
    named = {name: place for name, place in places.items() if name in limb.joints}
    points = np.array(list(named.values()), np.float64).reshape(-1, 2)
    unit = unit_px(limb, list(named), points) if named else 0.0
    joints = []
    for name, (x, y) in named.items():
        side = joint_box_side_px(limb, name, unit)
        box = (x - side / 2, y - side / 2, side, side)
        joints.append(JointScore(name=name, centre=(x, y), box=box))
    return LimbResult(
        file=film,
        limb_index=0,
        status=Status.SCORED,
        limb=limb,
        view=view,
        joints=tuple(joints),
        n_expected=len(limb.joints),
        versions=Versions(software="labels"),
    )


def part_of(labelled: LabelledSet, split: Split) -> LabelledSet:
    """The part that is measured: by patient, those whom every training leaves out.

    The paper's split draws joints, not films: every film is measured here and its joints are drawn
    later. Raises `TrainingError` where nothing is left.
    """
    if split is not Split.PATIENT or labelled.fresh:
        return labelled
    kept = tuple(limb for limb in labelled.limbs if limb.kept_out)
    if not kept:
        raise TrainingError(
            f"{labelled.name}: none of its patients is among those kept out of training",
            fix="add --split all where no training has seen these films",
        )
    whole, part = ({limb.patient for limb in limbs} for limbs in (labelled.limbs, kept))
    note = (
        f"{len(part)} of {len(whole)} patients are measured; the other {len(whole - part)} are "
        "left out, because a training on this set may have seen them"
    )
    return replace(labelled, limbs=kept, notes=(*labelled.notes, note))


def _why(error: BaseException) -> str:
    return (error.strerror or "") if isinstance(error, OSError) else str(error)
