"""Simulated patients in the RA2 challenge's layout: films, the table of 90 columns, drawn boxes.

Layer: phantom; writes beside the films. The wrist is not drawn, so its columns are 0. A score that
the truth does not have (a hidden joint, a film that is held) is an empty cell, and sums count what
is there.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from edge.anatomy import joint_class
from phantom.ra2_columns import HEADER, PATIENT_COLUMN, SCORE_COLUMNS, SUM_COLUMNS, TOTAL_COLUMN

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edge.model import LimbResult

TABLE_NAME = "scores.csv"
BOX_FOLDER = "boxes"
MASK_FOLDER = "masks"
OPTIONS_NAME = "dataset.toml"
OPTIONS = "# What the readers of data sets must know of this folder.\nsimulated = true\n"


def write_table(path: Path, patients: Iterable[tuple[str, Iterable[LimbResult]]]) -> None:
    """Write one row a patient. Raises OSError where it cannot be written."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, HEADER)
        writer.writeheader()
        for patient, limbs in patients:
            writer.writerow(_row(patient, limbs))


def _row(patient: str, limbs: Iterable[LimbResult]) -> dict[str, object]:
    grades = {
        (limb.limb, limb.laterality, joint.name, kind): getattr(joint, kind.value)
        for limb in limbs
        for joint in limb.joints
        for kind in SUM_COLUMNS
    }
    row: dict[str, object] = {PATIENT_COLUMN: patient}
    sums = dict.fromkeys(SUM_COLUMNS, 0)
    for column in SCORE_COLUMNS:
        grade: int | None = 0
        if column.joint is not None:
            grade = grades.get((column.limb, column.side, column.joint, column.kind))
        row[column.name] = "" if grade is None else grade
        sums[column.kind] += grade or 0
    row |= {SUM_COLUMNS[kind]: value for kind, value in sums.items()}
    return row | {TOTAL_COLUMN: sum(sums.values())}


def write_boxes(path: Path, truth: LimbResult, size: tuple[int, int]) -> None:
    """Write one film's boxes as labelImg does; ``size`` is its (width, height) in px.

    Labels are the detector's classes: that is what a person draws.
    """
    root = Element("annotation")
    SubElement(root, "filename").text = truth.file
    place = SubElement(root, "size")
    for key, value in zip(("width", "height", "depth"), (*size, 1), strict=True):
        SubElement(place, key).text = str(value)
    for joint in truth.joints:
        if joint.box is None or joint.name is None:
            continue
        item = SubElement(root, "object")
        SubElement(item, "name").text = str(joint_class(joint.name))
        box = SubElement(item, "bndbox")
        x, y, width, height = joint.box
        corners = (
            max(0, round(x)),
            max(0, round(y)),
            min(size[0], round(x + width)),
            min(size[1], round(y + height)),
        )
        for key, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True):
            SubElement(box, key).text = str(value)
    indent(root)
    ElementTree(root).write(path, encoding="utf-8")
