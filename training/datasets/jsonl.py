"""JSON Lines: ``truth.jsonl``, one limb of one film a line, as ``sharpedge phantom`` writes it.

Layer: training.datasets; reads one file. A line needs ``file``, ``limb`` and ``joints`` (``name``,
``erosion``, ``narrowing``, ``centre``, ``box``; what is not known is null or left out); it may have
``laterality``, ``patient`` and ``status``. Everything else is passed over.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from edge.anatomy import Limb, joint_class
from edge.imaging.identity import identity_of_name
from edge.model import Laterality, Status
from phantom.ra2_columns import ScoreKind
from training.datasets.files import grade, number, read_text, shown, walk
from training.datasets.truth import Code, Fault, FilmTruth, JointTruth, grade_maximum

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from training.datasets.files import Films
    from training.datasets.options import Options

TRUTH_NAME = "truth.jsonl"


def jsonl_files(folder: Path) -> list[Path]:
    """Files of a folder with the name of this layout."""
    return [path for path in walk(folder) if path.name == TRUTH_NAME]


def read_jsonl(
    files: Sequence[Path],
    films: Films,
    options: Options,  # noqa: ARG001 - the signature of every reader
    faults: list[Fault],
) -> list[FilmTruth]:
    """Films of the one ``truth.jsonl``; a line that cannot be used is a fault."""
    (path,) = files
    found = []
    name = shown(path, films.folder)
    for number_, line in enumerate(read_text(path, faults, films.folder).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{name}:{number_}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            faults.append(Fault(Code.NOT_UNDERSTOOD, where, f"no JSON: {str(error)[:120]}"))
            continue
        film = _film(row, where, path.parent, films, faults)
        if film is not None:
            found.append(film)
    return found


def _film(
    row: Any, where: str, beside: Path, films: Films, faults: list[Fault]
) -> FilmTruth | None:
    file = row.get("file") if isinstance(row, dict) else None
    if not isinstance(file, str) or not file.strip() or "\0" in file:
        faults.append(Fault(Code.NOT_UNDERSTOOD, where, "the key file is missing or no text"))
        return None
    by_name = identity_of_name(file)
    stated = row.get("patient")
    patient = stated if isinstance(stated, str) and stated else by_name.id if by_name else None
    patient = patient or PurePosixPath(file).stem or file
    if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts or "\\" in file:
        faults.append(
            Fault(Code.OUTSIDE_FOLDER, where, f"{file[:80]!r} leads out of the folder", patient)
        )
        return None
    limb, side = _one_of(Limb, row.get("limb")), _one_of(Laterality, row.get("laterality"))
    for key, value, given in (
        ("limb", limb, row.get("limb")),
        ("laterality", side, row.get("laterality")),
    ):
        if given is not None and value is None:
            faults.append(
                Fault(Code.NOT_UNDERSTOOD, where, f"{key} is {str(given)[:40]!r}", patient)
            )
            return None
    path: Path | None = beside / file
    if path is None or not path.is_file():
        path = films.named(file)
    if path is None:
        faults.append(Fault(Code.FILM_MISSING, where, f"{file[:80]!r} is not there", patient))
        return None
    held = "" if row.get("status") in (None, Status.SCORED.value) else str(row.get("reason"))
    joints = row.get("joints") or []
    if not isinstance(joints, list):
        faults.append(Fault(Code.NOT_UNDERSTOOD, where, "joints is no list", patient))
        return None
    return FilmTruth(
        name=shown(path, films.folder),
        path=path,
        patient=patient,
        limb=limb,
        laterality=side,
        joints=_joints(joints, limb, where, patient, faults),
        left_out=held,
        simulated="phantom" in flags if isinstance(flags := row.get("flags"), list) else False,
    )


def _joints(
    rows: list[Any], limb: Limb | None, where: str, patient: str, faults: list[Fault]
) -> tuple[JointTruth, ...]:
    joints: list[JointTruth] = []
    for row in rows:
        name = row.get("name") if isinstance(row, dict) else None
        if limb is None or name not in limb.joints:
            faults.append(
                Fault(Code.UNKNOWN_CLASS, where, f"no joint of {limb}: {str(name)[:40]!r}", patient)
            )
            continue
        at = f"{where} {name}"
        if any(joint.name == name for joint in joints):
            faults.append(Fault(Code.JOINT_TWICE, at, "the joint is there twice", patient))
            continue
        grades = {
            kind: _grade(row.get(kind.value), limb, name, kind, at, patient, faults)
            for kind in ScoreKind
        }
        joints.append(
            JointTruth(
                name=name,
                joint_class=joint_class(name),
                box=_box(row.get("box"), at, patient, faults),
                centre=_point(row.get("centre"), at, patient, faults),
                erosion=grades[ScoreKind.EROSION],
                narrowing=grades[ScoreKind.NARROWING],
            )
        )
    return tuple(joints)


def _grade(
    given: object,
    limb: Limb,
    joint: str,
    kind: ScoreKind,
    where: str,
    patient: str,
    faults: list[Fault],
) -> int | None:
    maximum = grade_maximum(limb, joint, kind)
    if maximum is not None:
        return grade(given, maximum, f"{where} {kind}", patient, faults)
    if given is not None:
        faults.append(Fault(Code.NO_SUCH_SCORE, where, f"SvH gives {joint} no {kind}", patient))
    return None


def _floats(given: object, count: int) -> list[float] | None:
    if not isinstance(given, list) or len(given) != count:
        return None
    values = [number(item) for item in given if not isinstance(item, str)]
    known = [value for value in values if value is not None]
    return known if len(known) == count else None


def _point(
    given: object, where: str, patient: str, faults: list[Fault]
) -> tuple[float, float] | None:
    if given is None:
        return None
    values = _floats(given, 2)
    if values is None:
        faults.append(Fault(Code.IMPOSSIBLE_BOX, where, "centre is no pair of numbers", patient))
        return None
    return values[0], values[1]


def _box(
    given: object, where: str, patient: str, faults: list[Fault]
) -> tuple[float, float, float, float] | None:
    if given is None:
        return None
    values = _floats(given, 4)
    if values is None or min(values[2:]) <= 0:
        faults.append(
            Fault(Code.IMPOSSIBLE_BOX, where, "box is no x, y, width and height", patient)
        )
        return None
    return values[0], values[1], values[2], values[3]


def _one_of(kind: Any, given: object) -> Any:
    try:
        return kind(given)
    except ValueError:
        return None
