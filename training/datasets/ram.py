"""The scoring part of RAM-H1200: one folder a hand with a crop a joint, two JSON files of grades.

Layer: training.datasets; the wrist's joints are counted and left out: the method scores none.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from edge.anatomy import Limb, joint_class
from edge.model import Laterality
from phantom.ra2_columns import ScoreKind
from training.datasets.files import grade, read_text, shown, walk
from training.datasets.truth import Code, Fault, FilmTruth, JointTruth, grade_maximum

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from training.datasets.files import Films
    from training.datasets.options import Options

FILES = {
    ScoreKind.EROSION: ("_annotation_be_scores.json", "BE_"),
    ScoreKind.NARROWING: ("_annotation_jsn_scores.json", "JSN_"),
}
_FINGERS = dict(zip("TIMRS", "12345", strict=True))
_ENDINGS = (".bmp", ".png", ".jpg")
_SIDE = re.compile(r"[LR]\Z")


def ram_files(folder: Path) -> list[Path]:
    """The erosion files of every split in a folder."""
    return [path for path in walk(folder) if path.name == FILES[ScoreKind.EROSION][0]]


def ram_joint(stem: str) -> str | None:
    """Our name of ``MCP-I``, ``PIP-R`` or ``IP``; ``None`` for a wrist's joint."""
    if stem == "IP":
        return "IP1"
    region, _, finger = stem.partition("-")
    name = f"{region}{_FINGERS.get(finger, '')}"
    return name if name in Limb.HAND.joints else None


def read_ram(
    files: Sequence[Path],
    films: Films,
    options: Options,  # noqa: ARG001 - the signature of every reader
    faults: list[Fault],
) -> list[FilmTruth]:
    """Hands of every split, each with the crops of its joints."""
    folder = films.folder
    found: list[FilmTruth] = []
    for erosion in files:
        tables = {
            kind: _table(erosion.with_name(name), folder, faults)
            for kind, (name, _) in FILES.items()
        }
        for image in sorted(set().union(*tables.values())):
            scores = {kind: table.get(image) for kind, table in tables.items()}
            hand = _hand(erosion.parent, image, scores, folder, faults)
            if hand is not None:
                found.append(hand)
    return found


def _table(path: Path, folder: Path, faults: list[Fault]) -> dict[str, Any]:
    where = shown(path, folder)
    if not path.is_file():
        faults.append(Fault(Code.NOT_UNDERSTOOD, where, "the file is missing"))
        return {}
    try:
        tree = json.loads(read_text(path, faults, folder))
    except (ValueError, RecursionError) as error:
        faults.append(Fault(Code.NOT_UNDERSTOOD, where, f"no JSON: {str(error)[:120]}"))
        return {}
    if not isinstance(tree, dict):
        faults.append(Fault(Code.NOT_UNDERSTOOD, where, "no map from hand to scores"))
        return {}
    return tree


def _hand(
    split: Path, image: str, scores: dict[ScoreKind, Any], folder: Path, faults: list[Fault]
) -> FilmTruth | None:
    stem = image.rpartition(".")[0] or image
    place = split / stem
    if "/" in stem or "\\" in stem or stem.startswith("."):
        faults.append(Fault(Code.OUTSIDE_FOLDER, image[:80], "its name leads elsewhere"))
        return None
    crops = {
        name: path
        for path in (sorted(place.iterdir()) if place.is_dir() else [])
        if path.suffix.lower() in _ENDINGS and (name := ram_joint(path.stem)) is not None
    }
    if not crops:
        faults.append(Fault(Code.FILM_MISSING, f"{stem}/", "no crop of a scored joint", stem))
        return None
    side = _SIDE.search(stem)
    patient = stem[:-1].rstrip("-_ ") if side else stem
    grades = {
        (joint, kind): _grade(scores[kind], prefix, joint, kind, f"{stem} {joint} {kind}", patient,
                              faults)
        for joint in crops
        for kind, (_, prefix) in FILES.items()
    }  # fmt: skip
    joints = tuple(
        JointTruth(
            name=joint,
            joint_class=joint_class(joint),
            erosion=grades[joint, ScoreKind.EROSION],
            narrowing=grades[joint, ScoreKind.NARROWING],
            crop=path,
        )
        for joint, path in crops.items()
    )
    return FilmTruth(
        name=shown(place, folder),
        path=None,
        patient=patient or stem,
        limb=Limb.HAND,
        laterality=Laterality(side[0]) if side else None,
        joints=joints,
    )


def _grade(
    row: Any, prefix: str, joint: str, kind: ScoreKind, where: str, patient: str,
    faults: list[Fault],
) -> int | None:  # fmt: skip
    if not isinstance(row, dict):
        return None
    keys = {ram_joint(key.removeprefix(prefix)): key for key in row if key.startswith(prefix)}
    given = row.get(keys.get(joint, ""))
    maximum = grade_maximum(Limb.HAND, joint, kind)
    if maximum is None:
        if given is not None:
            faults.append(Fault(Code.NO_SUCH_SCORE, where, f"SvH gives {joint} no {kind}", patient))
        return None
    return grade(given, maximum, where, patient, faults)
