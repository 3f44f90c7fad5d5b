"""What a scorer's crops look like, for the passport: the pipeline grades no others.

Room: training; needs no torch. Pure functions over arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.pipeline.trust import STATISTICS, FamiliarCrops, crop_statistics

if TYPE_CHECKING:
    import numpy.typing as npt

KEPT = 0.9995
"""Share of the crops learnt from that lie within the limit."""
SLACK = 1.5
"""The limit lies this many times farther out: a site's films are not those of the training."""


def describe_crops(crops: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """Mean, precision and limit of crops [n, s, s], as `FamiliarCrops.of` reads them."""
    found = crop_statistics(crops)
    mean = np.asarray(found.mean(axis=0), np.float64)
    # The ridge keeps a statistic that never varies from forbidding any variation.
    spread = np.cov(found, rowvar=False) + np.diag(1e-4 + 1e-3 * found.var(axis=0))
    precision = np.asarray(np.linalg.inv(spread), np.float64)
    distances = FamiliarCrops(mean, precision, 0.0).distances(crops)
    return {
        "statistics": list(STATISTICS),
        "mean": [float(value) for value in mean],
        "precision": precision.tolist(),
        "limit": float(SLACK * np.quantile(distances, KEPT)),
    }
