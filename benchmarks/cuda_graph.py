"""Records what a plan enqueues once for each shape and replays it: one launch instead of hundreds.

Room: engine. Needs ``cuda-bindings``; pycuda has no CUDA graphs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable


class GraphReplay:
    """Graphs of one stream (its handle), by input shape.

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
        """Enqueue the work of ``shape``; the first time it is run plainly, then recorded.

        The plain run lets the plan allocate and choose, which may not happen while recording.
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
