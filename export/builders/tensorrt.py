"""Builds a TensorRT or TensorRT-RTX plan from a graph.

Layer: export; runs in a child process (`export.builders.child`); reads the graphs and writes the
plan and the timing cache that its order names.

TensorRT 8.5 to 11 and TensorRT-RTX share this code. It tests for what a version has by name, never
by version number:

- A strongly typed network where `NetworkDefinitionCreationFlag` has ``STRONGLY_TYPED`` (from 9.1
  on): types come from the FP16-typed graph. Its bit moved from 1 to 0 in version 11, so the
  enumeration's value is used. Together with the FP16 flag it is an error.
- Elsewhere (8.5, 8.6) an explicit batch and ``BuilderFlag.FP16`` over the FP32 graph, with the
  layers that must stay FP32 pinned. Version 11 has no such flag; testing for it with `hasattr`
  alone would build in FP32 without an error, so FP16 tensors are counted and none is an error.
- Progress where there is an `IProgressMonitor` (from 10 on).
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.engine.backends.bindings import load_bindings, logger_of
from edge.system.files import write_whole
from export.builders.order import OUT_OF_MEMORY, Compiled, CompileError

if TYPE_CHECKING:
    from export.builders.order import Order, Progress

_HALF_WORDS = ("Half", "FP16", "Float16")
_REFUSED = (
    "export with an older --target (tensorrt-8.5 for the oldest), or use the back end openvino or "
    "onnxruntime"
)


def compile_plan(order: Order, progress: Progress) -> Compiled:
    """Build the plan of an order and write it to ``order.plan``.

    Raises `CompileError` where parsing or building fails or no tensor is FP16, `EngineError` where
    the builder is not installed.
    """
    trt = load_bindings(order.backend)
    begun_s = time.monotonic()
    logger = logger_of(trt)
    builder = trt.Builder(logger)
    typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    wanted = trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH if typed is None else typed
    network = builder.create_network(1 << int(wanted))
    parser = trt.OnnxParser(network, logger)
    graph = order.single if typed is None or order.half is None else order.half
    if not parser.parse_from_file(str(graph)):
        errors = [str(parser.get_error(i)) for i in range(parser.num_errors)]
        raise _refusal(f"{graph.name} was not understood: {'; '.join(errors)}")
    config = builder.create_builder_config()
    _limit(trt, config, order)
    flags = [] if typed is not None else _ask_for_half(trt, config, network, order)
    if hasattr(trt.BuilderFlag, "TF32"):
        # It would take 13 bits from the layers that were kept in FP32.
        config.clear_flag(trt.BuilderFlag.TF32)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if hasattr(trt, "IProgressMonitor"):
        config.progress_monitor = _monitor(trt, progress)
    if order.profile is not None:
        shape = tuple(network.get_input(0).shape)[1:]
        profile = builder.create_optimization_profile()
        profile.set_shape(order.input, *((batch, *shape) for batch in order.profile))
        config.add_optimization_profile(profile)
    _load_timings(config, order.timing_cache)
    half = _half_tensors(trt, network)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise _refusal("; ".join(logger.messages) or "the builder gave no reason")
    data = bytes(plan)
    if order.on_device:
        shown = _half_layers(trt, logger, data)
        # A weakly typed network does not show FP16; only the finished plan does.
        half = shown or 0 if typed is None or shown == 0 else half
    if not half:
        raise _refusal("the plan holds no FP16 tensor")
    order.plan.write_bytes(data)
    timings = config.get_timing_cache()
    if timings is not None:
        write_whole(order.timing_cache, bytes(timings.serialize()), durable=True)
    return Compiled(
        version=str(trt.__version__),
        strongly_typed=typed is not None,
        flags=tuple(flags),
        half_tensors=half,
        seconds=time.monotonic() - begun_s,
        peak_mib=_peak_mib(),
        messages=tuple(logger.messages),
    )


def _limit(trt: Any, config: Any, order: Order) -> None:
    """Set the workspace limit and the optimisation level, where the version has them."""
    if hasattr(trt, "MemoryPoolType"):
        size = order.workspace_mib * 2**20
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, size)
    # From 8.6 on.
    if order.level is not None and hasattr(config, "builder_optimization_level"):
        config.builder_optimization_level = order.level


def _load_timings(config: Any, path: Path) -> None:
    """Give the builder the timings of earlier builds; without those where it refuses them."""
    stored = path.read_bytes() if path.exists() else b""
    for data in dict.fromkeys((stored, b"")):
        cache = config.create_timing_cache(data)
        # False, or None in older bindings that return nothing.
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False) is not False:
            return


def _peak_mib() -> float:
    """Largest memory of this process; ``getrusage`` would count its parent's from before."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 1024


def _ask_for_half(trt: Any, config: Any, network: Any, order: Order) -> list[str]:
    """Set the FP16 flag and pin the layers that must stay FP32."""
    config.set_flag(trt.BuilderFlag.FP16)
    config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    kept = set(order.kept_fp32)
    for i in range(network.num_layers):
        layer = network.get_layer(i)
        if layer.name in kept and layer.get_output(0).dtype == trt.float32:
            layer.precision = trt.float32
            for j in range(layer.num_outputs):
                layer.set_output_type(j, trt.float32)
    return ["FP16", "OBEY_PRECISION_CONSTRAINTS"]


def _half_tensors(trt: Any, network: Any) -> int:
    layers = (network.get_layer(i) for i in range(network.num_layers))
    return sum(
        layer.get_output(j).dtype == trt.float16
        for layer in layers
        for j in range(layer.num_outputs)
    )


def _half_layers(trt: Any, logger: Any, data: bytes) -> int | None:
    """Layers of the finished plan that the inspector shows with FP16 tensors.

    None where it shows no layers at all: a TensorRT-RTX plan is compiled when it is first run.
    """
    plan = trt.Runtime(logger).deserialize_cuda_engine(data)
    if plan is None:
        raise _refusal("; ".join(logger.messages) or "the plan cannot be deserialised")
    inspector = plan.create_engine_inspector()
    shown = json.loads(inspector.get_engine_information(trt.LayerInformationFormat.JSON))
    layers = shown.get("Layers", [])
    if not layers:
        return None
    return sum(any(word in str(layer) for word in _HALF_WORDS) for layer in layers)


def _monitor(trt: Any, progress: Progress) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, _parent: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps
            progress(phase_name, 0, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            progress(phase_name, step + 1, self._steps.get(phase_name, step + 1))
            return True

        def phase_finish(self, phase_name: str) -> None:
            steps = self._steps.pop(phase_name, 1)
            progress(phase_name, steps, steps)

    return Monitor()


def _refusal(message: str) -> CompileError:
    """Return the error for a message of the builder."""
    text = message.lower()
    short = any(words in text for words in ("out of memory", "outofmemory", "insufficient memory"))
    return CompileError(message, fix=OUT_OF_MEMORY if short else _REFUSED)
