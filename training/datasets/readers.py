"""The table of data set layouts: how each is recognised and read.

Layer: training.datasets; values only, so that the command line can list the layouts without
importing a reader. To add a layout: one module and one row (docs/add-dataset.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import Any


class Gives(Enum):
    """What the files of a layout state."""

    GRADES = "grades"
    BOXES = "boxes"
    MASKS = "masks"


@dataclass(frozen=True)
class Reader:
    """One layout.

    ``find`` names a function from the folder to the files of this layout, ``read`` a function from
    (files, films, options, faults) to what the layout gives: `FilmTruth` for grades, `Drawing` for
    boxes, (film, mask) paths for masks. Both are ``"module:function"``, imported when they are
    used. ``one_file``: a folder may hold one such file only. ``crops_only``: the folder holds crops
    of joints and no films.
    """

    find: str
    read: str
    gives: Gives
    one_file: bool = False
    crops_only: bool = False


_HERE = "training.datasets"

READERS = {
    "ra2": Reader(f"{_HERE}.ra2:ra2_files", f"{_HERE}.ra2:read_ra2", Gives.GRADES, one_file=True),
    "jsonl": Reader(
        f"{_HERE}.jsonl:jsonl_files", f"{_HERE}.jsonl:read_jsonl", Gives.GRADES, one_file=True
    ),
    "ram-h1200": Reader(
        f"{_HERE}.ram:ram_files", f"{_HERE}.ram:read_ram", Gives.GRADES, crops_only=True
    ),
    "voc": Reader(f"{_HERE}.voc:voc_files", f"{_HERE}.voc:read_voc", Gives.BOXES),
    "yolo": Reader(f"{_HERE}.yolo:yolo_files", f"{_HERE}.yolo:read_yolo", Gives.BOXES),
    "coco": Reader(f"{_HERE}.coco:coco_files", f"{_HERE}.coco:read_coco", Gives.BOXES),
    "masks": Reader(f"{_HERE}.masks:mask_files", f"{_HERE}.masks:read_masks", Gives.MASKS),
}
"""Layouts by the name that ``--layout`` and ``dataset.toml`` take, in the order of the help text.

Of the layouts that give grades, and of those that give boxes, a folder holds one at most.
"""


def function(name: str) -> Any:
    """The function that ``"module:function"`` names."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)
