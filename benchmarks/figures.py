"""What a person reads of one series: percentiles, variation, stability, the bound on p99.

Layer: benchmarks; pure functions over `Series`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.intervals import Interval, percentile_bound, percentiles, runs_needed

if TYPE_CHECKING:
    from benchmarks.intervals import Values
    from benchmarks.series import Series

POINTS = (50.0, 90.0, 95.0, 99.0)
BOUNDS = (0.90, 0.95, 0.99)
WINDOWS = 3
STABLE = 0.1
"""The medians of the last three windows lie within this share of the least of them."""
CYCLE = "cycle"
"""Label of a series: after so many values the same inputs come again."""


@dataclass(frozen=True)
class Figures:
    """Figures of one series, in its unit.

    Attributes
    ----------
    n : int
        Values.
    points : mapping of float to Interval
        p50, p90, p95 and p99 with bootstrap intervals of 95 %.
    most, mean : float
        Largest value, and arithmetic mean.
    variation : float
        Standard deviation by mean, the differences between inputs taken out.
    spread : float
        (p90 - p10) by p50, the differences between inputs taken out.
    windows : tuple of float
        Median of each third by the median of all, the differences between inputs taken out.
    bounds : mapping of float to float or None
        Quantile to its upper bound with 99 % confidence; None where the runs are too few.
    """

    n: int
    points: dict[float, Interval]
    most: float
    mean: float
    variation: float
    spread: float
    windows: tuple[float, ...]
    bounds: dict[float, float | None]

    @property
    def median(self) -> float:
        """p50."""
        return self.points[50.0].value

    @property
    def stable(self) -> bool:
        """Whether the medians of the three windows lie within `STABLE` of each other."""
        return max(self.windows) <= (1 + STABLE) * min(self.windows)

    @property
    def bound(self) -> tuple[float, float] | None:
        """The highest quantile that the runs bound, and its bound."""
        allowed = [
            (quantile, limit) for quantile, limit in self.bounds.items() if limit is not None
        ]
        return max(allowed, default=None)

    def bound_text(self, unit: str) -> str:
        """The bound on p99 as a sentence; with too few runs that on the highest one they allow."""
        found, highest = self.bound, max(self.bounds)
        text = "no percentile is bounded"
        if found is not None:
            text = f"p{found[0] * 100:.0f} <= {found[1]:.4g} {unit} with 99 % confidence"
        if self.bounds[highest] is None:
            text += f" (p{highest * 100:.0f} needs {runs_needed(highest)} runs)"
        return f"{text}, n = {self.n}"


def figures_of(series: Series) -> Figures:
    """Compute the figures of a series with at least one value."""
    values = np.asarray(series.values, np.float64)
    cycle = int(series.labels.get(CYCLE, "1"))
    even = levelled(values, cycle)
    low, middle, high = np.percentile(even, [10, 50, 90])
    thirds = [part for part in np.array_split(even, WINDOWS) if len(part)]
    return Figures(
        n=len(values),
        points=percentiles(series.values, POINTS, cycle),
        most=float(values.max()),
        mean=float(values.mean()),
        variation=float(even.std() / max(even.mean(), 1e-12)),
        spread=float((high - low) / max(middle, 1e-12)),
        windows=tuple(float(np.median(part) / max(middle, 1e-12)) for part in thirds),
        bounds={quantile: percentile_bound(series.values, quantile) for quantile in BOUNDS},
    )


def levelled(values: Values, cycle: int) -> Values:
    """Values by the median of their place in the cycle: what is left is variation in time.

    Hands and feet take different times; that difference is no instability.
    """
    even = np.array(values, np.float64)
    for place in range(min(cycle, len(even))):
        middle = float(np.median(even[place::cycle]))
        if middle > 0:
            even[place::cycle] /= middle
    return even
