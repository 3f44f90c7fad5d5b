"""From an exported graph to a plan beside it, built by a child process and cached.

Room: export. Reads the graphs that `export.exporter` wrote; writes plans, their passports and the
timing caches into the same folder. A plan whose graph, builder, GPU and driver have not changed is
left alone, and so is one that was built before an interruption.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from pydantic import ValidationError

import edge
from edge.engine.backends.bindings import MODULES
from edge.engine.backends.openvino import cpu_has_bf16
from edge.engine.device import preflight
from edge.engine.installed import read_active, scan
from edge.engine.key import device_key
from edge.engine.passport import (
    Backend,
    Build,
    EngineFile,
    Passport,
    Precision,
    Role,
    open_engine,
    read_passport,
)
from edge.errors import EngineError
from export.builders.tensorrt import WORKSPACE_MIB, Compiled, Order, Said
from export.errors import BuildError
from export.exporter import now_utc, write_passport

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.engine.passport import VerifiedEngine

PROFILE = (1, 10, 20)
"""Batches of a scorer: one joint, a hand, two hands."""
_KEPT_EARLIER = 2
_REPORT = (
    "report this message with the version of TensorRT; openvino and onnxruntime serve meanwhile"
)
_DISTRIBUTIONS = {
    Backend.TENSORRT: "tensorrt",
    Backend.TENSORRT_RTX: "tensorrt_rtx",
    Backend.OPENVINO: "openvino",
}
_EXTRAS = {
    Backend.TENSORRT: "tensorrt",
    Backend.TENSORRT_RTX: "rtx",
    Backend.OPENVINO: "openvino",
}


@dataclass(frozen=True)
class BuilderOptions:
    """What a TensorRT builder may use; see `export.builders.tensorrt.Order`."""

    workspace_mib: int = WORKSPACE_MIB
    level: int | None = None


DEFAULT_OPTIONS = BuilderOptions()


@dataclass(frozen=True)
class Candidate:
    """A built engine that the gate has, or has not yet, judged; ``cached`` when it was there."""

    path: Path
    passport: Passport
    cached: bool

    @property
    def stem(self) -> str:
        """Its name in the folder."""
        return self.path.stem


def installed_backends() -> tuple[Backend, ...]:
    """Back ends beside ONNX Runtime that a build can be for, as far as packages tell."""
    names = {**MODULES, Backend.OPENVINO: "openvino"}
    return tuple(b for b in Backend if b in names and importlib.util.find_spec(names[b]))


def precisions(backend: Backend) -> tuple[Precision, ...]:
    """Precisions that a back end can be asked for here, the fastest first."""
    if backend is Backend.OPENVINO:
        return (Precision.BF16, Precision.FP32) if cpu_has_bf16() else (Precision.FP32,)
    return (Precision.FP32,) if backend is Backend.ONNXRUNTIME else (Precision.FP16,)


def build_candidate(
    name: str,
    folder: Path,
    backend: Backend,
    progress: Callable[[str, int, int], None] | None = None,
    *,
    precision: Precision | None = None,
    options: BuilderOptions = DEFAULT_OPTIONS,
) -> Candidate:
    """Build, or find, the engine of an exported recipe for a back end.

    ``progress`` is given the builder's phase, its steps done and its steps; ``precision`` is one of
    `precisions`, their first unless stated; ``options`` are for TensorRT. Raises `BuildError`
    naming what is missing or what the builder refused, `edge.errors.EngineError` where the exported
    graph is refused.
    """
    precision = precision or precisions(backend)[0]
    secret = device_key()
    reference = open_engine(folder / f"{name}.json", secret)
    key = _build_key(reference.passport, backend, precision, options)
    path = folder / f"{name}.{backend}-{key[:8]}.json"
    earlier = _still_good(path, key, secret)
    if earlier is not None:
        return Candidate(path, earlier, cached=True)
    if backend is Backend.OPENVINO:
        passport = _for_openvino(reference.passport, precision, key)
    elif backend is Backend.ONNXRUNTIME:
        raise BuildError(
            "ONNX Runtime takes the graph as it is", where=name, fix="sharpedge export"
        )
    else:
        passport = _plan(reference, path, backend, key, progress or (lambda *_: None), options)
    write_passport(path, passport, secret)
    _prune(folder, name, backend, path.stem)
    return Candidate(path, read_passport(path), cached=False)


def _plan(
    reference: VerifiedEngine,
    path: Path,
    backend: Backend,
    key: str,
    progress: Callable[[str, int, int], None],
    options: BuilderOptions,
) -> Passport:
    passport, folder = reference.passport, path.parent
    found = preflight()
    if backend is Backend.TENSORRT and found.device is None:
        raise BuildError(
            f"TensorRT builds only where it can run: {found.missing}",
            where=passport.name,
            fix=found.fix,
        )
    half = passport.half
    if half is None:
        why = next((note for note in passport.notes if "FP16" in note), "no FP16 sibling")
        raise BuildError(
            f"it has no FP16 graph to build from: {why.removeprefix('no FP16 sibling: ')}",
            where=passport.name,
            fix="export the model without that operator; openvino and onnxruntime run it in FP32",
        )
    if hashlib.sha256((folder / half.file).read_bytes()).hexdigest() != half.sha256:
        raise BuildError("the FP16 sibling was changed", where=half.file, fix="sharpedge export")
    plan = path.with_suffix(".engine")
    temporary = plan.with_name(f".{plan.name}.{os.getpid()}")
    gpu = found.device.gpu.replace(" ", "_").replace("/", "_") if found.device else "no-gpu"
    driver = found.device.driver.replace("/", "_") if found.device else "no-driver"
    caches = folder / "timing"
    caches.mkdir(exist_ok=True)
    order = Order(
        backend=backend,
        single=reference.path,
        half=folder / half.file,
        kept_fp32=tuple(kept.node for kept in half.kept_fp32),
        input=passport.input.name,
        profile=PROFILE if passport.role is Role.SCORE else None,
        plan=temporary,
        timing_cache=caches / f"{backend}-{_version(backend)}-{gpu}-{driver}.cache",
        on_device=found.device is not None,
        workspace_mib=options.workspace_mib,
        level=options.level,
    )
    try:
        compiled = _in_child(order, passport.name, progress)
        data = temporary.read_bytes()
        temporary.replace(plan)
    finally:
        temporary.unlink(missing_ok=True)
    return passport.model_copy(
        update={
            "backend": backend,
            "engine": EngineFile(
                file=plan.name,
                sha256=hashlib.sha256(data).hexdigest(),
                bytes=len(data),
                format="plan",
                precision=Precision.FP16,
            ),
            "graph_sha256": passport.engine.sha256,
            "build_key": key,
            "build": Build(
                builder=str(backend),
                version=compiled.version,
                flags=compiled.flags,
                strongly_typed=compiled.strongly_typed,
                half_tensors=compiled.half_tensors,
                profile=order.profile,
                seconds=round(compiled.seconds, 3),
                peak_mib=round(compiled.peak_mib, 1),
                device=found.device,
            ),
            "agreement": {},
            "latency_ms": {},
            "notes": (*passport.notes, *compiled.messages),
            "built_at": now_utc(),
        }
    )


def _in_child(order: Order, name: str, progress: Callable[[str, int, int], None]) -> Compiled:
    """Run `export.builders.tensorrt`; whatever ends it, this process goes on."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    said: Said = Said()
    # A file, not a pipe: nobody reads it while the builder runs.
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(
            [sys.executable, "-m", "export.builders.tensorrt"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=environment,
        ) as child,
    ):
        assert child.stdin is not None  # noqa: S101 - asked for above
        assert child.stdout is not None  # noqa: S101 - asked for above
        try:
            with suppress(BrokenPipeError):
                child.stdin.write(order.model_dump_json().encode())
                child.stdin.close()
            for line in child.stdout:
                said = _heard(line)
                if said.phase is not None:
                    progress(said.phase, said.done, said.total)
        except BaseException:
            child.kill()
            raise
        code = child.wait()
        complaints.seek(0)
        trace = complaints.read().decode("utf-8", "replace").strip()
    if said.compiled is not None:
        return said.compiled
    where = f"{name}, {order.backend}"
    if said.error is not None:
        raise BuildError(said.error, where=where, fix=said.fix or _REPORT)
    last = trace.splitlines()[-1] if trace else "without a message"
    killed = code == -signal.SIGKILL
    raise BuildError(
        f"the builder's process was killed ({signal.Signals(-code).name})"
        if code < 0
        else f"the builder's process ended with status {code}: {last}",
        where=where,
        fix="free memory, or lower --workspace-mib, and build again" if killed else _REPORT,
    )


