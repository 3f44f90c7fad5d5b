import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.pipeline.ordinal import decode_ordinal


@pytest.mark.parametrize(
    ("outputs", "grade"),
    [
        ([0.9, 0.1, 0.1], 0),
        ([0.9, 0.8, 0.1], 1),
        ([0.9, 0.8, 0.5], 2),
        ([0.9, 0.2, 0.9], 0),
        ([0.2, 0.9, 0.9], 0),
    ],
)
def test_grade_counts_leading_outputs_only(outputs, grade):
    assert decode_ordinal(np.array(outputs)).grade == grade


def test_first_output_under_half_is_flagged():
    assert decode_ordinal(np.array([0.4, 0.1, 0.1])).head_uncertain
    assert not decode_ordinal(np.array([0.6, 0.1, 0.1])).head_uncertain


@given(st.lists(st.floats(0, 1), min_size=2, max_size=11))
def test_probabilities_are_a_distribution_with_the_stated_mean(outputs):
    estimate = decode_ordinal(np.array(outputs))
    assert (estimate.probabilities >= 0).all()
    assert estimate.probabilities.sum() == pytest.approx(1)
    mean = (np.arange(len(outputs)) * estimate.probabilities).sum()
    assert estimate.expected == pytest.approx(mean)
    assert 0 <= estimate.grade < len(outputs)


def test_a_sites_threshold_moves_the_grade_and_nothing_else():
    outputs = np.array([0.9, 0.6, 0.45, 0.2])
    plain, moved = decode_ordinal(outputs), decode_ordinal(outputs, 0.4)
    assert (plain.grade, moved.grade) == (1, 2)
    assert moved.expected == plain.expected
    np.testing.assert_array_equal(moved.probabilities, plain.probabilities)
