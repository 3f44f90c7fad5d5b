"""Measures the latency of an engine on this machine, copies and computation apart.

Layer: export; runs the engine it is given; touches nothing else.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.anatomy import Limb
from edge.engine.inputs import input_size, to_inputs
from edge.engine.passport import Role

if TYPE_CHECKING:
    from edge.engine.protocol import Engine, Tensor

WARM_UP_S = 0.2
LEAST_S = 3.0
LEAST_RUNS = 10
_PERCENTILES = (50, 90, 95, 99)
_STABLE = 0.1


@dataclass(frozen=True)
class Latency:
    """``figures`` in ms: ``h2d_p50`` ... ``total_p99``. ``variation`` is deviation by mean.

    ``stable``: the medians of the run's thirds lie within 10 % of each other.
    """

    figures: dict[str, float]
    runs: int
    variation: float
    stable: bool


def typical_inputs(engine: Engine, batch: int | None = None) -> dict[str, Tensor]:
    """Noise of the engine's size: one image, or a limb's joints for a scorer."""
    if batch is None:
        limb = Limb(str(engine.passport["limb"]))
        batch = len(limb.joints) if engine.passport["role"] == Role.SCORE else 1
    random = np.random.default_rng(0)
    grey = random.integers(0, 256, (batch, *input_size(engine)), dtype=np.uint8)
    return to_inputs(engine, grey)


def measure(engine: Engine, inputs: dict[str, Tensor], least_s: float = LEAST_S) -> Latency:
    """Run for ``least_s`` seconds, and `LEAST_RUNS` times, after a warm-up."""
    until_s = time.perf_counter() + WARM_UP_S
    while time.perf_counter() < until_s:
        engine.run(inputs)
    rows: list[tuple[float, float, float, float]] = []
    until_s = time.perf_counter() + least_s
    while len(rows) < LEAST_RUNS or time.perf_counter() < until_s:
        engine.run(inputs)
        spent = engine.timings
        rows.append((spent.h2d_ms, spent.compute_ms, spent.d2h_ms, spent.total_ms))
    table = np.array(rows)
    figures = {
        f"{name}_p{p}": round(float(np.percentile(table[:, column], p)), 3)
        for column, name in enumerate(("h2d", "compute", "d2h", "total"))
        for p in _PERCENTILES
    }
    total = table[:, 3]
    medians = [float(np.median(part)) for part in np.array_split(total, 3)]
    return Latency(
        figures,
        len(rows),
        float(total.std() / total.mean()),
        max(medians) <= (1 + _STABLE) * min(medians),
    )
