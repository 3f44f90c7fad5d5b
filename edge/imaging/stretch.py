"""Measures the range of a film's values without outliers, and the grey levels that it shows.

Layer: imaging; pure functions over histograms. A film without a usable window is stretched over
this range.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

LEAST_WINDOW_LEVELS = 80
"""A window or table that leaves fewer of 256 grey levels is not used where a stretch leaves more:
the values fill less than a third of it."""
MOST_CLIPPED = 0.5
"""Share of the limb's pixels that a window may make black or white."""
LEAST_BODY_VALUES = 16
"""With fewer distinct values left, nothing is an outlier."""
_OUTLIERS = ((0.001, 0.1), (0.05, 1.0))
"""Values beyond a gap are outliers where they are at most this share of the pixels and the gap is
at least this multiple of the range of the others: hot pixels, and burned-in text."""
_LONE_VALUE_GAP = 1.0
"""The same for one single value of any share: a background that is not declared as padding."""


@dataclass(frozen=True, eq=False)
class PresentValues:
    """Values of a film in ascending order [n], and the number of pixels of each [n].

    ``clipped`` is set where outliers were left out.
    """

    values: Values
    counts: Counts
    clipped: bool = False

    @classmethod
    def of(cls, values: Values, counts: Counts) -> PresentValues:
        """Values that occur, from values in any order [n] and the number of pixels of each [n]."""
        there = counts > 0
        found, place = np.unique(values[there], return_inverse=True)
        pixels = np.bincount(place.ravel(), weights=counts[there], minlength=len(found))
        return cls(found, pixels.astype(np.int64))

    @property
    def low(self) -> float:
        """Lowest value."""
        return float(self.values[0])

    @property
    def high(self) -> float:
        """Highest value."""
        return float(self.values[-1])

    def body(self) -> PresentValues:
        """Leave outliers at both ends out."""
        values, counts = self.values, self.counts
        # The second pass judges the upper end by a range that the lower end no longer widens.
        for _ in range(2):
            kept = _upper_end(values, counts)
            values, counts = values[:kept], counts[:kept]
            kept = _upper_end(-values[::-1], counts[::-1])
            values, counts = values[len(values) - kept :], counts[len(counts) - kept :]
        return replace(self, values=values, counts=counts, clipped=len(values) < len(self.values))

    def stretched(self, values: Values) -> Values:
        """Share of white of any values where this range is spread from black to white."""
        return (values - self.low) / ((self.high - self.low) or 1.0)

    def limb(self, *, inverted: bool) -> npt.NDArray[np.bool_]:
        """Which values [n] are the limb's: Otsu's bright class; ``inverted`` where low is white."""
        grey = np.clip(self.stretched(self.values) * 255, 0, 255).astype(np.uint8)
        pixels = np.bincount(grey, weights=self.counts, minlength=256)
        # OpenCV takes pixels, not a histogram: a hundred thousand keep its shape.
        sample = np.repeat(np.arange(256), np.ceil(pixels * (1e5 / pixels.sum())).astype(int))
        threshold, _ = cv2.threshold(
            sample.astype(np.uint8), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU
        )
        return np.asarray(grey <= threshold if inverted else grey > threshold)


def _upper_end(values: Values, counts: Counts) -> int:
    """How many of the ascending values [n] are left without the outliers above a gap."""
    n = len(values)
    if n <= LEAST_BODY_VALUES:
        return n
    # Element i is for a cut between values i and i + 1.
    gaps = np.diff(values)
    ranges = values[:-1] - values[0]
    shares = counts[::-1].cumsum()[::-1][1:] / counts.sum()
    cut = np.zeros(n - 1, dtype=np.bool_)
    for share, gap in _OUTLIERS:
        cut |= (shares <= share) & (gaps >= gap * ranges)
    cut[-1] |= gaps[-1] >= _LONE_VALUE_GAP * ranges[-1]
    cut[: LEAST_BODY_VALUES - 1] = False
    places = np.flatnonzero(cut)
    return int(places[0]) + 1 if len(places) else n


def levels(shares: Values) -> int:
    """How many of 256 grey levels some shares of white take."""
    return len(np.unique(np.floor(np.clip(shares, 0, 1) * 255 + 0.5)))
