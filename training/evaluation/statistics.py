"""Figures over joints, each with every bootstrap draw at once.

Layer: training.evaluation; pure functions over numpy arrays. A *draw* is a row of weights, how
often each cluster (patient) counts; row 0 is the data themselves, the others are drawn with
replacement. Every figure here takes all draws as its first axis, so that an interval costs little
more than a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from training.datasets.split import split_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

DRAWS = 2000
SEED = 20
LEVEL = 0.95
LEAST_CLUSTERS = 2
BINS = 10


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % bootstrap interval; ``None`` where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None


def draw_weights(clusters: int, draws: int = DRAWS, seed: int = SEED) -> Floats:
    """Weights [draws + 1, clusters]: ones, then resamplings of the clusters with replacement."""
    ones = np.ones((1, clusters))
    if clusters < LEAST_CLUSTERS:
        return ones
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=draws)
    return np.concatenate([ones, drawn.astype(np.float64)])


def estimate(values: Floats) -> Estimate:
    """Value of the data (row 0) with the percentile interval of the draws [draws + 1].

    Draws in which the figure is not defined (no joint of any grade, say) are left out.
    """
    value = float(values[0])
    drawn = values[1:][np.isfinite(values[1:])]
    if not np.isfinite(value):
        return Estimate(None)
    if drawn.size == 0:
        return Estimate(value)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Estimate(value, float(low), float(high))


def ratio(weights: Floats, clusters: Ints, part: npt.ArrayLike, whole: npt.ArrayLike) -> Floats:
    """Share of ``part`` in ``whole`` (numbers or truth values, one a row), [draws + 1]."""
    size = weights.shape[1]
    top = np.bincount(clusters, np.asarray(part, np.float64), size)
    base = np.bincount(clusters, np.asarray(whole, np.float64), size)
    return _divide(weights @ top, weights @ base)


def share(weights: Floats, clusters: Ints, right: npt.ArrayLike) -> Floats:
    """Share of the rows that are right, [draws + 1]."""
    return ratio(weights, clusters, right, np.ones(len(clusters)))


def confusions(weights: Floats, clusters: Ints, true: Ints, given: Ints, grades: int) -> Floats:
    """Confusion matrices [draws + 1, grades, grades + 1], rows true; the last column: not scored.

    ``given`` under 0 means that the joint was not scored.
    """
    columns = grades + 1
    place = np.where(given < 0, grades, given)
    flat = (clusters * grades + true) * columns + place
    counts = np.bincount(flat, minlength=weights.shape[1] * grades * columns)
    whole = weights @ counts.reshape(weights.shape[1], -1).astype(np.float64)
    return whole.reshape(len(weights), grades, columns)


def balanced_accuracy(matrices: Floats, within: int = 0, *, missing_wrong: bool = False) -> Floats:
    """Mean over the grades present of the share graded right, or at most ``within`` off.

    ``matrices`` as `confusions` gives them, [..., grades, grades + 1]. A joint that was not scored
    is left out, or with ``missing_wrong`` counts as wrong.
    """
    grades = matrices.shape[-2]
    near = np.abs(np.subtract.outer(np.arange(grades), np.arange(grades))) <= within
    scored = matrices[..., :grades]
    rows = (matrices if missing_wrong else scored).sum(-1)
    return _mean_of_defined(_divide((scored * near).sum(-1), rows))


def accuracy(matrices: Floats, within: int = 0, *, true: int | None = None) -> Floats:
    """Share of the scored joints graded right, or at most ``within`` off, [...].

    With ``true`` only joints of that true grade count.
    """
    grades = matrices.shape[-2]
    near = np.abs(np.subtract.outer(np.arange(grades), np.arange(grades))) <= within
    rows = slice(None) if true is None else slice(true, true + 1)
    scored = matrices[..., rows, :grades]
    return _divide((scored * near[rows]).sum((-2, -1)), scored.sum((-2, -1)))


def weighted_kappa(matrices: Floats) -> Floats:
    """Cohen's kappa with quadratic weights over the scored joints, [...]; NaN without variation."""
    scored = matrices[..., : matrices.shape[-2]]
    steps = np.arange(scored.shape[-1])
    cost = np.square(np.subtract.outer(steps, steps)).astype(np.float64)
    total = scored.sum((-2, -1))
    chance = np.einsum("...i,ij,...j->...", scored.sum(-1), cost, scored.sum(-2))
    return 1 - _divide((scored * cost).sum((-2, -1)) * total, chance)


def mean_error(matrices: Floats) -> Floats:
    """Mean absolute error of the scored joints, in grades, [...]."""
    scored = matrices[..., : matrices.shape[-2]]
    steps = np.arange(scored.shape[-1])
    cost = np.abs(np.subtract.outer(steps, steps))
    return _divide((scored * cost).sum((-2, -1)), scored.sum((-2, -1)))


def rank_correlation(matrices: Floats) -> Floats:
    """Spearman's rho of true and given grades of the scored joints, [...]; NaN without variation.

    Ties have the mean of their ranks.
    """
    scored = matrices[..., : matrices.shape[-2]]
    ranks = [_middle_ranks(scored.sum(axis)) for axis in (-1, -2)]
    shares = _divide(scored, scored.sum((-2, -1))[..., None, None])
    given = [shares.sum(axis) for axis in (-1, -2)]
    means = [(share * rank).sum(-1) for share, rank in zip(given, ranks, strict=True)]
    away = [rank - mean[..., None] for rank, mean in zip(ranks, means, strict=True)]
    both = np.einsum("...i,...ij,...j->...", away[0], shares, away[1])
    spread = [(share * apart**2).sum(-1) for share, apart in zip(given, away, strict=True)]
    return _divide(both, np.sqrt(spread[0] * spread[1]))


