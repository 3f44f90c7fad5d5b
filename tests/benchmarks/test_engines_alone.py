from __future__ import annotations

import numpy as np
import pytest

from benchmarks.engine_memory import added_mib, resident_mib
from benchmarks.engines import Effort, describe, installed, measure_engine
from benchmarks.peak import conv_gflops, conv_graph, fastest_s, sgemm_gflops
from edge.engine.loader import load_engines
from edge.engine.protocol import Timings
from edge.errors import EngineError
from edge.system.paths import built_engines

SHORT = Effort(seconds=0.0, runs=3, warm_up_s=0.0)


@pytest.fixture(scope="module")
def mask():
    """Passport's path and verified bytes of the smallest installed engine."""
    found = [item for item in installed(built_engines(), ["hand-mask"]) if "." not in item[0].stem]
    if not found:
        pytest.skip("no engines are built: sharpedge export")
    return found[0]


@pytest.fixture(scope="module")
def serving(mask):
    assert mask
    return load_engines(built_engines())


def test_a_cpu_engine_has_computation_and_total_and_no_copies(mask):
    path, verified = mask
    series = {one.name: one for one in measure_engine(path.stem, verified, SHORT, 0.0)}
    assert series.keys() == {"hand-mask compute", "hand-mask total"}
    compute, total = series["hand-mask compute"], series["hand-mask total"]
    assert len(total.values) == len(total.at_s) == 3
    assert all(0 < part <= whole for part, whole in zip(compute.values, total.values, strict=True))
    assert total.labels == {
        "engine": "hand-mask", "backend": "onnxruntime", "precision": "fp32", "batch": "1",
    }  # fmt: skip


def test_both_least_values_hold(mask, monkeypatch):
    path, verified = mask
    from benchmarks import engines

    now = iter(np.arange(0, 1000, 0.25))
    monkeypatch.setattr(engines.time, "perf_counter", lambda: float(next(now)))
    monkeypatch.setattr(engines, "_open", lambda _verified, _threads: StandIn(verified))

    def run(seconds, runs):
        effort = Effort(seconds, runs, warm_up_s=0.0)
        series = measure_engine(path.stem, verified, effort, 0.0)
        (total,) = [one for one in series if one.name.endswith("total")]
        return total.at_s

    at_s = run(3.0, 2)
    assert len(at_s) > 2
    assert at_s[-1] - at_s[0] > 2.5
    assert len(run(0.5, 7)) == 7


def test_a_gpu_engine_has_every_phase(mask, monkeypatch):
    path, verified = mask
    from benchmarks import engines

    gpu = engines.BACKENDS["tensorrt"]
    monkeypatch.setitem(engines.BACKENDS, verified.passport.backend, gpu)
    monkeypatch.setattr(engines, "_open", lambda _verified, _threads: StandIn(verified))
    series = {one.name: one.values for one in measure_engine(path.stem, verified, SHORT, 0.0)}
    phases = ("h2d", "compute", "d2h", "enqueue")
    assert [series[f"hand-mask {phase}"] for phase in phases] == [
        (1.0,) * 3, (2.0,) * 3, (3.0,) * 3, (0.5,) * 3,
    ]  # fmt: skip


class StandIn:
    """An engine with the timings of a GPU."""

    enqueue_ms = 0.5
    timings = Timings(1.0, 2.0, 3.0)
    name = "hand-mask"

    def __init__(self, verified):
        self.passport = verified.passport.model_dump(mode="json")

    def run(self, inputs):
        return inputs


def test_an_engine_is_described_with_operations_and_memory(mask, serving):
    path, verified = mask
    row = describe(path, verified, serving, {"numpy matrices": 100.0}, {})
    assert row.serves
    assert row.judged == "is the reference"
    assert row.sha256 == verified.passport.engine.sha256
    assert row.batch == 1
    assert 1 < row.gflop < 10
    assert row.memory["rss"] > 5


def test_an_engine_that_cannot_be_opened_adds_no_memory(tmp_path):
    assert added_mib(tmp_path / "none.json", 1) == {}
    assert resident_mib()["rss"] > 10


def test_only_what_is_asked_for_is_measured():
    assert [path.stem for path, _ in installed(built_engines(), ["nothing"])] == []


def test_a_large_convolution_runs_in_the_engines_own_back_end(mask):
    assert conv_gflops(mask[1], 0.0) > 0.1
    assert len(conv_graph(4, 8)) > 4 * 4 * 9 * 4


def test_a_back_end_that_refuses_the_convolution_has_no_peak_of_its_own(mask, monkeypatch):
    from benchmarks import peak

    def refuse(_verified):
        raise EngineError("no", engine="peak", fix="none")

    monkeypatch.setattr(peak, "open_backend", refuse)
    assert conv_gflops(mask[1], 0.0) is None


def test_the_peak_is_the_fastest_run(monkeypatch):
    from benchmarks import peak

    runs = [(0.0, 5.0), (0.0, 2.0), (0.0, 3.0), (0.0, 4.0), (0.0, 6.0)]
    readings = iter([0.0, *(reading for run in runs for reading in run), 9.0])
    monkeypatch.setattr(peak.time, "perf_counter", lambda: next(readings))
    assert fastest_s(lambda: None, 1.0) == 2.0


def test_a_matrix_product_counts_two_operations_for_each_multiplication(monkeypatch):
    from benchmarks import peak

    monkeypatch.setattr(peak, "fastest_s", lambda run, _seconds: run() is None or 0.5)
    assert sgemm_gflops(1.0, 100) == pytest.approx(2 * 100**3 / 0.5 / 1e9)
