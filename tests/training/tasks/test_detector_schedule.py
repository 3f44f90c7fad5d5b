"""The paper's learning rates."""

import pytest

torch = pytest.importorskip("torch")
from training.tasks.detector import learning_rate  # noqa: E402
from training.tasks.recipes import (  # noqa: E402
    DEMO_RECIPES,
)

pytestmark = pytest.mark.training


PAPER = DEMO_RECIPES["paper"]


def test_the_papers_detector_follows_darknets_schedule():
    recipe = PAPER.hand_detector
    rate = [learning_rate(recipe, 64 * batch) for batch in range(4_000)]
    assert recipe.samples == 4_000 * 64
    assert rate[499] == pytest.approx(1e-3 / 16)
    assert rate[999] == rate[3_199] == 1e-3
    assert rate[3_200] == rate[3_599] == pytest.approx(1e-4)
    assert rate[3_600] == rate[3_999] == pytest.approx(1e-5)
