"""Boxes as YOLO text: ``STEM.txt`` with ``class x y width height`` a line, shares of the film.

Layer: training.datasets; classes come from ``classes.txt`` (or ``obj.names``), else from
``dataset.toml``, else they are 0 = PIP and 1 = MCP or MTP, as the detectors have them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edge.anatomy import Limb
from edge.imaging.identity import identity_of_name
from training.datasets.boxes import Drawing, DrawnBox
from training.datasets.files import number, read_text, shown, walk
from training.datasets.truth import Code, Fault, detector_classes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from training.datasets.files import Films
    from training.datasets.options import Options

NAME_FILES = ("classes.txt", "obj.names")
_ROW = re.compile(r"\s*\d{1,6}(\s*[;\s]\s*[-+\d.,eE]+){4,5}\s*[;,]?\s*")


def yolo_files(folder: Path) -> list[Path]:
    """Text files of a folder whose first line with anything in it is a box."""
    found = []
    for path in walk(folder):
        if path.suffix.lower() == ".txt" and path.name not in NAME_FILES:
            with path.open("rb") as handle:
                head = handle.read(400).decode("utf-8", "replace").lstrip("\ufeff").strip()
            if _ROW.fullmatch(re.split(r"[\r\n]", head)[0]):
                found.append(path)
    return found


def read_yolo(
    files: Sequence[Path],
    films: Films,
    options: Options,
    faults: list[Fault],
) -> list[Drawing]:
    """Boxes of every YOLO text file; what cannot be used is a fault."""
    folder = films.folder
    names = _class_names(folder, options, faults)
    drawings = []
    for path in files:
        where = shown(path, folder)
        film = films.named(path.stem)
        if film is None:
            faults.append(Fault(Code.FILM_MISSING, where, "no film has its name"))
            continue
        boxes = []
        for line, text in enumerate(read_text(path, faults, folder).splitlines(), start=1):
            if not text.strip():
                continue
            box = _box(text, names or _own_classes(film), f"{where}:{line}", options, faults)
            if box is not None:
                boxes.append(box)
        drawings.append(Drawing(film, tuple(boxes), relative=True, where=where))
    return drawings


def _class_names(folder: Path, options: Options, faults: list[Fault]) -> tuple[str, ...]:
    for path in walk(folder):
        if path.name in NAME_FILES:
            lines = read_text(path, faults, folder).splitlines()
            return tuple(line.strip() for line in lines if line.strip())
    return options.classes


def _own_classes(film: Path) -> tuple[str, ...]:
    stated = identity_of_name(film.name)
    return tuple(str(one) for one in detector_classes(stated.limb if stated else Limb.HAND))


def _box(
    text: str, names: tuple[str, ...], where: str, options: Options, faults: list[Fault]
) -> DrawnBox | None:
    parts = text.replace(";", " ").split()
    if not options.decimal_comma and "," in text:
        faults.append(
            Fault(
                Code.NOT_UNDERSTOOD,
                where,
                "a comma: say decimal_comma = true in dataset.toml if 0,5 means 0.5",
            )
        )
        return None
    values = [number(part) for part in parts[1:5]]
    known = [value for value in values if value is not None]
    # Six numbers are a detector's own output: the last is its confidence.
    if len(known) != 4 or len(parts) not in {5, 6} or not parts[0].isdecimal():
        faults.append(Fault(Code.NOT_UNDERSTOOD, where, f"no box: {text.strip()[:60]!r}"))
        return None
    if len(parts[0]) > 6 or int(parts[0]) >= len(names):
        faults.append(
            Fault(Code.UNKNOWN_CLASS, where, f"class {parts[0][:10]} of {len(names)}: {names}")
        )
        return None
    x, y, width, height = known
    corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return DrawnBox(names[int(parts[0])], corners, where)
