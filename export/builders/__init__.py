"""The table of builders: one row for each back end that engines are built for.

Layer: export; imports no builder. ``docs/add-backend.md`` shows how to add one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Builder:
    """How an engine is built from an exported graph.

    Attributes
    ----------
    build : str, optional
        ``module:function``, called with an `export.builders.order.Order` and a progress callback;
        it writes the engine file and returns `export.builders.order.Compiled`. None where the back
        end compiles a graph each time it loads it: the FP32 graph, or the 8-bit one.
    graph : str
        The graph that it needs: ``fp32``, or ``fp16`` for the FP16-typed sibling.
    in_child : bool
        Whether it runs in a process of its own, so that a crash of the library ends only that.
    needs_gpu : bool
        Whether it can build only where a GPU is present.
    """

    build: str | None = None
    graph: str = "fp32"
    in_child: bool = False
    needs_gpu: bool = False


_COMPILE_PLAN = "export.builders.tensorrt:compile_plan"

BUILDERS: dict[str, Builder] = {
    "tensorrt": Builder(_COMPILE_PLAN, graph="fp16", in_child=True, needs_gpu=True),
    "tensorrt-rtx": Builder(_COMPILE_PLAN, graph="fp16", in_child=True),
    "openvino": Builder(),
    "onnxruntime": Builder(),
}
"""Builder by the name of its back end in `edge.engine.backend_table.BACKENDS`; read at call time.

A back end without a row runs the exported FP32 graphs as they are.
"""
