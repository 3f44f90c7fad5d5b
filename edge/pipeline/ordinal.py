"""Stage 11: decodes ordinal outputs of a scorer to grades.

Layer: pipeline; pure functions over arrays. A head of K outputs grades 0 .. K - 1: p_0 says "at
least grade 0", p_k "at least grade k" (paper, section 2.4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class GradeEstimate:
    """One joint's grade: the decision, its expected value, and P(k) for each grade."""

    grade: int
    expected: float
    probabilities: npt.NDArray[np.float64]
    head_uncertain: bool


def decode_ordinal(outputs: npt.NDArray[np.floating], threshold: float = 0.5) -> GradeEstimate:
    """Decode K sigmoid outputs.

    q_0 = 1 and q_k = min(p_0 .. p_k) make the outputs monotone; P(k) = q_k - q_(k+1); the expected
    value is the sum of q_k for k >= 1; the grade is the number of leading outputs >= ``threshold``,
    minus 1, at least 0. A first output under .5 contradicts itself and is flagged. A site's
    threshold moves the grade alone: expected value and probabilities stay the scorer's own.
    """
    p = np.asarray(outputs, dtype=np.float64)
    q = np.minimum.accumulate(p)
    q[0] = 1.0
    leading = int(np.argmin(np.append(p >= threshold, False)))
    return GradeEstimate(
        grade=max(leading - 1, 0),
        expected=float(q[1:].sum()),
        probabilities=q - np.append(q[1:], 0.0),
        head_uncertain=bool(p[0] < 0.5),
    )
