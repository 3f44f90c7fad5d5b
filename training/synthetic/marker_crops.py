"""Crops of candidates on films with drawn markers, each with what it shows.

Layer: training.synthetic; uses `edge.pipeline.marker.candidates`, so that training and reading see
the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.model import Laterality
from edge.pipeline.marker.candidates import CROP_PX, crop_candidates, find_candidates
from training.synthetic.marker_glyphs import draw_group, lay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.model import GreyImage
    from edge.pipeline.marker.candidates import Candidate
    from training.synthetic.marker_glyphs import DrawnMarker, Face

WINDOW_PX = 420
"""Side of the part of a film that markers are laid on."""
GROUPS = 8
_IS_LETTER = 0.55
_IS_NONE = 0.2
_BACKGROUND = 8


@dataclass(frozen=True)
class MarkerCrops:
    """Crops [n, 2, s, s] uint8 with class [n] (row of `edge.pipeline.marker.network.CLASSES`).

    ``turns_deg`` [n] is clockwise from upright; 0 where there is no letter.
    """

    crops: np.ndarray
    classes: np.ndarray
    turns_deg: np.ndarray

    def __len__(self) -> int:
        return len(self.classes)


def class_of(side: Laterality, *, mirrored: bool) -> int:
    """Row of `edge.pipeline.marker.network.CLASSES`."""
    return (1 if side is Laterality.RIGHT else 3) + mirrored


def window_of(film: GreyImage, rng: np.random.Generator) -> GreyImage:
    """A part of a film's working copy [h, w] uint8: turned, mirrored, exposed at random."""
    turned = np.asarray(np.rot90(film, int(rng.integers(4))), np.uint8)
    if rng.random() < 0.5:
        turned = turned[:, ::-1]
    padded = cv2.copyMakeBorder(
        np.ascontiguousarray(turned), 0, max(0, WINDOW_PX - turned.shape[0]), 0,
        max(0, WINDOW_PX - turned.shape[1]), cv2.BORDER_REFLECT_101,
    )  # fmt: skip
    top = int(rng.integers(padded.shape[0] - WINDOW_PX + 1))
    left = int(rng.integers(padded.shape[1] - WINDOW_PX + 1))
    window = padded[top : top + WINDOW_PX, left : left + WINDOW_PX]
    table = 255 * (np.arange(256) / 255) ** np.exp(rng.uniform(-0.6, 0.6))
    return np.asarray(cv2.LUT(window, table.astype(np.uint8)), np.uint8)


def draw_window(
    film: GreyImage, faces: list[Face], rng: np.random.Generator
) -> tuple[GreyImage, list[DrawnMarker]]:
    """A window of a film with groups of letters on it, and the markers among them."""
    window, markers = window_of(film, rng), []
    cells = rng.permutation(9)[:GROUPS]
    step = WINDOW_PX / 3
    for cell in cells:
        row, column = divmod(int(cell), 3)
        place = ((column + rng.uniform(0.3, 0.7)) * step, (row + rng.uniform(0.3, 0.7)) * step)
        group = draw_group(faces, rng, marker=bool(rng.random() < 0.5))
        window, marker = lay(window, group, place, rng)
        markers += [marker] if marker is not None else []
    noisy = window + rng.normal(0, rng.uniform(0, 5), window.shape)
    window = np.asarray(np.clip(noisy, 0, 255), np.uint8)
    if rng.random() < 0.15:
        window = np.subtract(255, window)
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 90))]
        packed = cv2.imencode(".jpg", window, quality)[1]
        window = np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.uint8)
    return window, markers


def crops_of_window(
    window: GreyImage, markers: Sequence[DrawnMarker], rng: np.random.Generator
) -> MarkerCrops:
    """Candidates of a window with what they show; those that show half of a letter are left out."""
    kept: list[tuple[Candidate, int, float]] = []
    empty: list[Candidate] = []
    for one in find_candidates(window):
        overlaps = [one.overlap(marker.box) for marker in markers]
        best = max(range(len(markers)), key=overlaps.__getitem__) if markers else -1
        if best >= 0 and overlaps[best] > _IS_LETTER:
            marker = markers[best]
            kept.append((one, class_of(marker.side, mirrored=marker.mirrored), marker.turn_deg))
        elif best < 0 or overlaps[best] < _IS_NONE:
            empty.append(one)
    bright = [one for one in empty if one.level >= 100]
    faint = [one for one in empty if one.level < 100]
    for pool, most in ((bright, 2 * _BACKGROUND), (faint, _BACKGROUND)):
        chosen = rng.permutation(len(pool))[:most]
        kept += [(pool[int(i)], 0, 0.0) for i in chosen]
    crops = crop_candidates(window, [one for one, _, _ in kept])
    return MarkerCrops(
        np.asarray(np.rint(crops * 255), np.uint8).reshape(-1, 2, CROP_PX, CROP_PX),
        np.array([row for _, row, _ in kept], np.int64),
        np.array([turn for _, _, turn in kept], np.float32),
    )
