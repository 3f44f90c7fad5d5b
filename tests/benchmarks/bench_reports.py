"""A small report with series of every benchmark, as a session makes it."""

from __future__ import annotations

import numpy as np

from benchmarks.report import AccuracyRow, EngineRow
from benchmarks.series import Series
from benchmarks.session import Session

STAGES = {"decode": 7.0, "find": 96.0, "mask": 50.0, "score": 214.0}
PEERS = {"ours": 1.0, "OpenVINO defaults": 1.3, "OpenCV dnn": 3.0}


def all_series(scale=1.0, films=20):
    """Series of each benchmark; times are multiplied by ``scale``."""
    random = np.random.default_rng(5)
    limbs = np.tile([1.2, 1.2, 0.8, 0.8], films // 4)
    at_s = tuple(np.arange(films) * 0.5)
    found = []
    for form in ("JPEG", "PNG"):
        labels = {"size": "2000x2500", "format": form, "cycle": "4"}
        parts = {
            name: spent * scale * limbs * random.lognormal(0, 0.05, films)
            for name, spent in STAGES.items()
        }
        parts["whole film"] = sum(parts.values()) + 1
        parts["picture, after the result"] = np.full(films, 8.0)
        found += [
            Series("pipeline", name, tuple(map(float, values)), labels, at_s=at_s)
            for name, values in parts.items()
        ]
    labels = {"engine": "hand-score", "backend": "onnxruntime", "precision": "fp32", "batch": "10"}
    spent = tuple(map(float, 200 * scale * random.lognormal(0, 0.02, films)))
    found += [Series("engine", f"hand-score {phase}", spent, labels) for phase in
              ("compute", "total")]  # fmt: skip
    for pattern in ("one film at a time", "burst of 20"):
        labels = {"pattern": pattern}
        found.append(Series("appliance", "closed to received", spent, labels, at_s=at_s))
        found.append(Series("appliance", "memory", (600.0,), labels, "MiB"))
    for workers in ("1", "2"):
        for share in ("0.5", "1.5"):
            labels = {"workers": workers, "share": share}
            found.append(Series("scaling", "films a minute", (60.0,), labels, "1/min"))
            found.append(Series("scaling", "closed to received", spent, labels))
    for rows in ("1", "1000"):
        labels = {"rows": rows, "messages": "delivered"}
        found.append(Series("scaling", "pick-up: enter a film", (1.0, 1.1), labels))
    for part in ("graph", "pipeline", "paper"):
        for contender, factor in PEERS.items():
            values = tuple(value * factor for value in spent)
            labels = {"part": part, "contender": contender, "precision": "fp32"}
            found.append(Series("peers", f"{part} work", values, labels))
    return found


def report_of(series, *, settings=None):
    """A report over series, with one engine and one row of grades."""
    session = Session(settings or {"rounds": 5, "seed": 7}, rest_s=0.01)
    for bench in ("engine", "pipeline", "appliance", "peers", "scaling"):
        with session.measuring(bench):
            session.add(one for one in series if one.bench == bench)
    session.engines["hand-score"] = EngineRow(
        stem="hand-score", name="hand-score", backend="onnxruntime", precision="fp32",
        sha256="ab" * 32, serves=True, batch=10, gflop=56.4, memory={"pss": 200.0},
        peak_gflops={"numpy matrices": 400.0}, agreement={"equal_share": 0.998},
        judged="agrees",
    )  # fmt: skip
    session.accuracy.append(
        AccuracyRow(
            films="JPEG, 2000x2500 px", against="FP32 graphs", grades=62, equal=61,
            largest_jump=1, fates_differ=0,
        )
    )  # fmt: skip
    session.note("films are simulated")
    return session.close()
