import numpy as np
import pytest

from benchmarks.realism import area_under_curve, discriminant, features, simulated_crops
from edge.anatomy import Limb


def test_area_under_the_curve_is_the_chance_that_a_positive_scores_higher():
    labels = np.array([1, 1, 0, 0])
    assert area_under_curve(np.array([3.0, 4.0, 1.0, 2.0]), labels) == 1
    assert area_under_curve(np.array([1.0, 4.0, 2.0, 3.0]), labels) == 0.5
    assert area_under_curve(np.zeros(4), labels) == 0.5


def test_discriminant_finds_the_direction_that_differs_and_none_in_noise():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(400, 6)), np.arange(400) % 2
    apart = x + 2.0 * y[:, None] * np.eye(6)[2]
    train, held_out = slice(None, 200), slice(200, None)
    for data, low, high in ((apart, 0.85, 1.0), (x, 0.35, 0.65)):
        direction = discriminant(data[train], y[train])
        assert low < area_under_curve(data[held_out] @ direction, y[held_out]) < high


def test_simulated_crops_are_healthy_and_have_features():
    crops = list(simulated_crops(Limb.FOOT, 3))
    assert len({features(crop).shape for crop in crops}) == 1
    assert features(crops[0]) != pytest.approx(features(crops[1]))
