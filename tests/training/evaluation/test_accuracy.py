"""Grades from outputs, and balanced accuracy."""

import numpy as np
import pytest

from edge.pipeline.ordinal import decode_ordinal
from training.evaluation.accuracy import balanced_accuracy, decode_grades


def test_training_and_the_appliance_read_the_same_grade_from_any_outputs():
    rng = np.random.default_rng(0)
    outputs = rng.random((500, 11))
    outputs[::2] = np.sort(outputs[::2])[:, ::-1]
    mine = decode_grades(outputs).tolist()
    assert mine == [decode_ordinal(row).grade for row in outputs]
    assert len(set(mine)) > 5


def test_balanced_accuracy_weighs_every_grade_the_same():
    truth = np.array([0] * 98 + [1, 2])
    assert balanced_accuracy(truth, np.zeros(100, int)) == pytest.approx(1 / 3)
    assert balanced_accuracy(truth, np.zeros(100, int), 1) == pytest.approx(2 / 3)
