"""Boxes as COCO: one JSON file with ``images``, ``annotations`` and ``categories``.

Layer: training.datasets; segmentations are passed over.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from training.datasets.boxes import Drawing, DrawnBox
from training.datasets.files import number, read_text, shown, walk
from training.datasets.truth import Code, Fault

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from training.datasets.files import Films
    from training.datasets.options import Options

_PARTS = ("images", "annotations", "categories")


def coco_files(folder: Path) -> list[Path]:
    """JSON files of a folder that name all three parts."""
    found = []
    for path in walk(folder):
        if path.suffix.lower() != ".json":
            continue
        text = read_text(path, [], folder)
        if all(f'"{part}"' in text for part in _PARTS):
            found.append(path)
    return found


def read_coco(
    files: Sequence[Path],
    films: Films,
    options: Options,  # noqa: ARG001 - the signature of every reader
    faults: list[Fault],
) -> list[Drawing]:
    """Boxes of every COCO file; what cannot be used is a fault."""
    folder = films.folder
    drawings: list[Drawing] = []
    for path in files:
        where = shown(path, folder)
        try:
            tree = json.loads(read_text(path, faults, folder))
        except (ValueError, RecursionError) as error:
            faults.append(Fault(Code.NOT_UNDERSTOOD, where, f"no JSON: {str(error)[:120]}"))
            continue
        drawings += _drawings(tree, where, films, faults)
    return drawings


def _drawings(tree: Any, where: str, films: Films, faults: list[Fault]) -> list[Drawing]:
    parts = [tree.get(part) if isinstance(tree, dict) else None for part in _PARTS]
    if not all(isinstance(part, list) for part in parts):
        faults.append(Fault(Code.NOT_UNDERSTOOD, where, f"{', '.join(_PARTS)} are not three lists"))
        return []
    images, annotations, categories = (_rows(part) for part in parts)
    labels = {_id(row): str(row.get("name", "")) for row in categories}
    boxes: dict[str, list[DrawnBox]] = {_id(row): [] for row in images}
    for row in annotations:
        at = f"{where} annotation {str(row.get('id'))[:20]}"
        image, label = str(row.get("image_id")), labels.get(str(row.get("category_id")))
        box = row.get("bbox")
        numbers = [number(one) for one in box] if isinstance(box, list) else []
        known = [value for value in numbers if value is not None]
        if image not in boxes or label is None:
            what = "image" if image not in boxes else "category"
            faults.append(Fault(Code.NOT_UNDERSTOOD, at, f"its {what} is not in the file"))
        elif len(known) != 4 or len(numbers) != 4:
            faults.append(Fault(Code.IMPOSSIBLE_BOX, at, "bbox is not four numbers"))
        else:
            x, y, width, height = known
            boxes[image].append(DrawnBox(label, (x, y, x + width, y + height), at))
    drawings = []
    for row in images:
        name = row.get("file_name")
        film = films.named(name) if isinstance(name, str) else None
        at = f"{where} image {str(name)[:60]}"
        if film is None:
            faults.append(Fault(Code.FILM_MISSING, at, "no film has its name"))
            continue
        wide, high = number(row.get("width")), number(row.get("height"))
        size = (round(wide), round(high)) if wide and high else None
        drawings.append(Drawing(film, tuple(boxes[_id(row)]), size, where=at))
    return drawings


def _rows(part: Any) -> list[dict[str, Any]]:
    return [row for row in part if isinstance(row, dict)]


def _id(row: dict[str, Any]) -> str:
    return str(row.get("id"))
