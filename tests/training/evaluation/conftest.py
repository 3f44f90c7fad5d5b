"""Labelled limbs of four patients."""

import pytest
from labelled_limbs import truth_of

from edge.anatomy import Limb


@pytest.fixture
def truths():
    """Four patients of two limbs each, every grade of a hand among them."""
    return [
        truth_of(f"P{i}-{side}{limb.value[0].upper()}.jpg", limb, i, min(i, 4), turn=90.0 * i)
        for i in range(4)
        for limb, side in ((Limb.HAND, "L"), (Limb.FOOT, "L"))
    ]
