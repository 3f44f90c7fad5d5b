"""The Python bindings of TensorRT and of TensorRT-RTX: one API under two module names.

Layer: engine; imports the bindings on call; touches no GPU.
"""

from __future__ import annotations

import importlib
from typing import Any

from edge.engine.backend_table import BACKENDS
from edge.errors import EngineError

_FIXES = {
    "tensorrt": "install TensorRT (on a Jetson it comes with JetPack: apt install tensorrt)",
    "tensorrt-rtx": "pip install tensorrt_rtx",
}


def load_bindings(backend: str) -> Any:
    """Return the bindings of ``tensorrt`` or ``tensorrt-rtx``.

    Raises `EngineError` where they are missing, also for the stub packages of the registry, which
    can be imported but hold no library.
    """
    name = BACKENDS[backend].module
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineError(
            f"{backend} is not installed: {error}", engine="any", fix=_FIXES[backend]
        ) from error
    if not hasattr(module, "Builder"):
        raise EngineError(f"{backend}: {name} holds no library", engine="any", fix=_FIXES[backend])
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
