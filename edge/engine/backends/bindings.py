"""The Python bindings of TensorRT and of TensorRT-RTX: one API under two names.

Room: engine. Imports them only when asked; touches no GPU.
"""

from __future__ import annotations

import importlib
from typing import Any

from edge.engine.passport import Backend
from edge.errors import EngineError

MODULES = {Backend.TENSORRT: "tensorrt", Backend.TENSORRT_RTX: "tensorrt_rtx"}
_FIXES = {
    Backend.TENSORRT: "install TensorRT (on a Jetson it comes with JetPack: apt install tensorrt)",
    Backend.TENSORRT_RTX: "pip install tensorrt_rtx",
}


def load_bindings(backend: Backend) -> Any:
    """Return the module of a back end that builds plans. Raises `EngineError` where it is missing.

    The stub packages of the registry import, but hold no library: that is refused too.
    """
    try:
        module = importlib.import_module(MODULES[backend])
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineError(
            f"{backend} is not installed: {error}", engine="any", fix=_FIXES[backend]
        ) from error
    if not hasattr(module, "Builder"):
        raise EngineError(
            f"{backend}: {MODULES[backend]} holds no library", engine="any", fix=_FIXES[backend]
        )
    return module


def logger_of(bindings: Any) -> Any:
    """Return a logger that collects warnings and errors in ``messages`` and prints nothing."""

    class Collector(bindings.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            bindings.ILogger.__init__(self)
            self.messages: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= bindings.ILogger.Severity.WARNING:
                self.messages.append(message)

    return Collector()
