from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from benchmarks.intervals import (
    median_ratio,
    percentile_bound,
    percentiles,
    ratio_of_medians,
    runs_needed,
)

POSITIVE = st.lists(st.floats(0.1, 1e4), min_size=1, max_size=60)


@given(POSITIVE)
@settings(max_examples=40, deadline=None)
def test_a_percentile_lies_inside_its_interval_and_the_interval_inside_the_values(values):
    for point, found in percentiles(values, (50.0, 90.0, 99.0)).items():
        assert found.low <= found.value <= found.high
        assert min(values) * (1 - 1e-9) <= found.low
        assert found.high <= max(values) * (1 + 1e-9)
        assert found.value == pytest.approx(np.percentile(values, point))


@given(POSITIVE, st.floats(0.2, 5.0))
@settings(max_examples=40, deadline=None)
def test_a_series_that_is_scaled_has_that_ratio_in_every_round(values, factor):
    found = median_ratio(values, [value * factor for value in values])
    assert found.low == pytest.approx(factor)
    assert found.high == pytest.approx(factor)


def test_a_ratio_of_medians_covers_the_true_ratio_about_as_often_as_it_says():
    random = np.random.default_rng(3)
    covered = 0
    for _ in range(200):
        before = random.lognormal(0, 0.1, 60)
        after = 1.2 * random.lognormal(0, 0.1, 60)
        found = ratio_of_medians(before, after)
        covered += found.low <= 1.2 <= found.high
    assert 0.88 <= covered / 200 <= 1.0


def test_equal_series_show_no_difference_and_slower_ones_do():
    values = np.random.default_rng(0).lognormal(0, 0.05, 100)
    assert ratio_of_medians(values, values).holds_one
    slower = ratio_of_medians(values, values * 1.3)
    assert not slower.holds_one
    assert slower.value == pytest.approx(1.3)


@pytest.mark.parametrize(("quantile", "runs"), [(0.99, 459), (0.95, 90), (0.90, 44)])
def test_the_runs_that_a_bound_needs_are_the_least_that_give_one(quantile, runs):
    assert runs_needed(quantile) == runs
    assert percentile_bound(range(runs - 1), quantile) is None
    assert percentile_bound(range(runs), quantile) == runs - 1


@given(st.integers(1, 3000), st.sampled_from([0.5, 0.9, 0.99]), st.sampled_from([0.9, 0.99]))
@settings(deadline=None)
def test_the_bound_is_the_smallest_order_statistic_with_the_confidence(count, quantile, confidence):
    found = percentile_bound(range(1, count + 1), quantile, confidence)
    # Value k is x(k): the true quantile is not over it with P(Bin(n, q) < k).
    if found is None:
        assert binom.cdf(count - 1, count, quantile) < confidence
        return
    rank = int(found)
    assert binom.cdf(rank - 1, count, quantile) >= confidence - 1e-12
    assert rank == 1 or binom.cdf(rank - 2, count, quantile) < confidence


@pytest.mark.parametrize("count", [459, 700, 1000])
def test_the_true_percentile_exceeds_the_bound_in_at_most_one_run_of_a_hundred(count):
    random = np.random.default_rng(20_260_101)
    true_p99 = -np.log(0.01)
    drawn = random.exponential(1.0, (4000, count))
    missed = sum(percentile_bound(row, 0.99) < true_p99 for row in drawn)
    # Three standard deviations of a share of 1 % over 4,000 trials.
    assert missed / 4000 <= 0.01 + 3 * np.sqrt(0.01 * 0.99 / 4000)


def test_blocks_of_neighbours_widen_the_interval_of_a_drifting_series():
    random = np.random.default_rng(1)
    drift = np.repeat(random.normal(100, 10, 30), 10)
    mixed = random.permutation(drift)
    widths = [
        found.high - found.low
        for found in (percentiles(values, (50.0,))[50.0] for values in (drift, mixed))
    ]
    assert widths[0] > 1.5 * widths[1]