def _middle_ranks(counts: Floats) -> Floats:
    """Mean rank of each level, of how often each occurs [..., levels]."""
    return np.cumsum(counts, axis=-1) - counts / 2


def sensitivity(matrices: Floats) -> Floats:
    """Share of the scored joints with damage (true grade over 0) that got a grade over 0, [...]."""
    scored = matrices[..., 1:, : matrices.shape[-2]]
    return _divide(scored[..., 1:].sum((-2, -1)), scored.sum((-2, -1)))


def specificity(matrices: Floats) -> Floats:
    """Share of the scored joints without damage that got grade 0, [...]."""
    return accuracy(matrices, true=0)


def coverage(matrices: Floats) -> Floats:
    """Share of the joints that were scored, [...]."""
    return _divide(matrices[..., : matrices.shape[-2]].sum((-2, -1)), matrices.sum((-2, -1)))


def constant(matrices: Floats, grade: int) -> Floats:
    """What the same joints give when every one of them is answered ``grade``."""
    same = np.zeros_like(matrices)
    same[..., grade] = matrices.sum(-1)
    return same


def best_constant(matrices: Floats) -> int:
    """The one answer with the highest balanced accuracy within one, the lowest error among ties."""
    data = matrices.reshape(-1, *matrices.shape[-2:])[0]

    def badness(grade: int) -> tuple[float, float]:
        same = constant(data, grade)
        return -float(balanced_accuracy(same, 1)), float(mean_error(same))

    return min(range(data.shape[-2]), key=badness)


def area_under_roc(weights: Floats, clusters: Ints, positive: Bools, score: Floats) -> Floats:
    """Area under the receiver operating curve, ties counted half, [draws + 1]."""
    levels, level = np.unique(score, return_inverse=True)
    ones = np.zeros((2, weights.shape[1], len(levels)))
    np.add.at(ones, (positive.astype(int), clusters, level), 1.0)
    negatives, positives = weights @ ones[0], weights @ ones[1]
    below = np.cumsum(negatives, axis=1) - negatives / 2
    total = negatives.sum(1) * positives.sum(1)
    return _divide((positives * below).sum(1), total)


@dataclass(frozen=True)
class Calibration:
    """Predicted probabilities against observed shares, in ten bins of equal width.

    ``said`` and ``seen`` are the mean probability and the share that is true of each bin that is
    not empty, ``count`` how many joints it holds; ``error`` is the expected calibration error.
    """

    count: tuple[int, ...]
    said: tuple[float, ...]
    seen: tuple[Estimate, ...]
    error: Estimate


def calibration(weights: Floats, clusters: Ints, said: Floats, true: Bools) -> Calibration:
    """Compare probabilities with what is true, [n] each."""
    cell = clusters * BINS + np.minimum((said * BINS).astype(np.int64), BINS - 1)
    size = weights.shape[1] * BINS
    shape = weights.shape[1], BINS
    count, predicted, seen = (
        weights @ np.bincount(cell, what, size).reshape(shape)
        for what in (np.ones(len(said)), said, true.astype(np.float64))
    )
    gap = np.abs(predicted - seen).sum(1)
    filled = np.flatnonzero(count[0])
    rates = _divide(seen, count)
    return Calibration(
        count=tuple(int(n) for n in count[0, filled]),
        said=tuple(float(v) for v in predicted[0, filled] / count[0, filled]),
        seen=tuple(estimate(rates[:, i]) for i in filled),
        error=estimate(_divide(gap, count.sum(1))),
    )


@dataclass(frozen=True, eq=False)
class Detections:
    """One class's boxes of a set: for each found box its confidence, whether it hit, its cluster.

    ``truths`` is the number of true boxes of each cluster.
    """

    confidence: Floats
    hit: Bools
    clusters: Ints
    truths: Floats


def average_precision(weights: Floats, found: Detections) -> Floats:
    """Area under the interpolated precision-recall curve (every point), [draws + 1]."""
    total = weights @ found.truths
    if len(found.confidence) == 0:
        return np.where(total > 0, 0.0, np.nan)
    order = np.argsort(-found.confidence, kind="stable")
    times = weights[:, found.clusters[order]]
    hits = np.cumsum(times * found.hit[order], axis=1)
    precision = _divide(hits, np.cumsum(times, axis=1), empty=0.0)
    best = np.flip(np.maximum.accumulate(np.flip(precision, 1), axis=1), 1)
    steps = np.diff(hits, axis=1, prepend=0.0)
    return _divide((steps * best).sum(1), total)


def paper_split(rows: int, test_share: float = 0.1, seed: int = 42) -> Ints:
    """Rows of the paper's test part: 10 % of the joints with random state 42, whatever the patient.

    The same rows as scikit-learn's ``train_test_split(test_size=0.1, random_state=42)`` takes.
    """
    return np.asarray(split_rows(rows, test_share, 0.0, seed)[2], np.int64)


def mean_over(parts: Sequence[Floats]) -> Floats:
    """Mean of several figures draw by draw, leaving out those that are not defined."""
    return _mean_of_defined(np.stack(parts, axis=-1))


def _mean_of_defined(values: Floats) -> Floats:
    there = np.isfinite(values)
    return _divide(np.where(there, values, 0.0).sum(-1), there.sum(-1).astype(np.float64))


def _divide(top: Floats, base: Floats, empty: float = np.nan) -> Floats:
    top, base = np.broadcast_arrays(np.asarray(top, np.float64), np.asarray(base, np.float64))
    return np.divide(top, base, out=np.full(top.shape, empty), where=base > 0)
