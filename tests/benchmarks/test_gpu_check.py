"""The GPU check explains itself without a GPU, and its torch reference computes our graphs."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import gpu_check
from benchmarks.gpu_check import EXIT_NOTHING_RAN, as_markdown
from edge.engine.device import preflight
from edge.engine.inputs import to_inputs
from edge.engine.key import device_key
from edge.engine.loader import open_backend
from edge.engine.passport import VerifiedEngine, open_engine
from edge.errors import EngineError
from edge.system.paths import engines_home
from export.exporter import export_engine

REPOSITORY = Path(gpu_check.__file__).resolve().parents[1]
needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed"
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHARPEDGE_HOME", str(folder / "home"))
        for name in ("hand-mask", "hand-detect", "hand-score"):
            export_engine(engines_home() / f"{name}.toml", folder)
        yield folder


@pytest.mark.skipif(preflight().device is not None, reason="this machine has a GPU")
def test_without_a_gpu_it_reports_what_is_missing_and_builds_what_it_can(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu_check", "--only", "hand-mask", "--out", tmp_path],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        cwd=REPOSITORY,
        env={**os.environ, "SHARPEDGE_HOME": str(tmp_path / "home")},
    )
    assert done.returncode == EXIT_NOTHING_RAN, done.stderr
    assert "nothing ran: tensorrt: " in done.stdout
    report = json.loads((tmp_path / "gpu-check.json").read_text())
    assert report["runner"] is None
    assert all(why != "serves" and why for why in report["runners"].values())
    (row,) = report["models"]
    assert not row["errors"]
    if importlib.util.find_spec("tensorrt_rtx"):
        assert row["builds"][0]["half_tensors"] > 30
    page = (tmp_path / "gpu-check.md").read_text()
    assert "not a medical device" in page
    assert "Ran by: nothing" in page


@needs_torch
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("name", ["hand-mask", "hand-detect", "hand-score"])
def test_torch_computes_what_onnx_runtime_computes(exported, name, half):
    from benchmarks.torch_graph import TorchEngine

    verified = open_engine(exported / f"{name}.json", device_key())
    reference = open_backend(verified, threads=1)
    if half:
        path = exported / verified.passport.half.file
        verified = VerifiedEngine(verified.passport, path.read_bytes(), path)
    spec = verified.passport.input
    random = np.random.default_rng(0)
    grey = random.integers(0, 256, (1, spec.height, spec.width), dtype=np.uint8)
    inputs = to_inputs(reference, grey)
    wanted = reference.run(inputs)
    found = TorchEngine(verified, device="cpu").run(inputs)
    assert found.keys() == wanted.keys()
    for key, array in wanted.items():
        assert found[key].dtype == np.float32
        scale = 60.0 if key == "boxes" else 1.0
        np.testing.assert_allclose(found[key], array, atol=scale * (2e-2 if half else 1e-4))


@needs_torch
def test_an_operator_that_torch_is_not_taught_is_named(exported):
    import onnx

    from benchmarks.torch_graph import TorchEngine

    verified = open_engine(exported / "hand-mask.json", device_key())
    model = onnx.load_from_string(verified.data)
    model.graph.node[0].op_type = "LSTM"
    data = model.SerializeToString()
    with pytest.raises(EngineError, match="LSTM"):
        TorchEngine(VerifiedEngine(verified.passport, data, verified.path), device="cpu")


def test_the_page_shows_runs_failures_and_verdicts():
    figures = {f"{part}_p{p}": 1.5 for part in ("h2d", "compute", "d2h", "total")
               for p in (50, 90, 95, 99)}  # fmt: skip
    run = {
        "batch": 1, "cuda_graph": True, "latency_ms": figures, "stable": True, "gpu_mib": 300,
        "differences": {"mask": 0.001},
    }  # fmt: skip
    report = {
        "measured": "now", "gpu": {"name": "Orin"}, "runner": "tensorrt",
        "runners": {"tensorrt": "serves"}, "gate": {"hand-mask": "agrees"},
        "models": [{"model": "hand-mask", "builds": [],
                    "runs": [run, {"batch": 2, "cuda_graph": False, "error": "lost"}]}],
    }  # fmt: skip
    page = as_markdown(report)
    assert "| hand-mask | 1 | True | 1.5 |" in page
    assert "| hand-mask | 2 | False | lost |" in page
    assert "- hand-mask: agrees" in page
