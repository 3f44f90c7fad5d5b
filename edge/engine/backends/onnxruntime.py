"""ONNX Runtime on the CPU: the back end that every machine has.

Layer: engine; takes verified bytes; touches no file.
"""

from __future__ import annotations

import time
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

import onnxruntime

from edge.engine.inputs import check_inputs
from edge.engine.loaded import LoadedEngine
from edge.engine.protocol import Timings
from edge.errors import EngineError
from edge.system.processor import usable_cores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.engine.passport import VerifiedEngine
    from edge.engine.protocol import Tensor

_QUIET = 3
_FREE_MEMORY = "free memory, or give the service more, then restart"
_MEMORY_WORDS = ("bad_alloc", "failed to allocate", "out of memory", "cannot allocate")


def _is_memory(error: Exception) -> bool:
    """Whether an error of ONNX Runtime is for want of memory: the engine itself is sound then."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(word in text for word in _MEMORY_WORDS)


_arena_lock = Lock()


@cache
def _share_arena() -> None:
    """Let all engines of this process take their working memory from one arena.

    Six FP32 engines take 415 MiB with it, 632 with an arena each and 365 without any; their times
    are as 0.97 to 1 to 1.11, with the scorers in 8 bits as 0.85 to 1 to 1.31.
    """
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu",
        onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR,
        0,
        onnxruntime.OrtMemType.DEFAULT,
    )
    # No limit, and ONNX Runtime's own way of growing.
    onnxruntime.create_and_register_allocator(memory, onnxruntime.OrtArenaCfg(0, -1, -1, -1))


class OnnxRuntimeEngine(LoadedEngine):
    """One ONNX engine, loaded. See `edge.engine.protocol.Engine`.

    ``threads`` inside one run; 0 takes every usable core. Raises `EngineError` for what ONNX
    Runtime cannot load.
    """

    def __init__(self, verified: VerifiedEngine, *, threads: int = 0) -> None:
        super().__init__(verified)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or usable_cores()
        options.inter_op_num_threads = 1
        options.log_severity_level = _QUIET
        # A waiting thread that spins takes the core from the decoder and the broker.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        with _arena_lock:  # engines are loaded in several threads
            _share_arena()
        options.add_session_config_entry("session.use_env_allocators", "1")
        try:
            self._session = onnxruntime.InferenceSession(
                verified.data, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors share no base class
            raise EngineError(
                f"{verified.path}: ONNX Runtime cannot load it: {error}",
                engine=self.name,
                fix=_FREE_MEMORY if _is_memory(error) else verified.passport.fix,
            ) from error
        self._inputs: dict[str, tuple[int | None, ...]] = {
            item.name: tuple(side if isinstance(side, int) else None for side in item.shape)
            for item in self._session.get_inputs()
        }
        self._outputs = [item.name for item in self._session.get_outputs()]

    @property
    def input_shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """Input name to shape; ``None`` marks the free batch side."""
        return self._inputs

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run once: float32 arrays by input name to float32 arrays by output name.

        Raises `EngineError` for a wrong name, shape or dtype, and where ONNX Runtime fails.
        """
        check_inputs(self.name, self._inputs, inputs)
        begun_s = time.perf_counter()
        try:
            results = self._session.run(self._outputs, dict(inputs))
        except Exception as error:  # onnxruntime's errors share no base class
            raise EngineError(
                f"{self.name} failed while running: {error}",
                engine=self.name,
                fix=_FREE_MEMORY if _is_memory(error) else "sharpedge export, then restart",
            ) from error
        self._timings = Timings(0.0, (time.perf_counter() - begun_s) * 1000, 0.0)
        return dict(zip(self._outputs, results, strict=True))
