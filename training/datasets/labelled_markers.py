"""Side markers that a person labelled on real films.

Layer: training.datasets; reads one table.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from edge.model import Laterality
from training.errors import TrainingError

SHIPPED_MARKERS = Path(__file__).parents[1] / "labels" / "markers.csv"
"""The project's own marker labels."""


class MarkerLabel(NamedTuple):
    """One L or R on a film, with its box in pixels of the film as stored."""

    film: str
    body: str
    side: Laterality
    mirrored: bool
    turn_deg: float
    cut: bool
    box: tuple[int, int, int, int]


def read_markers(path: Path) -> list[MarkerLabel]:
    """Read a table of markers. Raises `TrainingError` where it cannot be read."""
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            return [_label(row) for row in csv.DictReader(handle)]
    except (OSError, KeyError, ValueError) as error:
        raise TrainingError(
            f"{path}: the marker labels cannot be read: {error}",
            fix="see training/labels/README.md",
        ) from error


def _label(row: dict[str, str]) -> MarkerLabel:
    box = (int(row["x_px"]), int(row["y_px"]), int(row["width_px"]), int(row["height_px"]))
    return MarkerLabel(
        row["film"],
        row["body"],
        Laterality(row["letter"]),
        row["mirrored"] == "1",
        float(row["turn_deg"]),
        row["cut"] == "1",
        box,
    )
