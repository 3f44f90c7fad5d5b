"""How two readings of the same total agree: ICC(2,1), Bland-Altman, smallest detectable change.

Layer: training.evaluation; pure functions over numpy arrays, all bootstrap draws at once (see
`statistics`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from training.evaluation.statistics import Estimate, estimate

if TYPE_CHECKING:
    from training.evaluation.statistics import Floats, Ints

LIMIT_SDS = 1.96


@dataclass(frozen=True)
class Agreement:
    """Two readings of ``n`` totals, in score units; the difference is second minus first.

    ``lower`` and ``upper`` are the 95 % limits of agreement; ``detectable`` is the smallest
    detectable change, 1.96 x sqrt 2 x SEM with SEM = sd / sqrt 2: half the width of the limits.
    ``rmse`` is the root of the mean squared difference, ``pearson`` and ``spearman`` correlate the
    totals and their ranks.
    """

    n: int
    icc: Estimate
    bias: Estimate
    sd: Estimate
    lower: Estimate
    upper: Estimate
    detectable: Estimate
    mean_error: Estimate
    rmse: Estimate
    pearson: Estimate
    spearman: Estimate


def intraclass(ratings: Floats, weights: Floats | None = None) -> Floats:
    """ICC(2,1) of Shrout and Fleiss: two-way random effects, absolute agreement, single rating.

    ``ratings`` is [n targets, k raters], ``weights`` [draws, n] says how often each target counts
    (default: once); returns [draws], NaN where it is not defined.
    """
    times = np.ones((1, len(ratings))) if weights is None else weights
    raters = ratings.shape[1]
    n = times.sum(1)
    centred = ratings - ratings.mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        by_rater = times @ centred / n[:, None]
        grand = by_rater.mean(1)
        means = centred.mean(1)
        total = times @ np.square(centred).sum(1) - n * raters * grand**2
        targets = raters * (times @ means**2 - n * grand**2)
        columns = n * np.square(by_rater - grand[:, None]).sum(1)
        rest = np.maximum(total - targets - columns, 0.0)
        ms_targets = targets / (n - 1)
        ms_raters = columns / (raters - 1)
        ms_rest = rest / ((n - 1) * (raters - 1))
        whole = ms_targets + (raters - 1) * ms_rest + raters * (ms_raters - ms_rest) / n
        found = (ms_targets - ms_rest) / whole
    defined = (n > 1) & (whole > 1e-12)
    return np.where(defined, found, np.nan)


def agreement(weights: Floats, clusters: Ints, truth: Floats, given: Floats) -> Agreement:
    """Compare the second reading with the first; each row belongs to a cluster of ``weights``."""
    times = weights[:, clusters]
    n = times.sum(1)
    apart = given - truth
    with np.errstate(divide="ignore", invalid="ignore"):
        bias = times @ apart / n
        spread = times @ np.square(apart - bias[0]) - n * np.square(bias - bias[0])
        sd = np.sqrt(np.maximum(spread, 0.0) / (n - 1))
        error = times @ np.abs(apart) / n
        squared = times @ np.square(apart) / n
    sd = np.where(n > 1, sd, np.nan)
    return Agreement(
        n=len(truth),
        icc=estimate(intraclass(np.column_stack([truth, given]), times)),
        bias=estimate(bias),
        sd=estimate(sd),
        lower=estimate(bias - LIMIT_SDS * sd),
        upper=estimate(bias + LIMIT_SDS * sd),
        detectable=estimate(LIMIT_SDS * sd),
        mean_error=estimate(error),
        rmse=estimate(np.sqrt(squared)),
        pearson=estimate(_correlation(times, truth, given)),
        spearman=estimate(_correlation(times, *(_ranks(times, it) for it in (truth, given)))),
    )


def _correlation(times: Floats, first: Floats, second: Floats) -> Floats:
    """Pearson's r of two readings, [n] or [draws, n] each; NaN without variation."""
    n = times.sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        away = [it - ((times * it).sum(1) / n)[:, None] for it in (first, second)]
        both = (times * away[0] * away[1]).sum(1)
        spread = np.sqrt((times * away[0] ** 2).sum(1) * (times * away[1] ** 2).sum(1))
        found = both / spread
    return np.where(spread > 1e-9, found, np.nan)


def _ranks(times: Floats, values: Floats) -> Floats:
    """Ranks [draws, n] of values that count as often as ``times`` says; ties have their mean."""
    _, level = np.unique(values, return_inverse=True)
    counts = np.zeros((len(times), level.max() + 1))
    np.add.at(counts.T, level, times.T)
    return (np.cumsum(counts, axis=1) - counts / 2)[:, level]
