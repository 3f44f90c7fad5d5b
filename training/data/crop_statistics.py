"""Statistics of the crops that a scorer learnt from: the pipeline grades no other ones.

Layer: training.data; pure functions over arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.pipeline.plausibility import STATISTICS, FamiliarCrops, crop_statistics

if TYPE_CHECKING:
    import numpy.typing as npt

KEPT = 0.9995
"""Share of the crops learnt from that lie within the limit."""
SLACK = 1.5
"""The limit lies this many times farther out: a site's films are not those of the training."""


def describe_crops(crops: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """Mean, precision and limit of crops [n, s, s], as `FamiliarCrops.of` reads them.

    Rounded before they are inverted: sums in another order must give the same file.
    """
    found = crop_statistics(crops)
    mean = _rounded(found.mean(axis=0))
    # The ridge keeps a statistic that never varies from forbidding any variation.
    ridge = np.diag(1e-4 + 1e-3 * found.var(axis=0))
    precision = _rounded(np.linalg.inv(_rounded(np.cov(found, rowvar=False) + ridge)))
    distances = FamiliarCrops(mean, precision, 0.0).distances(crops)
    return {
        "statistics": list(STATISTICS),
        "mean": mean.tolist(),
        "precision": precision.tolist(),
        "limit": float(_rounded(SLACK * np.quantile(distances, KEPT))),
    }


def _rounded(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Six digits of each value."""
    return np.vectorize(lambda value: float(f"{value:.6g}"), otypes=[np.float64])(values)
