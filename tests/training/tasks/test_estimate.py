"""The estimate of a recipe."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
from training.tasks.estimate import estimate_hours  # noqa: E402
from training.tasks.recipes import (  # noqa: E402
    DEMO_RECIPES,
)

pytestmark = pytest.mark.training


def test_the_paper_takes_longer_than_the_demo():
    small = {
        name: replace(recipe, crop_px=32, film_px=300) for name, recipe in DEMO_RECIPES.items()
    }
    hours = {name: sum(estimate_hours(recipe).values()) for name, recipe in small.items()}
    assert hours["paper"] > 1.5 * hours["demo"] > 0
