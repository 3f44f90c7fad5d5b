from __future__ import annotations

import numpy as np
import pytest

from benchmarks.figures import figures_of, levelled
from benchmarks.series import Series


def of(values, **labels):
    return figures_of(Series("engine", "one total", tuple(map(float, values)), labels))


def test_percentiles_mean_and_extremes_are_those_of_the_values():
    found = of(range(101))
    assert [found.points[p].value for p in (50.0, 90.0, 95.0, 99.0)] == [50, 90, 95, 99]
    assert (found.n, found.most, found.mean, found.median) == (101, 100, 50, 50)


def test_films_that_take_turns_are_neither_variation_nor_instability():
    values = np.tile([400.0, 410.0, 250.0, 255.0], 25)
    plain, cycled = of(values), of(values, cycle="4")
    assert plain.variation > 0.2
    assert cycled.variation == pytest.approx(0)
    assert cycled.spread == pytest.approx(0)
    assert cycled.stable


def test_what_is_left_after_levelling_is_the_noise():
    noise = np.random.default_rng(0).lognormal(0, 0.1, 400)
    even = levelled(np.tile([10.0, 1000.0], 200) * noise, 2)
    assert np.corrcoef(even, noise)[0, 1] > 0.95


def test_a_run_that_becomes_slower_is_not_stable():
    assert of([10.0] * 60).stable
    assert not of([10.0] * 40 + [12.0] * 20).stable


def test_one_long_run_among_many_is_no_spread():
    found = of([10.0] * 199 + [200.0])
    assert found.variation > 1
    assert found.spread == 0


def test_the_bound_is_told_as_a_sentence_with_its_number_of_runs():
    text = of(range(1, 460)).bound_text("ms")
    assert text == "p99 <= 459 ms with 99 % confidence, n = 459"
    short = of(range(1, 101)).bound_text("ms")
    assert short.startswith("p95 <= ")
    assert "(p99 needs 459 runs), n = 100" in short
    assert of([1.0]).bound_text("ms").startswith("no percentile is bounded (p99 needs 459 runs)")
