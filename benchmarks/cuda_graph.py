"""A TensorRT engine that records a CUDA graph for each input shape and replays it.

Layer: benchmarks; uses a GPU. Needs ``cuda-bindings``, because pycuda has no CUDA graphs. A replay
is one launch instead of one for each kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.engine.backends.tensorrt import TensorRtEngine
from edge.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.engine.passport import VerifiedEngine


class CudaGraphEngine(TensorRtEngine):
    """A `TensorRtEngine` whose computation is recorded once for each batch size.

    Raises `EngineError` as `TensorRtEngine` does, and where ``cuda-bindings`` is missing.
    """

    def __init__(self, verified: VerifiedEngine, *, threads: int = 0) -> None:
        super().__init__(verified, threads=threads)
        with self._current("record"):
            self._graphs = _GraphReplay(self.name, self._stream.handle)

    def _enqueue(self, shape: tuple[int, ...]) -> None:
        plain = super()._enqueue
        self._graphs.launch(shape, lambda: plain(shape))


class _GraphReplay:
    """CUDA graphs of one stream (its handle), by input shape.

    Raises `EngineError` where ``cuda-bindings`` is missing.
    """

    def __init__(self, name: str, stream: int) -> None:
        try:
            from cuda.bindings import driver  # noqa: PLC0415 - optional
        except ImportError as error:
            raise EngineError(
                f"CUDA graphs need cuda-bindings: {error}",
                engine=name,
                fix="pip install cuda-bindings",
            ) from error
        self._name, self._driver = name, driver
        self._stream = driver.CUstream(stream)
        self._ready: dict[tuple[int, ...], Any] = {}

    def launch(self, shape: tuple[int, ...], enqueue: Callable[[], None]) -> None:
        """Enqueue the work for ``shape``; the first call runs it without a graph, then records it.

        TensorRT allocates memory and chooses kernels in that first run, which is not allowed while
        a graph is recorded.
        """
        driver = self._driver
        if shape not in self._ready:
            enqueue()
            mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
            self._call(driver.cuStreamBeginCapture(self._stream, mode))
            enqueue()
            graph = self._call(driver.cuStreamEndCapture(self._stream))
            self._ready[shape] = self._call(driver.cuGraphInstantiate(graph, 0))
            self._call(driver.cuGraphDestroy(graph))
            return
        self._call(driver.cuGraphLaunch(self._ready[shape], self._stream))

    def _call(self, answer: tuple[Any, ...]) -> Any:
        code, *values = answer
        if code != self._driver.CUresult.CUDA_SUCCESS:
            raise EngineError(
                f"{self._name}: a CUDA graph failed: {code}",
                engine=self._name,
                fix="run without CUDA graphs",
            )
        return values[0] if values else None
