"""Thresholds fitted on graded films: what they say, and when nothing is said."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.anatomy import Limb
from edge.pipeline.ordinal import decode_ordinal
from phantom.ra2_columns import ScoreKind
from training.errors import TrainingError
from training.evaluation.site import GRID, LEAST_FILMS, fit_site, grades_at


@dataclass
class Graded:
    """One joint as a reader graded it."""

    name: str
    erosion: int | None
    narrowing: int | None = None


@dataclass
class Film:
    """What the fit reads of one labelled limb."""

    path: str
    patient: str
    joints: list[Graded]

    @property
    def truth(self):
        return self


@dataclass
class One:
    """What the fit reads of one measured limb."""

    labelled: Film
    probabilities: dict = field(default_factory=dict)
    limb: Limb = Limb.HAND

    @property
    def result(self):
        return self


def measured(films, level, rng):
    """Films on which a joint has grade 1 where the scorer gives it more than ``level``."""
    found = []
    for film in range(films):
        joints, probabilities = [], {}
        for joint in range(10):
            chance = rng.uniform(0, 1)
            name = f"PIP{joint}"
            joints.append(Graded(name, int(chance > level)))
            probabilities[name, "erosion"] = np.array([1 - chance, chance, 0, 0, 0, 0])
        found.append(One(Film(f"{film}.jpg", f"P{film // 2}", joints), probabilities))
    return found


@pytest.mark.parametrize("level", [0.3, 0.7])
def test_the_threshold_of_a_scorer_that_a_site_reads_otherwise_is_found(level):
    [fit] = fit_site(measured(40, level, np.random.default_rng(0)))
    assert (fit.limb, fit.kind) == (Limb.HAND, ScoreKind.EROSION)
    assert fit.fitted.threshold == pytest.approx(level, abs=0.04)
    assert fit.fitted.low <= fit.fitted.threshold <= fit.fitted.high
    assert fit.fitted.mean_error < fit.fitted.mean_error_before
    assert (fit.fitted.joints, fit.fitted.films) == (400, 40)
    assert fit.useful


def test_a_scorer_that_reads_as_the_site_does_is_left_as_it_is():
    [fit] = fit_site(measured(40, 0.5, np.random.default_rng(1)))
    assert not fit.useful


def test_fewer_films_than_a_threshold_needs_are_refused():
    few = measured(LEAST_FILMS - 1, 0.3, np.random.default_rng(2))
    with pytest.raises(TrainingError, match=r"29 films.*grade more films"):
        fit_site(few)


def test_films_that_were_held_or_not_graded_do_not_count():
    films = measured(LEAST_FILMS, 0.3, np.random.default_rng(3))
    films[0].probabilities = {}
    with pytest.raises(TrainingError, match="29 films"):
        fit_site(films)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=11), st.sampled_from(GRID.tolist()))
def test_a_grade_at_a_threshold_is_the_one_that_the_pipeline_gives(outputs, threshold):
    outputs = np.array([1.0, *outputs])
    estimate = decode_ordinal(outputs, threshold)
    q = np.minimum.accumulate(outputs)
    if np.abs(q - threshold).min() < 1e-9:
        return
    assert grades_at(estimate.probabilities, np.array([threshold]))[0] == estimate.grade
