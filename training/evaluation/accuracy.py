"""Grades read from ordinal outputs, and how many of them are right.

Layer: training.evaluation; pure functions over arrays.
"""

from __future__ import annotations

import numpy as np


def decode_grades(probabilities: np.ndarray) -> np.ndarray:
    """Number of leading outputs >= .5, minus 1, at least 0: [n, K] to [n]."""
    leading = np.cumprod(probabilities >= 0.5, axis=1).sum(axis=1)
    return np.maximum(leading - 1, 0)


def balanced_accuracy(truth: np.ndarray, guess: np.ndarray, within: int = 0) -> float:
    """Mean over the grades present of the share graded right (or at most ``within`` off)."""
    right = np.abs(truth - guess) <= within
    return float(np.mean([right[truth == grade].mean() for grade in np.unique(truth)]))
