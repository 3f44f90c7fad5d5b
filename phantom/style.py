"""Two disjoint families of image styles: phantoms for training and for evaluation share none.

Layer: phantom; plain numbers. An interval list is drawn from by length, so the training family may
lie on both sides of the evaluation family without touching it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

StyleName = Literal["train", "eval"]
Intervals = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Style:
    """The ranges one family draws from."""

    name: StyleName
    texture_seeds: tuple[int, ...]
    head_roundness: Intervals
    """Factor on the curvature of joint heads."""
    waist: Intervals
    """Factor on the mid-shaft width of the tubular bones."""
    quanta: Intervals
    """Detected quanta in one square of .05 mm behind nothing; sets the noise."""
    lut_gamma: Intervals
    """Gamma of the display table round the bone's anchor."""
    texture_amplitude: Intervals
    """Share of the cancellous attenuation, standard deviation."""
    blur_mm: Intervals
    turned_share: float
    """Share of films that are upside down or on their side."""


STYLES: dict[StyleName, Style] = {
    "train": Style(
        name="train",
        texture_seeds=tuple(range(100, 112)),
        head_roundness=((0.82, 0.95), (1.06, 1.20)),
        waist=((0.86, 0.96), (1.04, 1.14)),
        quanta=((60.0, 170.0), (260.0, 500.0)),
        lut_gamma=((0.95, 1.12), (1.28, 1.50)),
        texture_amplitude=((0.12, 0.27), (0.40, 0.55)),
        blur_mm=((0.05, 0.09), (0.13, 0.20)),
        turned_share=0.5,
    ),
    "eval": Style(
        name="eval",
        texture_seeds=tuple(range(200, 206)),
        head_roundness=((0.95, 1.06),),
        waist=((0.96, 1.04),),
        quanta=((170.0, 260.0),),
        lut_gamma=((1.12, 1.28),),
        texture_amplitude=((0.27, 0.40),),
        blur_mm=((0.09, 0.13),),
        turned_share=0.12,
    ),
}


def draw(rng: np.random.Generator, intervals: Intervals) -> float:
    """One number, uniform over the union of the intervals."""
    lengths = np.array([high - low for low, high in intervals])
    low, high = intervals[int(rng.choice(len(intervals), p=lengths / lengths.sum()))]
    return float(rng.uniform(low, high))