def _heard(line: bytes) -> Said:
    """One line of the child; what libraries print there too says nothing."""
    try:
        return Said.model_validate_json(line)
    except ValidationError:
        return Said()


def _for_openvino(passport: Passport, precision: Precision, key: str) -> Passport:
    """Passport of the same graph under OpenVINO: compiled when it is loaded, nothing to store."""
    return passport.model_copy(
        update={
            "backend": Backend.OPENVINO,
            "engine": passport.engine.model_copy(update={"precision": precision}),
            "graph_sha256": passport.engine.sha256,
            "build_key": key,
            "half": None,
            "agreement": {},
            "latency_ms": {},
            "versions": {**passport.versions, "openvino": _version(Backend.OPENVINO)},
            "built_at": now_utc(),
        }
    )


def _build_key(
    passport: Passport, backend: Backend, precision: Precision, options: BuilderOptions
) -> str:
    device = preflight().device
    parts: dict[str, object] = {
        "graph": passport.engine.sha256,
        "half": passport.half.sha256 if passport.half else None,
        "backend": str(backend),
        "precision": str(precision),
        "version": _version(backend),
        "sharpedge": edge.__version__,
        "device": None if backend is Backend.OPENVINO or device is None else device.model_dump(),
        "profile": PROFILE,
    }
    if options != DEFAULT_OPTIONS and backend in MODULES:
        parts["options"] = asdict(options)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _version(backend: Backend) -> str:
    """Version of a builder without importing it; JetPack's TensorRT has no other door."""
    try:
        return metadata.version(_DISTRIBUTIONS[backend])
    except metadata.PackageNotFoundError:
        pass
    if backend in MODULES and importlib.util.find_spec(MODULES[backend]):
        return str(importlib.import_module(MODULES[backend]).__version__)
    raise BuildError(
        f"{backend} is not installed",
        where=str(backend),
        fix=f"pip install 'sharpedge[{_EXTRAS[backend]}]'",
    )


def _still_good(path: Path, key: str, secret: bytes) -> Passport | None:
    try:
        passport = open_engine(path, secret).passport
    except EngineError:
        return None
    return passport if passport.build_key == key else None


def _prune(folder: Path, name: str, backend: Backend, newest: str) -> None:
    """Remove all but a few earlier builds; those kept are what a rollback goes back to."""
    needed = {newest, read_active(folder).now.engines.get(name)}
    kept = [
        item
        for item in scan(folder)
        if item.stem.startswith(f"{name}.{backend}-") and item.stem not in needed
    ]
    kept.sort(key=lambda item: item.passport.built_at if item.passport else "", reverse=True)
    for item in kept[_KEPT_EARLIER:]:
        for ending in (".json", ".engine"):
            (folder / f"{item.stem}{ending}").unlink(missing_ok=True)
