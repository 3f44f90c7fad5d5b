"""Measures the reading of markers on real films that were kept out of its training.

Layer: training.tasks; reads films and labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge.pipeline.marker.read import read_markers
from training.datasets.labelled_films import is_validation
from training.datasets.labelled_markers import read_markers as read_labels

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.model import GreyImage
    from edge.pipeline.marker.network import MarkerNetwork
    from edge.pipeline.marker.read import Marker
    from training.datasets.labelled_markers import MarkerLabel

WAYS = tuple((quarter, mirrored) for mirrored in (False, True) for quarter in range(4))
"""Each film is read as stored, and turned and mirrored: eight ways."""
_SAME_PLACE_SIDES = 0.5


def measure_films(
    network: MarkerNetwork, folders: Sequence[Path], labels: Path, *, every_film: bool = False
) -> dict[str, Any]:
    """Read markers of kept-out films in eight ways.

    Returns
    -------
    dict
        ``letters`` that a person labelled, how many of them were ``read``, and how often what was
        read is ``wrong``: another letter, or none. ``without`` counts the readings of films that
        show no marker, ``read_without`` those among them that gave one; ``files`` names the films
        with a wrong reading. With ``every_film`` films that were learnt from are read too.
    """
    by_film: dict[str, list[MarkerLabel]] = {}
    for label in read_labels(labels):
        by_film.setdefault(label.film, []).append(label)
    counts = dict.fromkeys(("films", "letters", "read", "wrong", "without", "read_without"), 0)
    files: list[str] = []
    for path in sorted(path for folder in folders for path in folder.rglob("*.jpg")):
        known = by_film.get(path.name, [])
        if not (known or every_film or is_validation(path.name)):
            continue
        film = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
        if film is None:
            continue
        found = _count(network, np.asarray(film, np.uint8), known, counts)
        counts["films"] += 1
        files += [path.name] if found else []
    return {**counts, "files": files}


def _count(
    network: MarkerNetwork, film: GreyImage, known: list[MarkerLabel], counts: dict[str, int]
) -> bool:
    """Read one film in eight ways, add to the counts; whether anything was read wrong."""
    wrong = False
    whole = [label for label in known if not label.cut]
    for quarter, mirrored in WAYS:
        picture = np.ascontiguousarray(np.rot90(film[:, ::-1] if mirrored else film, quarter))
        markers = read_markers(picture, network)
        places = [_place(label, film.shape, quarter, mirrored=mirrored) for label in known]
        errors = 0
        for marker in markers:
            near = [label for label, place in zip(known, places, strict=True) if
                    _near(marker, place)]  # fmt: skip
            right = near and (marker.side, marker.mirrored) == (
                near[0].side, near[0].mirrored != mirrored,
            )  # fmt: skip
            errors += not right
        counts["letters"] += len(whole)
        counts["read"] += sum(
            any(_near(marker, place) for marker in markers)
            for label, place in zip(known, places, strict=True)
            if not label.cut
        )
        counts["wrong"] += errors
        counts["without"] += not known
        counts["read_without"] += not known and bool(markers)
        wrong = wrong or errors > 0
    return wrong


def _place(
    label: MarkerLabel, shape: tuple[int, ...], quarter: int, *, mirrored: bool
) -> tuple[float, float, float]:
    """Centre x, y and longer side of a label on a film that was mirrored, then turned."""
    height, width = shape[:2]
    x, y = label.box[0] + label.box[2] / 2, label.box[1] + label.box[3] / 2
    if mirrored:
        x = width - x
    for _ in range(quarter):
        x, y, width, height = y, width - x, height, width
    return x, y, max(label.box[2:])


def _near(marker: Marker, place: tuple[float, float, float]) -> bool:
    x, y = marker.centre
    return max(abs(x - place[0]), abs(y - place[1])) < _SAME_PLACE_SIDES * place[2]
