"""Reads the side markers of a film.

Layer: pipeline; arrays only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.model import Laterality
from edge.pipeline.marker.candidates import (
    WORKING_SIDE_PX,
    Candidate,
    crop_candidates,
    find_candidates,
)
from edge.pipeline.marker.network import CLASSES, MarkerNetwork, shipped_network

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge.model import GreyImage

SEEN = 0.5
"""A candidate is looked at in eight ways where the network gives a letter this probability."""
SURE = {Laterality.RIGHT: 0.9, Laterality.LEFT: 0.93}
"""A letter counts where each of the eight ways gives it this probability. More looks like an L than
like an R: a 7 that is turned by half reaches .93 in some fonts; K B P A 8 E 2 not even .5 as R."""
_SAME_MARKER = 0.3
_SWAPPED = (0, 2, 1, 4, 3)
"""Class of a crop by the class of the same crop mirrored."""
_SIDES = (None, Laterality.RIGHT, Laterality.RIGHT, Laterality.LEFT, Laterality.LEFT)


@dataclass(frozen=True)
class Marker:
    """An L or R that stands alone on a film.

    ``turn_deg`` is clockwise from upright, after it was mirrored. ``probability`` is the least of
    eight looks. ``box`` is x, y, width, height in pixels of the picture that was read.
    """

    side: Laterality
    mirrored: bool
    turn_deg: float
    probability: float
    box: tuple[float, float, float, float]

    @property
    def centre(self) -> tuple[float, float]:
        """Centre x, y in pixels."""
        x, y, width, height = self.box
        return x + width / 2, y + height / 2

    @property
    def words(self) -> str:
        """``R`` or ``R mirrored``."""
        return f"{self.side} mirrored" if self.mirrored else str(self.side)


def read_markers(film: GreyImage, network: MarkerNetwork | None = None) -> tuple[Marker, ...]:
    """Markers on a film [h, w] uint8, the surest first.

    The film may be of any size and either polarity. ``network`` is the shipped one unless stated.
    """
    network = shipped_network() if network is None else network
    zoom = min(1.0, WORKING_SIDE_PX / max(film.shape))
    size = (max(1, round(film.shape[1] * zoom)), max(1, round(film.shape[0] * zoom)))
    small = cv2.resize(film, size, interpolation=cv2.INTER_AREA) if zoom < 1 else film
    candidates = find_candidates(np.asarray(small, np.uint8))
    if not candidates:
        return ()
    crops = crop_candidates(np.asarray(small, np.uint8), candidates)
    letters = network.read(crops).probabilities[:, 1:].max(axis=1)
    found = [
        _look_closely(network, crop, candidate, zoom)
        for crop, candidate, letter in zip(crops, candidates, letters, strict=True)
        if letter >= SEEN
    ]
    sure_ones = sorted(
        (one for one in found if one is not None and one.probability >= SURE[one.side]),
        key=lambda one: -one.probability,
    )
    return _each_once(sure_ones)


def _look_closely(
    network: MarkerNetwork, crop: npt.NDArray[np.float32], candidate: Candidate, zoom: float
) -> Marker | None:
    """Read one candidate [2, s, s] turned by right angles and mirrored."""
    views = [
        np.rot90(picture, quarter, axes=(1, 2))
        for picture in (crop, crop[..., ::-1])
        for quarter in range(4)
    ]
    reading = network.read(np.ascontiguousarray(views, np.float32))
    odds = reading.probabilities.copy()
    odds[4:] = odds[4:, _SWAPPED]
    row = int(odds.mean(axis=0).argmax())
    side = _SIDES[row]
    if side is None:
        return None
    quarters = np.tile(np.arange(4), 2)
    turns = reading.turns_deg + 90 * quarters  # np.rot90 turns counter-clockwise
    turns[4:] = -turns[4:]
    angle = np.deg2rad(turns)
    turn = float(np.degrees(np.arctan2(np.sin(angle).mean(), np.cos(angle).mean())))
    box = tuple(value / zoom for value in candidate[:4])
    mirrored = CLASSES[row].endswith("mirrored")
    return Marker(side, mirrored, turn, float(odds[:, row].min()), (box[0], box[1], box[2], box[3]))


def _each_once(markers: list[Marker]) -> tuple[Marker, ...]:
    kept: list[Marker] = []
    for one in markers:
        if all(_overlap(one, other) <= _SAME_MARKER for other in kept):
            kept.append(one)
    return tuple(kept)


def _overlap(one: Marker, other: Marker) -> float:
    """Shared area as a share of the smaller box."""
    (x, y, w, h), (u, v, m, n) = one.box, other.box
    across, down = min(x + w, u + m) - max(x, u), min(y + h, v + n) - max(y, v)
    return across * down / min(w * h, m * n) if across > 0 and down > 0 else 0.0
