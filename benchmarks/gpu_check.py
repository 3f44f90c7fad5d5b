"""The checks that need a GPU, in one run: ``python -m benchmarks.gpu_check --out FOLDER``.

Layer: benchmarks; exports the demo models and full-size ones with random weights, builds an engine
of each, runs it, and writes ``gpu-check.json`` and ``gpu-check.md``: agreement with FP32, latency
with copies and computation apart, CUDA graphs off and on, memory, time of build. It takes TensorRT
where that is installed, else TensorRT-RTX where that serves this GPU, else the FP16 graphs through
torch on CUDA. Without a GPU it reports what is missing, builds what can be built, and ends with 3.

It needs numpy, onnx, onnxruntime, OpenCV and pydantic; pycuda with one of the builders, or
torch; ``cuda-bindings`` for CUDA graphs of plans.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.full_size import write_full_size
from benchmarks.machine import machine
from edge.engine.backend_table import BACKENDS, Precision, is_installed
from edge.engine.device import preflight
from edge.engine.inputs import input_size, to_inputs
from edge.engine.key import device_key
from edge.engine.loader import open_backend
from edge.engine.passport import Role, VerifiedEngine, open_engine
from edge.errors import EdgeError
from edge.model import DISCLAIMER
from edge.system.paths import engines_home
from export.acceptance.latency import measure
from export.builders.build import build_candidate
from export.errors import ExportError
from export.exporter import export_engine
from export.fp16.sibling import largest_differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge.engine.passport import Passport
    from edge.engine.protocol import Engine, Tensor

EXIT_NOTHING_RAN = 3
_PLANS = ("tensorrt", "tensorrt-rtx")
_BATCHES = {Role.SCORE: (10, 20)}
_PROBE_S = 300.0
_GOLDEN_PATIENTS = 4
_COLUMNS = (
    "model", "batch", "CUDA graph", "h2d", "compute p50", "p90", "p95", "p99", "d2h", "total p50",
    "stable", "GPU MiB", "largest difference",
)  # fmt: skip
_NVIDIA_SMI = (
    "name,driver_version,memory.total,clocks.sm,clocks.mem,power.limit,power.draw,temperature.gpu,"
    "pstate"
)


@dataclass(frozen=True)
class Runner:
    """One way to run FP16 here; ``missing`` is why it cannot, empty where it can."""

    name: str
    missing: str


def runners() -> list[Runner]:
    """Every way to run FP16 on a GPU, best first, each tried."""
    device = preflight()
    found = []
    for backend in _PLANS:
        missing = device.missing if device.device is None else _lacks(backend)
        found.append(Runner(backend, missing or _probe(backend)))
    missing = device.missing if device.device is None else ""
    if not importlib.util.find_spec("torch"):
        missing = "torch is not installed"
    elif not missing:
        import torch  # noqa: PLC0415 - optional

        missing = "" if torch.cuda.is_available() else "torch was built without CUDA"
    found.append(Runner("torch", missing))
    return found


def check(
    out: Path, seconds: float, only: Sequence[str], say: Callable[[str], None]
) -> dict[str, Any]:
    """Run everything and return the report, which is also written into ``out``."""
    ways = runners()
    usable = next((way for way in ways if not way.missing), None)
    for way in ways:
        say(f"{way.name}: {way.missing or 'serves'}")
    report: dict[str, Any] = {
        "notice": DISCLAIMER,
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "gpu": _gpu(),
        "runners": {way.name: way.missing or "serves" for way in ways},
        "runner": usable.name if usable else None,
        "models": [],
    }
    with tempfile.TemporaryDirectory(prefix="sharpedge-gpu-") as name:
        folder = Path(name)
        recipes = [*sorted(engines_home().glob("*.toml")), *write_full_size(folder / "recipes")]
        chosen = [recipe for recipe in recipes if not only or recipe.stem in only]
        for recipe in chosen:
            row = _model(recipe, folder / "built", usable, seconds)
            report["models"].append(row)
            say(_line(row))
        if usable is not None and not only:
            say("judging over simulated films")
            report["gate"] = _gate(folder, usable)
    out.mkdir(parents=True, exist_ok=True)
    (out / "gpu-check.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (out / "gpu-check.md").write_text(as_markdown(report), encoding="utf-8")
    return report


def as_markdown(report: dict[str, Any]) -> str:
    """The report as a page."""
    gpu = report["gpu"]
    lines = [
        "# GPU check",
        "",
        f"{DISCLAIMER}. Measured {report['measured']}.",
        "",
        f"GPU: {gpu.get('name', 'none')}. Ran by: {report['runner'] or 'nothing'}.",
        "",
        *[f"- {name}: {state}" for name, state in report["runners"].items()],
        "",
        "## Builds",
        "",
        "| model | builder | s | peak MiB | plan MiB | FP16 tensors |",
        "|---|---|---|---|---|---|",
        *[
            f"| {row['model']} | {b['builder']} {b['version']} | {b['seconds']} | {b['peak_mib']} "
            f"| {b['plan_mib']} | {b['half_tensors']} |"
            for row in report["models"]
            for b in row["builds"]
        ],
        "",
        "## Latency (ms)",
        "",
        "| " + " | ".join(_COLUMNS) + " |",
        "|---" * len(_COLUMNS) + "|",
        *[_row(row, run) for row in report["models"] for run in row["runs"]],
    ]
    if report.get("gate"):
        lines += ["", "## Agreement over simulated films", ""]
        lines += [f"- {name}: {verdict}" for name, verdict in report["gate"].items()]
    return "\n".join(lines) + "\n"


def _row(model: dict[str, Any], run: dict[str, Any]) -> str:
    if "error" in run:
        return f"| {model['model']} | {run['batch']} | {run['cuda_graph']} | {run['error']} |"
    ms = run["latency_ms"]
    cells = [
        model["model"], run["batch"], run["cuda_graph"], ms["h2d_p50"], ms["compute_p50"],
        ms["compute_p90"], ms["compute_p95"], ms["compute_p99"], ms["d2h_p50"], ms["total_p50"],
        run["stable"], run["gpu_mib"],
        ", ".join(f"{key} {value:.3g}" for key, value in run["differences"].items()),
    ]  # fmt: skip
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _model(recipe: Path, folder: Path, usable: Runner | None, seconds: float) -> dict[str, Any]:
    row: dict[str, Any] = {"model": recipe.stem, "builds": [], "runs": [], "errors": []}
    try:
        name = export_engine(recipe, folder).name
        for backend in _PLANS:
            if _lacks(backend, running=False):
                continue
            with suppress(ExportError):
                row["builds"].append(_built(build_candidate(name, folder, backend).passport))
        if usable is not None:
            row["runs"] = list(_runs(name, folder, usable, seconds))
    except (ExportError, EdgeError) as error:
        row["errors"].append(str(error))
    return row


def _built(passport: Passport) -> dict[str, Any]:
    build = passport.build
    assert build is not None  # noqa: S101 - a plan has one
    return {
        "builder": build.builder,
        "version": build.version,
        "seconds": build.seconds,
        "peak_mib": build.peak_mib,
        "plan_mib": round(passport.engine.bytes / 2**20, 1),
        "half_tensors": build.half_tensors,
    }


def _runs(name: str, folder: Path, usable: Runner, seconds: float) -> Iterator[dict[str, Any]]:
    reference = open_backend(open_engine(folder / f"{name}.json", device_key()))
    role = Role(str(reference.passport["role"]))
    for cuda_graph in (False, True):
        before_mib = _used_mib()
        try:
            engine = _engine(name, folder, usable, cuda_graph=cuda_graph)
        except EdgeError as error:
            yield {"batch": None, "cuda_graph": cuda_graph, "error": str(error)}
            continue
        for batch in _BATCHES.get(role, (1,)):
            inputs = _noise(reference, batch)
            run: dict[str, Any] = {"batch": batch, "cuda_graph": cuda_graph}
            try:
                latency = measure(engine, inputs, seconds)
                found, wanted = engine.run(inputs), reference.run(inputs)
            except EdgeError as error:
                yield {**run, "error": str(error)}
                continue
            yield {
                **run,
                "latency_ms": latency.figures,
                "runs": latency.runs,
                "variation": round(latency.variation, 3),
                "stable": latency.stable,
                "gpu_mib": _used_mib() - before_mib,
                "differences": largest_differences(role, found, wanted),
            }


def _engine(name: str, folder: Path, usable: Runner, *, cuda_graph: bool) -> Engine:
    if usable.name == "torch":
        return _torch_engine(name, folder, "cuda", cuda_graph=cuda_graph)
    path = build_candidate(name, folder, usable.name).path
    verified = open_engine(path, device_key())
    if not cuda_graph:
        return open_backend(verified)
    from benchmarks.cuda_graph import CudaGraphEngine  # noqa: PLC0415 - needs a GPU

    return CudaGraphEngine(verified)


def _torch_engine(name: str, folder: Path, device: str, *, cuda_graph: bool) -> Engine:
    from benchmarks.torch_graph import TorchEngine  # noqa: PLC0415 - optional

    passport = open_engine(folder / f"{name}.json", device_key()).passport
    assert passport.half is not None  # noqa: S101 - exported from our own recipes
    path = folder / passport.half.file
    return TorchEngine(
        VerifiedEngine(passport, path.read_bytes(), path), device=device, cuda_graphs=cuda_graph
    )


def _gate(folder: Path, usable: Runner) -> dict[str, str]:
    """Verdicts over a few simulated patients; why there are none, where a package is missing."""
    try:
        from export.acceptance.gate import judge, tally  # noqa: PLC0415 - needs the imaging libraries
        from export.acceptance.golden import (  # noqa: PLC0415 - as above
            phantom_set,
            recorded_calls,
            reference_engines,
        )
    except ImportError as error:
        return {"not judged": f"{error.name} is not installed"}
    built = folder / "demo"
    for recipe in sorted(engines_home().glob("*.toml")):
        export_engine(recipe, built)
    golden = phantom_set(folder / "golden", patients=_GOLDEN_PATIENTS)
    calls = list(recorded_calls(golden, reference_engines(built), folder / "golden"))
    verdicts = {}
    for path in sorted(built.glob("*.json")):
        if "." in path.stem:
            continue
        try:
            engine = _engine(path.stem, built, usable, cuda_graph=False)
            role = Role(str(engine.passport["role"]))
            verdict = judge(tally(engine, calls), Precision.FP16, role)
        except (EdgeError, ExportError) as error:
            verdicts[path.stem] = str(error)
        else:
            figures = ", ".join(f"{key} {value:.4g}" for key, value in verdict.figures.items())
            verdicts[path.stem] = f"{verdict.reason}; {verdict.films} films; {figures}"
    return verdicts


def _noise(engine: Engine, batch: int) -> dict[str, Tensor]:
    grey = np.random.default_rng(0).integers(0, 256, (batch, *input_size(engine)), dtype=np.uint8)
    return to_inputs(engine, grey)


def _lacks(backend: str, *, running: bool = True) -> str:
    missing = [] if is_installed(backend) else [BACKENDS[backend].module]
    if running and not importlib.util.find_spec("pycuda"):
        missing.append("pycuda")
    return f"not installed: {', '.join(missing)}" if missing else ""


def _probe(backend: str) -> str:
    """Build and run the smallest demo engine in a process of its own; why it failed, or nothing."""
    command = [sys.executable, "-m", "benchmarks.gpu_check", "--probe", backend]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=_PROBE_S, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        return f"its smallest engine did not run in {_PROBE_S:.0f} s"
    if done.returncode == 0:
        return ""
    errors = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return errors[-1] if errors else f"its process ended with status {done.returncode}"


def _run_probe(backend: str) -> None:
    with tempfile.TemporaryDirectory(prefix="sharpedge-probe-") as name:
        folder = Path(name)
        export_engine(engines_home() / "hand-mask.toml", folder)
        engine = _engine("hand-mask", folder, Runner(backend, ""), cuda_graph=False)
        engine.run(_noise(engine, 1))


def _gpu() -> dict[str, str]:
    """Clocks, power and temperature of the first GPU by nvidia-smi; empty where that is missing."""
    command = ["nvidia-smi", f"--query-gpu={_NVIDIA_SMI}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    first = done.stdout.decode("utf-8", "replace").partition("\n")[0]
    values = [value.strip() for value in first.split(",")]
    keys = _NVIDIA_SMI.split(",")
    return dict(zip(keys, values, strict=True)) if len(values) == len(keys) else {}


def _used_mib() -> int:
    """Memory in use on the first GPU, 0 where nvidia-smi does not give it."""
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=30, check=False)
        return int(done.stdout.split()[0])
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError):
        return 0


def _line(row: dict[str, Any]) -> str:
    if row["errors"]:
        return f"{row['model']}: {row['errors'][0]}"
    built = ", ".join(f"{b['builder']} built in {b['seconds']} s" for b in row["builds"])
    ran = ", ".join(
        f"batch {run['batch']}{' graph' if run['cuda_graph'] else ''} "
        f"{run['latency_ms']['total_p50']} ms"
        for run in row["runs"]
        if "latency_ms" in run
    )
    return f"{row['model']}: {built or 'not built'}; {ran or 'not run'}"


def main() -> int:
    """Parse the arguments and run; 0 where engines ran, 3 where none could."""
    parser = argparse.ArgumentParser(description=f"GPU check. {DISCLAIMER}")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--only", action="append", default=[], help="a model; may be repeated")
    parser.add_argument("--probe", choices=_PLANS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.probe is not None:
        _run_probe(given.probe)
        return 0
    report = check(given.out, given.seconds, given.only, print)
    print(f"written: {given.out}/gpu-check.json and .md. {DISCLAIMER}")
    if report["runner"] is None:
        print("nothing ran: " + "; ".join(f"{k}: {v}" for k, v in report["runners"].items()))
        return EXIT_NOTHING_RAN
    return 0


if __name__ == "__main__":
    sys.exit(main())
