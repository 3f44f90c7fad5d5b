from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.pipeline.ordinal import decode_ordinal
from edge.pipeline.plausibility import (
    STATISTICS,
    Exclusion,
    FamiliarCrops,
    crop_statistics,
    doubt,
    growth_plate_evidence,
)

RNG = np.random.default_rng(5)
CROPS = RNG.integers(60, 180, (40, 32, 32), dtype=np.uint8)


def familiar(crops):
    found = crop_statistics(crops)
    spread = np.cov(found, rowvar=False) + np.eye(len(STATISTICS)) * 1e-6
    said = {
        "statistics": list(STATISTICS),
        "mean": found.mean(axis=0).tolist(),
        "precision": np.linalg.inv(spread).tolist(),
        "limit": 60.0,
    }
    known = FamiliarCrops.of({"familiar_crops": said})
    assert known is not None
    return known


def test_crops_like_those_learnt_from_are_known_and_others_are_not():
    known = familiar(CROPS)
    assert known.knows(CROPS).all()
    strange = np.stack([np.full((32, 32), 255, np.uint8), np.zeros((32, 32), np.uint8)])
    assert not known.knows(strange).any()


@pytest.mark.parametrize(
    "training", [{}, {"familiar_crops": None}, {"familiar_crops": {"statistics": ["mean"]}}]
)
def test_passport_that_says_nothing_or_something_else_gates_nothing(training):
    assert FamiliarCrops.of(training) is None


def test_doubt_is_the_chance_beyond_the_neighbouring_grades():
    sure = decode_ordinal(np.array([1.0, 1.0, 0.9, 0.1, 0.0, 0.0]))
    torn = decode_ordinal(np.array([1.0, 0.45, 0.4, 0.4, 0.4, 0.3]))
    assert sure.grade == 2
    assert doubt(sure) == pytest.approx(0.0)
    assert torn.grade == 0
    assert doubt(torn) == pytest.approx(0.4)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=11))
def test_doubt_is_a_probability(outputs):
    assert -1e-9 <= doubt(decode_ordinal(np.array(outputs))) <= 1 + 1e-9


def showing(*probabilities):
    return [Exclusion(0.0, probability, 0.0) for probability in probabilities]


def test_growth_plates_count_by_their_mean_log_odds_over_the_joints_of_a_limb():
    assert growth_plate_evidence(showing(0.5, 0.5)) == pytest.approx(0)
    assert growth_plate_evidence(showing(0.9, 0.9, 0.2)) > 0
    assert growth_plate_evidence(showing(0.9, 0.1, 0.1)) < 0
    assert growth_plate_evidence([]) < 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_growth_plate_evidence_is_finite_whatever_a_scorer_says(probabilities):
    assert np.isfinite(growth_plate_evidence(showing(*probabilities)))
