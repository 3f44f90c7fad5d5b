"""Measures what the machine can compute at most, to hold engines against.

Layer: benchmarks; runs a matrix product in numpy, and one large convolution in an engine's own back
end and precision. Both are the fastest of several runs: a peak, not a typical value.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.flops import count_flops
from edge.engine.backend_table import BACKENDS
from edge.engine.loader import open_backend
from edge.engine.passport import VerifiedEngine
from edge.errors import EdgeError
from export.onnx_graph.builder import GraphBuilder

if TYPE_CHECKING:
    from collections.abc import Callable

MATRIX_SIDE = 2048
CONV_CHANNELS = 256
CONV_SIDE_PX = 64
LEAST_RUNS = 5


def sgemm_gflops(seconds: float = 1.0, side: int = MATRIX_SIDE) -> float:
    """GFLOP/s of numpy's float32 matrix product [side, side] x [side, side]."""
    random = np.random.default_rng(0)
    left, right = (random.standard_normal((side, side), np.float32) for _ in range(2))
    out = np.empty_like(left)
    best_s = fastest_s(lambda: np.matmul(left, right, out=out), seconds)
    return 2 * side**3 / best_s / 1e9


def conv_gflops(like: VerifiedEngine, seconds: float = 1.0) -> float | None:
    """GFLOP/s of one 3 x 3 convolution in the back end and precision of an engine.

    The convolution has 256 channels in and out over 64 x 64 px: 4.8 GFLOP. None where the back end
    takes no ONNX graph, or refuses this one.
    """
    if BACKENDS[like.passport.backend].needs_gpu or like.passport.engine.format != "onnx":
        return None
    data = conv_graph(CONV_CHANNELS, CONV_SIDE_PX)
    passport = like.passport.model_copy(
        update={
            "name": "peak",
            "outputs": {"out": (1, CONV_CHANNELS, CONV_SIDE_PX, CONV_SIDE_PX)},
            "engine": like.passport.engine.model_copy(
                update={"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            ),
        }
    )
    image = np.random.default_rng(0).standard_normal(
        (1, CONV_CHANNELS, CONV_SIDE_PX, CONV_SIDE_PX), np.float32
    )
    try:
        engine = open_backend(VerifiedEngine(passport, data, like.path))
        best_s = fastest_s(lambda: engine.run({"image": image}), seconds)
    except EdgeError:
        return None
    return count_flops(data) / best_s / 1e9


def conv_graph(channels: int, side_px: int) -> bytes:
    """Graph of one 3 x 3 convolution: ``image`` [1, channels, side, side] to ``out``."""
    graph = GraphBuilder("peak")
    image = graph.input("image", (1, channels, side_px, side_px))
    random = np.random.default_rng(0)
    weight = (random.standard_normal((channels, channels, 3, 3), np.float32) * 0.02).astype("f4")
    found = graph.conv(image, "conv", weight, np.zeros(channels, np.float32), pads=(1, 1, 1, 1))
    graph.output(found, "out", (1, channels, side_px, side_px))
    return bytes(graph.build().SerializeToString())


def fastest_s(run: Callable[[], object], seconds: float) -> float:
    """Shortest time of a run, over ``seconds`` and `LEAST_RUNS` at least."""
    run()
    best_s, runs, until_s = float("inf"), 0, time.perf_counter() + seconds
    while runs < LEAST_RUNS or time.perf_counter() < until_s:
        begun_s = time.perf_counter()
        run()
        best_s = min(best_s, time.perf_counter() - begun_s)
        runs += 1
    return best_s
