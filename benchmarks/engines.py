"""Measures each installed engine alone, as trtexec reports it.

Layer: benchmarks; runs engines. Copies to and from the device and the host's enqueueing are
measured where a back end has them; a CPU has none, and then there is no such series.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.engine_memory import added_mib
from benchmarks.flops import count_flops
from benchmarks.report import EngineRow
from benchmarks.series import Series
from edge.engine.backend_table import BACKENDS
from edge.engine.installed import not_serving, scan
from edge.engine.key import device_key
from edge.engine.loader import open_backend
from edge.engine.passport import open_engine
from edge.engine.tuned import read_tuned
from edge.errors import EngineError
from export.acceptance.latency import WARM_UP_S, typical_inputs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge.engine.loader import EngineSet
    from edge.engine.passport import Passport, VerifiedEngine
    from edge.engine.protocol import Engine

LEAST_S = 3.0
LEAST_RUNS = 100
_PHASES = ("h2d", "compute", "d2h", "enqueue", "total")


@dataclass(frozen=True)
class Effort:
    """How long each engine runs: both least values hold, after a warm-up."""

    seconds: float = LEAST_S
    runs: int = LEAST_RUNS
    warm_up_s: float = WARM_UP_S


def installed(folder: Path, only: Sequence[str] = ()) -> Iterator[tuple[Path, VerifiedEngine]]:
    """Every engine of a folder that may serve and whose signature holds, with its passport's path.

    ``only`` are stems or names of recipes; all where it is empty.
    """
    for item in scan(folder):
        passport = item.passport
        if passport is None or not_serving(passport) is not None:
            continue
        if only and item.stem not in only and item.name not in only:
            continue
        try:
            yield item.path, open_engine(item.path, device_key())
        except EngineError:
            continue


def tuned_threads(folder: Path) -> dict[str, int]:
    """Threads of the engines that ``sharpedge tune`` has chosen, by stem."""
    tuned, _ = read_tuned(folder, device_key())
    return {one.stem: one.threads for one in tuned.engines.values()} if tuned else {}


def measure_engine(
    stem: str,
    verified: VerifiedEngine,
    effort: Effort,
    begun_s: float,
    *,
    threads: int = 0,
    batch: int | None = None,
) -> list[Series]:
    """Run one engine.

    ``begun_s`` is when the benchmark began, ``threads`` what the engine runs with; 0: every core.
    ``batch`` is a limb's joints for a scorer, else 1, unless it is stated.
    Raises `EngineError`.
    """
    engine = _open(verified, threads)
    inputs = typical_inputs(engine, batch)
    until_s = time.perf_counter() + effort.warm_up_s
    while True:
        engine.run(inputs)
        if time.perf_counter() >= until_s:
            break
    rows: dict[str, list[float]] = {phase: [] for phase in _PHASES}
    at_s: list[float] = []
    until_s = time.perf_counter() + effort.seconds
    while len(at_s) < effort.runs or time.perf_counter() < until_s:
        started_s = time.perf_counter()
        engine.run(inputs)
        rows["total"].append((time.perf_counter() - started_s) * 1000)
        spent = engine.timings
        rows["h2d"].append(spent.h2d_ms)
        rows["compute"].append(spent.compute_ms)
        rows["d2h"].append(spent.d2h_ms)
        rows["enqueue"].append(float(getattr(engine, "enqueue_ms", 0.0)))
        at_s.append(started_s - begun_s)
    copies = BACKENDS[verified.passport.backend].needs_gpu
    labels = labels_of(stem, verified.passport, len(next(iter(inputs.values()))))
    if threads:
        labels["threads"] = str(threads)
    return [
        Series("engine", f"{engine.name} {phase}", tuple(rows[phase]), labels, at_s=tuple(at_s))
        for phase in _PHASES
        if copies or phase in {"compute", "total"}
    ]


def describe(
    path: Path,
    verified: VerifiedEngine,
    serving: EngineSet,
    peaks: dict[str, float],
    graphs: dict[str, bytes],
) -> EngineRow:
    """Everything about an engine that is no series.

    ``graphs`` are the FP32 graphs by recipe: the operations of an engine that is no graph are those
    of the graph that it was built from.
    """
    row = describe_unmeasured(path, verified, serving)
    engine = open_backend(verified)
    batch = batch_of(engine)
    data = verified.data if verified.passport.engine.format == "onnx" else graphs.get(row.name)
    gflop = None if data is None else count_flops(data, batch) / 1e9
    return row.model_copy(
        update={
            "batch": batch,
            "gflop": gflop,
            "memory": added_mib(path, batch),
            "peak_gflops": peaks,
        }
    )


def describe_unmeasured(path: Path, verified: VerifiedEngine, serving: EngineSet) -> EngineRow:
    """What the passport alone says of an engine."""
    passport = verified.passport
    own = passport.acceptance
    return EngineRow(
        stem=path.stem,
        name=passport.name,
        backend=passport.backend,
        precision=str(passport.engine.precision),
        sha256=passport.engine.sha256,
        serves=_serves(passport, serving),
        agreement=dict(own.figures) if own is not None else {},
        judged="is the reference" if passport.is_reference else own.reason if own else "not judged",
    )


def labels_of(stem: str, passport: Passport, batch: int) -> dict[str, str]:
    """What distinguishes the series of one engine."""
    return {
        "engine": stem,
        "backend": passport.backend,
        "precision": str(passport.engine.precision),
        "batch": str(batch),
    }


def batch_of(engine: Engine) -> int:
    """Images in one run as a film needs it: a limb's joints for a scorer, else 1."""
    return len(next(iter(typical_inputs(engine).values())))


def _serves(passport: Passport, serving: EngineSet) -> bool:
    engine = serving.get(passport.role, passport.limb)
    # Back ends may share one file: the same graph serves in ONNX Runtime and in OpenVINO.
    return (
        engine is not None
        and engine.sha256 == passport.engine.sha256
        and engine.passport.get("backend") == passport.backend
        and engine.passport.get("build_key") == passport.build_key
    )


def _open(verified: VerifiedEngine, threads: int) -> Engine:
    if BACKENDS[verified.passport.backend].needs_gpu:
        from benchmarks.enqueue import EnqueueTimedEngine  # noqa: PLC0415 - needs a GPU

        return EnqueueTimedEngine(verified)
    return open_backend(verified, threads=threads)
