"""Opens and runs a graph in ONNX Runtime; a graph that it cannot run is a `LayerError`.

Layer: export; runs graphs on the CPU; touches no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from export.errors import LayerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from export.onnx_graph.builder import Array

_SILENT = 4
"""ONNX Runtime's log level for fatal errors alone: what it refuses is raised, and reported once."""


def open_session(data: bytes) -> Any:
    """Return an ONNX Runtime session of a serialised graph.

    Raises `LayerError` where ONNX Runtime has no kernel for an operator, or refuses the graph.
    """
    import onnxruntime  # noqa: PLC0415 - who only reads a recipe needs none

    onnxruntime.set_default_logger_severity(_SILENT)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _SILENT
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class
        raise _cannot_run(error) from error


def run_session(session: Any, image: Array) -> dict[str, Array]:
    """Outputs by name of the session's only input. Raises `LayerError` where the run fails."""
    names = [item.name for item in session.get_outputs()]
    inputs: Mapping[str, Array] = {session.get_inputs()[0].name: image}
    try:
        values = session.run(names, inputs)
    except Exception as error:  # onnxruntime's errors share no base class
        raise _cannot_run(error) from error
    return dict(zip(names, values, strict=True))


def _cannot_run(error: Exception) -> LayerError:
    return LayerError(
        f"ONNX Runtime cannot run it: {' '.join(str(error).split())}",
        where="model",
        fix="export the model with standard operators, opset 7 or newer, float32 and fixed sides",
    )
