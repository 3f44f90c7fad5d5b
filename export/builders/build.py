"""Builds an engine of a back end from an exported graph, or finds the one built before.

Layer: export; reads the graphs that `export.exporter` wrote; writes engines, their passports and
timing caches into the same folder. An engine whose graph, builder, GPU and driver have not changed
is not built again.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import pkgutil
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING, cast

import onnx

import edge
from edge.engine.backend_table import BACKENDS, REFERENCE, Precision, is_installed
from edge.engine.device import preflight
from edge.engine.installed import read_active, scan
from edge.engine.key import device_key
from edge.engine.passport import Build, EngineFile, Passport, Role, open_engine, read_passport
from edge.errors import EngineError
from edge.system.files import write_whole
from export.builders import BUILDERS
from export.builders.child import run_in_child
from export.builders.order import WORKSPACE_MIB, Compiled, CompileError, Order, Progress
from export.errors import BuildError, LayerError
from export.exporter import now_utc, write_passport
from export.int8.sibling import make_rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge.engine.passport import VerifiedEngine
    from edge.engine.protocol import Tensor

_BUILD = "sharpedge build"
PROFILE = (1, 10, 20)
"""Batches of a scorer: one joint, a hand, two hands."""
_KEPT_EARLIER = 2


@dataclass(frozen=True)
class BuilderOptions:
    """Limits of a builder; see `export.builders.order.Order`."""

    workspace_mib: int = WORKSPACE_MIB
    level: int | None = None


DEFAULT_OPTIONS = BuilderOptions()


@dataclass(frozen=True)
class Calibration:
    """Inputs over which the limits of activations are taken; ``identity`` changes with them.

    ``images`` gives arrays [n, C, H, W] float32 for the engine of a recipe.
    """

    identity: str
    images: Callable[[str], Sequence[Tensor]]


@dataclass(frozen=True)
class Candidate:
    """A built engine, with or without a verdict of the gate; ``cached``: it was built before."""

    path: Path
    passport: Passport
    cached: bool

    @property
    def stem(self) -> str:
        """Its name in the folder."""
        return self.path.stem


def installed_backends() -> tuple[str, ...]:
    """Names of the back ends that have a builder and whose library is installed."""
    return tuple(name for name in BACKENDS if name in BUILDERS and is_installed(name))


def precisions(backend: str) -> tuple[Precision, ...]:
    """Precisions in which a back end computes on this machine, the fastest first."""
    row = BACKENDS[backend]
    supports = pkgutil.resolve_name(row.supports) if row.supports else lambda _: True
    return tuple(precision for precision in row.precisions if supports(precision))


def build_candidate(
    name: str,
    folder: Path,
    backend: str,
    progress: Progress | None = None,
    *,
    precision: Precision | None = None,
    options: BuilderOptions = DEFAULT_OPTIONS,
    calibration: Calibration | None = None,
) -> Candidate:
    """Build, or find, the engine of an exported recipe for a back end.

    ``progress`` is given the builder's phase, its steps done and its steps; ``precision`` is one of
    `precisions`, unless stated their first; ``calibration`` is needed for 8 bits. Raises
    `BuildError` naming what is missing or what the builder refused, `edge.errors.EngineError` where
    the exported graph is refused.
    """
    if precision is None:
        able = (one for one in precisions(backend) if calibration or one is not Precision.INT8)
        precision = next(able)
    if backend not in BUILDERS or (backend == REFERENCE and precision is Precision.FP32):
        raise BuildError(
            f"{BACKENDS[backend].title} takes the graph as it is",
            where=name,
            fix="sharpedge export",
        )
    secret = device_key()
    reference = open_engine(folder / f"{name}.json", secret)
    key = _build_key(reference.passport, backend, precision, options, calibration)
    path = folder / f"{name}.{backend}-{key[:8]}.json"
    earlier = _still_good(path, key, secret)
    if earlier is not None:
        return Candidate(path, earlier, cached=True)
    if precision is Precision.INT8:
        passport = _rounded(reference, path, backend, calibration)
    elif BUILDERS[backend].build is None:
        passport = _compiled_when_loaded(reference.passport, backend, precision)
    else:
        order = _order(reference, path, backend, options)
        passport = _built(reference.passport, order, precision, progress or (lambda *_: None))
    write_passport(path, passport.model_copy(update={"build_key": key}), secret)
    _prune(folder, name, backend, path.stem)
    return Candidate(path, read_passport(path), cached=False)


def _order(reference: VerifiedEngine, path: Path, backend: str, options: BuilderOptions) -> Order:
    passport, folder, builder = reference.passport, path.parent, BUILDERS[backend]
    found = preflight()
    if builder.needs_gpu and found.device is None:
        raise BuildError(
            f"{BACKENDS[backend].title} builds only where it can run: {found.missing}",
            where=passport.name,
            fix=found.fix,
        )
    if builder.graph == "fp16":
        _check_sibling(passport, folder)
    half = passport.half if builder.graph == "fp16" else None
    gpu = found.device.gpu.replace(" ", "_").replace("/", "_") if found.device else "no-gpu"
    driver = found.device.driver.replace("/", "_") if found.device else "no-driver"
    caches = folder / "timing"
    caches.mkdir(exist_ok=True)
    plan = path.with_suffix(".engine")
    return Order(
        backend=backend,
        single=reference.path,
        half=folder / half.file if half else None,
        kept_fp32=tuple(kept.node for kept in half.kept_fp32) if half else (),
        input=passport.input.name,
        profile=PROFILE if passport.role is Role.SCORE else None,
        plan=plan.with_name(f".{plan.name}.{os.getpid()}"),
        timing_cache=caches / f"{backend}-{_version(backend)}-{gpu}-{driver}.cache",
        on_device=found.device is not None,
        workspace_mib=options.workspace_mib,
        level=options.level,
    )


def _check_sibling(passport: Passport, folder: Path) -> None:
    """Raise `BuildError` where the FP16-typed sibling is missing or was changed."""
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


def _built(passport: Passport, order: Order, precision: Precision, progress: Progress) -> Passport:
    """Run the builder, put its file in place and return the passport of the new engine."""
    temporary = order.plan
    plan = temporary.with_name(temporary.stem.removeprefix("."))
    try:
        compiled = _compile(order, passport.name, progress)
        data = temporary.read_bytes()
        temporary.replace(plan)
    finally:
        temporary.unlink(missing_ok=True)
    return passport.model_copy(
        update={
            "backend": order.backend,
            "engine": EngineFile(
                file=plan.name,
                sha256=hashlib.sha256(data).hexdigest(),
                bytes=len(data),
                format="plan",
                precision=precision,
            ),
            "graph_sha256": passport.engine.sha256,
            "build": Build(
                builder=order.backend,
                version=compiled.version,
                flags=compiled.flags,
                strongly_typed=compiled.strongly_typed,
                half_tensors=compiled.half_tensors,
                profile=order.profile,
                seconds=round(compiled.seconds, 3),
                peak_mib=round(compiled.peak_mib, 1),
                device=preflight().device if BACKENDS[order.backend].needs_gpu else None,
            ),
            "agreement": {},
            "latency_ms": {},
            "notes": (*passport.notes, *compiled.messages),
            "built_at": now_utc(),
        }
    )


def _compile(order: Order, name: str, progress: Progress) -> Compiled:
    builder = BUILDERS[order.backend]
    build = cast("str", builder.build)
    if builder.in_child:
        return run_in_child(build, BACKENDS[order.backend].title, order, name, progress)
    try:
        return cast("Compiled", pkgutil.resolve_name(build)(order, progress))
    except CompileError as error:
        raise BuildError(str(error), where=f"{name}, {order.backend}", fix=error.fix) from error


def _compiled_when_loaded(passport: Passport, backend: str, precision: Precision) -> Passport:
    """Return the passport of the same graph under a back end that compiles it when it loads it."""
    return passport.model_copy(
        update={
            "backend": backend,
            "engine": passport.engine.model_copy(update={"precision": precision}),
            "graph_sha256": passport.engine.sha256,
            "half": None,
            "agreement": {},
            "latency_ms": {},
            "versions": {**passport.versions, backend: _version(backend)},
            "built_at": now_utc(),
        }
    )


def _rounded(
    reference: VerifiedEngine, path: Path, backend: str, calibration: Calibration | None
) -> Passport:
    """Write the 8-bit graph beside the passport that is returned."""
    passport = reference.passport
    if calibration is None:
        raise BuildError(
            "an engine in 8 bits needs inputs to calibrate on", where=passport.name, fix=_BUILD
        )
    model = onnx.load_from_string(reference.data)
    try:
        made = make_rounded(
            model, passport.role, calibration.images(passport.name), input_name=passport.input.name
        )
    except LayerError as error:
        raise BuildError(error.message, where=f"{passport.name}, int8", fix=error.fix) from error
    file = path.with_suffix(".onnx")
    write_whole(file, made.data, durable=True)
    return _compiled_when_loaded(passport, backend, Precision.INT8).model_copy(
        update={
            "engine": EngineFile(
                file=file.name,
                sha256=hashlib.sha256(made.data).hexdigest(),
                bytes=len(made.data),
                precision=Precision.INT8,
            ),
            "rounded": made.record,
        }
    )


def _build_key(
    passport: Passport,
    backend: str,
    precision: Precision,
    options: BuilderOptions,
    calibration: Calibration | None,
) -> str:
    device = preflight().device if BACKENDS[backend].needs_gpu else None
    parts: dict[str, object] = {
        "graph": passport.engine.sha256,
        "half": passport.half.sha256 if passport.half else None,
        "backend": backend,
        "precision": str(precision),
        "version": _version(backend),
        "sharpedge": edge.__version__,
        "device": None if device is None else device.model_dump(),
        "profile": PROFILE,
    }
    if precision is Precision.INT8 and calibration is not None:
        parts["calibration"] = calibration.identity
    if options != DEFAULT_OPTIONS and BUILDERS[backend].build is not None:
        parts["options"] = asdict(options)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _version(backend: str) -> str:
    """Version of a back end's library; imported only where no package metadata gives it.

    TensorRT of JetPack has no metadata. Raises `BuildError` where the library is not installed.
    """
    row = BACKENDS[backend]
    try:
        return metadata.version(row.module)
    except metadata.PackageNotFoundError:
        pass
    if is_installed(backend):
        return str(importlib.import_module(row.module).__version__)
    raise BuildError(
        f"{backend} is not installed",
        where=backend,
        fix=f"pip install 'sharpedge[{row.extra}]'"
        if row.extra
        else f"install the Python module {row.module}",
    )


def _still_good(path: Path, key: str, secret: bytes) -> Passport | None:
    try:
        passport = open_engine(path, secret).passport
    except EngineError:
        return None
    return passport if passport.build_key == key else None


def _prune(folder: Path, name: str, backend: str, newest: str) -> None:
    """Remove all but a few earlier builds; a rollback returns to those kept.

    Graphs that an export replaced are the export's to remove.
    """
    needed = {newest, read_active(folder).now.engines.get(name)}
    kept = [
        item
        for item in scan(folder)
        if item.stem.startswith(f"{name}.{backend}-")
        and item.stem not in needed
        and not (item.passport is not None and item.passport.is_reference)
    ]
    kept.sort(key=lambda item: item.passport.built_at if item.passport else "", reverse=True)
    for item in kept[_KEPT_EARLIER:]:
        for ending in (".json", ".engine", ".onnx"):
            (folder / f"{item.stem}{ending}").unlink(missing_ok=True)
