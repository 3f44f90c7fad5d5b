"""A TensorRT engine that also tells how long the host needs to enqueue its computation.

Layer: benchmarks; uses a GPU.
"""

from __future__ import annotations

import time

from edge.engine.backends.tensorrt import TensorRtEngine


class EnqueueTimedEngine(TensorRtEngine):
    """A `TensorRtEngine` with ``enqueue_ms``: host time of the last enqueueing."""

    enqueue_ms = 0.0

    def _enqueue(self, shape: tuple[int, ...]) -> None:
        begun_s = time.perf_counter()
        super()._enqueue(shape)
        self.enqueue_ms = (time.perf_counter() - begun_s) * 1000
