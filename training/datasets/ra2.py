"""The RA2 layout: ``ID-LH.jpg``, ``-RH``, ``-LF``, ``-RF`` and one table of 90 columns.

Layer: training.datasets; reads one table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.anatomy import joint_class
from edge.model import Laterality
from phantom.ra2_columns import (
    HALLUX_NARROWING,
    HEADER,
    PATIENT_COLUMN,
    SCORE_COLUMNS,
    SUM_COLUMNS,
    TOTAL_COLUMN,
    ScoreKind,
)
from training.datasets.files import grade, number, read_table, read_text, shown, walk
from training.datasets.truth import Code, Fault, FilmTruth, JointTruth

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.anatomy import Limb
    from training.datasets.files import Films
    from training.datasets.options import Options

LEAST_COLUMNS = 10
"""A table with the patient's column and so many score columns is meant to be this one."""

_Key = tuple["Limb", Laterality]
_Grades = dict[_Key, dict[str, dict[ScoreKind, int | None]]]


def ra2_files(folder: Path) -> list[Path]:
    """Tables of a folder in this layout."""
    return [path for path in walk(folder) if is_ra2_table(path)]


def is_ra2_table(path: Path) -> bool:
    """Whether a file's first line is a header of this table; never raises for its contents."""
    if path.suffix.lower() not in {".csv", ".tsv", ".txt"}:
        return False
    try:
        with path.open("rb") as handle:
            head = handle.read(16_384)
    except OSError:
        return False
    text = head.replace(b"\0", b"").decode("utf-8", "replace").casefold()
    first = text.lstrip("\ufeff\ufffd").lstrip().partition("\n")[0]
    known = sum(column.name.casefold() in first for column in SCORE_COLUMNS)
    return PATIENT_COLUMN.casefold() in first and known >= LEAST_COLUMNS


def read_ra2(
    files: Sequence[Path], films: Films, options: Options, faults: list[Fault]
) -> list[FilmTruth]:
    """Films of the one table with the grades of their joints; rows without a film are faults."""
    (table,) = files
    where = shown(table, films.folder)
    try:
        header, rows = read_table(read_text(table, faults, films.folder))
    except ValueError as error:
        faults.append(Fault(Code.NOT_UNDERSTOOD, where, f"no table: {error}"))
        return []
    columns = {name.casefold(): at for at, name in enumerate(header)}
    faults.extend(
        Fault(Code.COLUMN_MISSING, where, f"the column {name} is missing")
        for name in HEADER
        if name.casefold() not in columns
    )
    found: list[FilmTruth] = []
    seen: dict[str, int] = {}
    for line, row in rows:
        cells = {
            name: row[columns[name.casefold()]] if columns[name.casefold()] < len(row) else ""
            for name in HEADER
            if name.casefold() in columns
        }
        patient = cells.get(PATIENT_COLUMN, "")
        at = f"{where}:{line}"
        if not patient or len(row) != len(header):
            why = "no patient" if not patient else f"{len(row)} cells under {len(header)} columns"
            faults.append(Fault(Code.NOT_UNDERSTOOD, at, why, patient or None))
            continue
        if patient in seen:
            faults.append(Fault(Code.TWO_ROWS, at, f"as in line {seen[patient]}", patient))
            continue
        seen[patient] = line
        if options.swap_hallux_narrowing:
            left, right = HALLUX_NARROWING
            cells[left], cells[right] = cells.get(right, ""), cells.get(left, "")
        found += _films(patient, _grades(cells, at, patient, faults), films, options, faults)
    return found


def _grades(cells: dict[str, str], at: str, patient: str, faults: list[Fault]) -> _Grades:
    """Grades by film, joint and kind, the wrist's only checked; the sums are compared."""
    grades: _Grades = {}
    sums = dict.fromkeys(ScoreKind, 0)
    whole = True
    for column in SCORE_COLUMNS:
        cell = cells.get(column.name)
        value = grade(cell, column.maximum, f"{at} {column.name}", patient, faults)
        whole &= value is not None
        sums[column.kind] += value or 0
        if column.joint is not None:
            joints = grades.setdefault((column.limb, column.side), {})
            joints.setdefault(column.joint, {})[column.kind] = value
    if whole:
        stated = {name: number(cells.get(name)) for name in (*SUM_COLUMNS.values(), TOTAL_COLUMN)}
        counted = {SUM_COLUMNS[kind]: value for kind, value in sums.items()}
        counted[TOTAL_COLUMN] = sum(sums.values())
        faults.extend(
            Fault(
                Code.TOTAL_DIFFERS,
                f"{at} {name}",
                f"the table says {stated[name]:g}, its columns add up to {value}",
                patient,
            )
            for name, value in counted.items()
            if stated[name] is not None and stated[name] != value
        )
    return grades


def _films(
    patient: str, grades: _Grades, films: Films, options: Options, faults: list[Fault]
) -> list[FilmTruth]:
    found = []
    wrong = {name.casefold() for name in options.other_side}
    for limb, side in grades:
        stem = f"{patient}-{side.value}{limb.value[0].upper()}"
        paths = films.every(stem)
        if not paths:
            faults.append(
                Fault(Code.FILM_MISSING, stem, "the table has its grades, no film has its name",
                      patient)
            )  # fmt: skip
            continue
        if len(paths) > 1:
            names = ", ".join(shown(path, films.folder) for path in paths)
            faults.append(Fault(Code.TWO_FILMS, stem, f"one limb, several films: {names}", patient))
        path = paths[0]
        true_side = side
        if wrong & {path.name.casefold(), path.stem.casefold()}:
            true_side = Laterality.RIGHT if side is Laterality.LEFT else Laterality.LEFT
        joints = tuple(
            JointTruth(
                name=joint,
                joint_class=joint_class(joint),
                erosion=kinds.get(ScoreKind.EROSION),
                narrowing=kinds.get(ScoreKind.NARROWING),
            )
            for joint, kinds in grades[limb, true_side].items()
        )
        found.append(FilmTruth(shown(path, films.folder), path, patient, limb, true_side, joints))
    return found
