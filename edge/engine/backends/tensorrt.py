"""TensorRT and TensorRT-RTX on a GPU, through pycuda.

Layer: engine; the only module of ``edge`` that uses a GPU. Memory is allocated once, for the
largest batch of the plan: pinned on the host, so that copies need no staging. The device's primary
context is used, which other libraries of the process share. The thread waits on an event with
blocking synchronisation, which frees the core.

Only calls that TensorRT 8.5 to 11 share are used: tensors by name and ``execute_async_v3``.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.engine.backends.bindings import load_bindings, logger_of
from edge.engine.device import preflight
from edge.engine.inputs import check_inputs
from edge.engine.loaded import LoadedEngine
from edge.engine.protocol import Timings
from edge.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edge.engine.passport import Device, Passport, VerifiedEngine
    from edge.engine.protocol import Tensor

_FIX_LOST = "check the GPU with nvidia-smi, then restart"


@dataclass(frozen=True)
class _Slot:
    """One input or output: pinned host memory [largest] float32 and its device memory."""

    host: Tensor
    device: Any


class TensorRtEngine(LoadedEngine):
    """One plan, deserialised for this GPU. See `edge.engine.protocol.Engine`.

    ``threads`` has no effect: the plan runs on the GPU. Raises `EngineError` where the GPU,
    the library or pycuda is missing, and for a plan that was
    built on another device or by another version.
    """

    def __init__(self, verified: VerifiedEngine, *, threads: int = 0) -> None:  # noqa: ARG002
        super().__init__(verified)
        found = preflight()
        if found.device is None:
            raise EngineError(
                f"{verified.path}: no GPU: {found.missing}", engine=self.name, fix=found.fix
            )
        self._trt = load_bindings(verified.passport.backend)
        refuse_stale(verified.passport, found.device, str(self._trt.__version__))
        try:
            import pycuda.driver as cuda  # noqa: PLC0415 - only machines with a GPU have it
        except ImportError as error:
            raise EngineError(
                f"pycuda is not installed: {error}", engine=self.name, fix="pip install pycuda"
            ) from error
        self._cuda = cuda
        with self._errors_of("start"):
            cuda.init()
            self._device_context = cuda.Device(0).retain_primary_context()
        with self._current("load"):
            self._load(verified)

    def _load(self, verified: VerifiedEngine) -> None:
        trt, cuda = self._trt, self._cuda
        self._logger = logger_of(trt)
        self._runtime = trt.Runtime(self._logger)
        self._plan = self._runtime.deserialize_cuda_engine(verified.data)
        if self._plan is None:
            raise EngineError(
                f"{verified.path}: the plan cannot be deserialised: {self._last_message()}",
                engine=self.name,
                fix=verified.passport.fix,
            )
        self._execution = self._plan.create_execution_context()
        if self._execution is None:
            raise EngineError(
                f"{verified.path}: no execution context: {self._last_message()}",
                engine=self.name,
                fix="free GPU memory, then restart",
            )
        self._stream = cuda.Stream()
        blocking = cuda.event_flags.BLOCKING_SYNC
        self._events = [cuda.Event(blocking) for _ in range(4)]
        names = [self._plan.get_tensor_name(i) for i in range(self._plan.num_io_tensors)]
        inputs = [
            name for name in names if self._plan.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        ]
        self._outputs = [name for name in names if name not in inputs]
        self._inputs: dict[str, tuple[int | None, ...]] = {
            name: tuple(None if side < 0 else side for side in self._plan.get_tensor_shape(name))
            for name in inputs
        }
        self._largest: dict[str, tuple[int, ...]] = {}
        for name in inputs:
            self._largest[name] = tuple(self._plan.get_tensor_profile_shape(name, 0)[2])
            self._execution.set_input_shape(name, self._largest[name])
        self._slots: dict[str, _Slot] = {}
        for name in names:
            if self._plan.get_tensor_dtype(name) != trt.float32:
                raise EngineError(
                    f"{verified.path}: tensor {name} is not float32",
                    engine=self.name,
                    fix=verified.passport.fix,
                )
            count = math.prod(self._execution.get_tensor_shape(name))
            host = cuda.pagelocked_empty(count, np.float32)
            self._slots[name] = _Slot(host, cuda.mem_alloc(host.nbytes))
            self._execution.set_tensor_address(name, int(self._slots[name].device))

    @property
    def input_shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """Input name to shape; ``None`` marks the free batch side."""
        return self._inputs

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run once: float32 arrays by input name to float32 arrays by output name.

        Raises `EngineError` for a wrong name, shape or dtype, and where the GPU fails or is lost.
        """
        check_inputs(self.name, self._inputs, inputs)
        for name, array in inputs.items():
            most = self._largest[name]
            if any(side > limit for side, limit in zip(array.shape, most, strict=True)):
                raise EngineError(
                    f"{self.name}: input {name}: {list(array.shape)} is over the plan's "
                    f"{list(most)}",
                    engine=self.name,
                    fix="give smaller batches",
                )
        with self._current("run"):
            return self._run(inputs)

    def _run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        cuda, stream = self._cuda, self._stream
        begun, copied, computed, ended = self._events
        begun.record(stream)
        for name, array in inputs.items():
            slot = self._slots[name]
            part = slot.host[: array.size]
            np.copyto(part, array.reshape(-1))
            cuda.memcpy_htod_async(slot.device, part, stream)
            self._execution.set_input_shape(name, array.shape)
        copied.record(stream)
        self._enqueue(tuple(next(iter(inputs.values())).shape))
        computed.record(stream)
        shapes = {name: tuple(self._execution.get_tensor_shape(name)) for name in self._outputs}
        for name, shape in shapes.items():
            part = self._slots[name].host[: math.prod(shape)]
            cuda.memcpy_dtoh_async(part, self._slots[name].device, stream)
        ended.record(stream)
        ended.synchronize()
        self._timings = Timings(
            copied.time_since(begun), computed.time_since(copied), ended.time_since(computed)
        )
        # Copied: the pinned memory is overwritten by the next run.
        return {
            name: self._slots[name].host[: math.prod(shape)].reshape(shape).copy()
            for name, shape in shapes.items()
        }

    def _enqueue(self, _shape: tuple[int, ...]) -> None:
        """Enqueue the computation for an input shape on the stream."""
        if not self._execution.execute_async_v3(self._stream.handle):
            raise EngineError(
                f"{self.name} failed while running: {self._last_message()}",
                engine=self.name,
                fix=_FIX_LOST,
            )

    @contextmanager
    def _current(self, doing: str) -> Iterator[None]:
        """Make the device's context current for this thread."""
        with self._errors_of(doing):
            self._device_context.push()
            try:
                yield
            finally:
                self._cuda.Context.pop()

    @contextmanager
    def _errors_of(self, doing: str) -> Iterator[None]:
        """Turn pycuda's errors into ours."""
        try:
            yield
        except self._cuda.MemoryError as error:
            raise EngineError(
                f"{self.name}: the GPU's memory is full ({doing}): {error}",
                engine=self.name,
                fix="end what else uses the GPU, then restart",
            ) from error
        except self._cuda.Error as error:
            raise EngineError(
                f"{self.name}: the GPU failed or was lost ({doing}): {error}",
                engine=self.name,
                fix=_FIX_LOST,
            ) from error

    def _last_message(self) -> str:
        messages: list[str] = self._logger.messages
        return messages[-1] if messages else "TensorRT gave no reason"


def refuse_stale(passport: Passport, device: Device, version: str) -> None:
    """Raise `EngineError` for a plan of another GPU, driver or builder version."""
    build = passport.build
    if build is None or build.device is None:
        raise EngineError(
            f"{passport.name}: the plan was built where there was no GPU",
            engine=passport.name,
            fix=passport.fix,
        )
    pairs = [
        ("TensorRT", build.version, version),
        ("GPU", build.device.gpu, device.gpu),
        ("compute capability", build.device.compute_capability, device.compute_capability),
        ("driver", build.device.driver, device.driver),
    ]
    for what, then, now in pairs:
        if then != now:
            raise EngineError(
                f"{passport.name}: the plan was built for {what} {then}, here is {now}",
                engine=passport.name,
                fix=passport.fix,
            )
