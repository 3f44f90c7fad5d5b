"""Finds what may be a letter on a film: compact blobs that differ from what is around them.

Layer: pipeline; pure functions over pictures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.model import GreyImage

WORKING_SIDE_PX = 800
"""Markers are looked for on a copy of the film no larger than this."""
CROP_PX = 32
MOST = 128
"""Candidates of one film that are read, those of the highest contrast first."""

_STROKE_PX = 61
"""Structures broader than this are background. A letter's strokes are narrower."""
_LEVELS = (150, 100, 60, 30)
_SIDE_PX = (10, 100)
_NARROWEST_PX = 5
_ELONGATION = 3.5
_FILL = (0.15, 0.85)
_SAME = 0.6
_MOST_LABELS = 65_000
_MARGINS = (1.3, 3.2)
"""Sides of the two crops, as multiples of the candidate's: the letter, and what is around it."""
_LEAST_CONTRAST = 8.0


class Candidate(NamedTuple):
    """Box in pixels of the working copy; ``dark`` where it is darker than what is around it."""

    x: int
    y: int
    width: int
    height: int
    dark: bool
    level: int

    @property
    def side(self) -> int:
        """The longer side, in pixels."""
        return max(self.width, self.height)

    @property
    def centre(self) -> tuple[float, float]:
        """Centre x, y in pixels."""
        return self.x + self.width / 2, self.y + self.height / 2

    def overlap(self, other: tuple[int, int, int, int]) -> float:
        """Intersection over union with a box x, y, width, height."""
        x, y, width, height = other
        across = min(self.x + self.width, x + width) - max(self.x, x)
        down = min(self.y + self.height, y + height) - max(self.y, y)
        if across <= 0 or down <= 0:
            return 0.0
        shared = across * down
        return shared / (self.width * self.height + width * height - shared)


def find_candidates(film: GreyImage) -> list[Candidate]:
    """Blobs of a letter's size on a working copy [h, w] uint8, highest contrast first.

    What touches the edge is left out: half of a letter looks like another.
    """
    found = [*_blobs(film, dark=False), *_blobs(np.subtract(255, film), dark=True)]
    found.sort(key=lambda one: -one.level)
    kept: list[Candidate] = []
    for one in found:
        if all(one.overlap(other[:4]) <= _SAME for other in kept):
            kept.append(one)
            if len(kept) == MOST:
                break
    return kept


def _blobs(film: GreyImage, *, dark: bool) -> list[Candidate]:
    height, width = film.shape
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (_STROKE_PX, _STROKE_PX))
    hat = cv2.subtract(film, cv2.morphologyEx(film, cv2.MORPH_OPEN, kernel))
    blobs = []
    for level in _LEVELS:
        bright = (hat >= level).astype(np.uint8)
        # A third of the time, where the numbers of all blobs are sure to fit.
        kind = cv2.CV_16U if np.count_nonzero(bright) < _MOST_LABELS else cv2.CV_32S
        _, _, rows, _ = cv2.connectedComponentsWithStats(bright, ltype=kind)
        x, y, w, h, area = rows[1:].T
        short, long = np.minimum(w, h), np.maximum(w, h)
        fits = (
            (long >= _SIDE_PX[0])
            & (long <= _SIDE_PX[1])
            & (short >= _NARROWEST_PX)
            & (long <= _ELONGATION * short)
            & (area >= _FILL[0] * w * h)
            & (area <= _FILL[1] * w * h)
            & (x > 0)
            & (y > 0)
            & (x + w < width)
            & (y + h < height)
        )
        found = rows[1:, :4][fits].tolist()
        blobs += [Candidate(x0, y0, w0, h0, dark, level) for x0, y0, w0, h0 in found]
    return blobs


def crop_candidates(film: GreyImage, candidates: Sequence[Candidate]) -> npt.NDArray[np.float32]:
    """Two crops of each candidate on a working copy [h, w] uint8.

    Returns
    -------
    float32 array [n, 2, CROP_PX, CROP_PX]
        The letter, and the letter with what is around it; in 0..1, the candidate bright.
    """
    reach = round(_SIDE_PX[1] * _MARGINS[1] / 2) + 2
    padded = cv2.copyMakeBorder(film, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
    crops = np.empty((len(candidates), 2, CROP_PX, CROP_PX), np.float32)
    for pair, one in zip(crops, candidates, strict=True):
        for crop, margin in zip(pair, _MARGINS, strict=True):
            half = one.side * margin / 2
            (x, y), left_top = one.centre, reach - half
            left, top, size = round(x + left_top), round(y + left_top), max(2, round(2 * half))
            part = padded[top : top + size, left : left + size]
            how = cv2.INTER_AREA if size > CROP_PX else cv2.INTER_LINEAR
            crop[:] = cv2.resize(part, (CROP_PX, CROP_PX), interpolation=how)
        low, high = np.percentile(pair[0], (2, 98))
        bright = np.clip((pair - low) / max(high - low, _LEAST_CONTRAST), 0, 1)
        pair[:] = 1 - bright if one.dark else bright
    return crops
