"""Intervals of percentiles and of ratios, and the bound on a percentile that few runs allow.

Layer: benchmarks; pure functions over numbers.

Neighbouring runs are alike: a disturbance lasts for several of them. The bootstrap therefore draws
blocks of neighbours, not single runs (moving-block bootstrap, Künsch 1989).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

if TYPE_CHECKING:
    from collections.abc import Sequence

Values = npt.NDArray[np.float64]

CONFIDENCE = 0.95
"""Of the bootstrap intervals."""
BOUND_CONFIDENCE = 0.99
"""Of the bound on a percentile."""
_SEED = 20_260_101
_MOST_DRAWS = 1000
_LEAST_DRAWS = 200
_DRAWN_VALUES = 2_000_000
_LEAST_CYCLES = 5


class Interval(NamedTuple):
    """An estimate between the ends of its bootstrap interval."""

    low: float
    value: float
    high: float

    @property
    def holds_one(self) -> bool:
        """Whether a ratio with this interval may be 1: no difference was shown."""
        return self.low <= 1.0 <= self.high


def percentiles(
    values: Sequence[float], points: Sequence[float], cycle: int = 1
) -> dict[float, Interval]:
    """Percentiles of one series with their bootstrap intervals.

    Parameters
    ----------
    values : sequence of float
        In the order in which they were taken; at least one.
    points : sequence of float
        Percentiles, 0 to 100.
    cycle : int
        After so many values the same inputs come again; blocks are whole cycles.
    """
    array = np.asarray(values, np.float64)
    drawn = np.percentile(_resampled(array, cycle, _SEED), points, axis=1)
    found = np.percentile(array, points)
    return {
        point: _interval(float(value), row)
        for point, value, row in zip(points, found, drawn, strict=True)
    }


def ratio_of_medians(before: Sequence[float], after: Sequence[float], cycle: int = 1) -> Interval:
    """Median of ``after`` by the median of ``before``; both were measured on their own."""
    one, other = np.asarray(before, np.float64), np.asarray(after, np.float64)
    draws = min(_draws(len(one)), _draws(len(other)))
    below = np.median(_resampled(one, cycle, _SEED, draws), axis=1)
    above = np.median(_resampled(other, cycle, _SEED + 1, draws), axis=1)
    return _interval(float(np.median(other) / np.median(one)), above / below)


def median_ratio(ours: Sequence[float], other: Sequence[float]) -> Interval:
    """Median over rounds of ``other`` by ``ours``, which ran next to each other in each round."""
    ratios = np.asarray(other, np.float64) / np.asarray(ours, np.float64)
    drawn = np.median(_resampled(ratios, 1, _SEED), axis=1)
    return _interval(float(np.median(ratios)), drawn)


def percentile_bound(
    values: Sequence[float], quantile: float, confidence: float = BOUND_CONFIDENCE
) -> float | None:
    """Upper bound on a quantile: with ``confidence`` the true one is not greater.

    It is the order statistic x(k) with the least k such that P(Bin(n, quantile) < k) is at least
    ``confidence``: the reasoning of MLPerf's early stopping. It assumes runs that do not depend on
    each other. None where ``values`` are too few: see `runs_needed`.
    """
    count = len(values)
    rank = int(binom.ppf(confidence, count, quantile)) + 1
    return None if rank > count else float(np.sort(np.asarray(values, np.float64))[rank - 1])


def runs_needed(quantile: float, confidence: float = BOUND_CONFIDENCE) -> int:
    """Least number of runs from which `percentile_bound` gives a bound: 459 for p99 at 99 %."""
    # The largest of n values bounds the quantile with the confidence 1 - quantile ** n.
    return int(np.ceil(np.log1p(-confidence) / np.log(quantile) - 1e-9))


def _resampled(values: Values, cycle: int, seed: int, draws: int | None = None) -> Values:
    """Drawn series [draws, about n] of blocks of neighbours, wrapping around the end."""
    count = len(values)
    # Of fewer cycles hardly a draw would differ from the next.
    cycle = cycle if count % cycle == 0 and count // cycle >= _LEAST_CYCLES else 1
    block = max(1, round(count ** (1 / 3) / cycle)) * cycle
    block = min(block, count)
    rng = np.random.default_rng(seed)
    blocks = -(-count // block)
    starts = rng.integers(0, count // cycle, (draws or _draws(count), blocks)) * cycle
    index = (starts[:, :, None] + np.arange(block)) % count
    return np.asarray(values[index.reshape(len(starts), -1)[:, :count]])


def _draws(count: int) -> int:
    return int(np.clip(_DRAWN_VALUES // max(count, 1), _LEAST_DRAWS, _MOST_DRAWS))


def _interval(value: float, drawn: Values) -> Interval:
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(drawn, [tail, 100 - tail])
    # A value beside its own interval would only confuse: few runs can do that.
    return Interval(min(float(low), value), value, max(float(high), value))
