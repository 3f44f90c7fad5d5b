"""The table of back ends: one row for each library that can run an engine.

Layer: engine; imports nothing of ours and no back end's library. Each back end has a module in
`edge.engine.backends`, which is imported when one of its engines is loaded.
``docs/add-backend.md`` shows how to add one.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from enum import Enum


class Precision(str, Enum):
    """Number format in which most of an engine computes."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"
    INT8 = "int8"

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class Backend:
    """What the loader, the builders and the command line know of one back end.

    Attributes
    ----------
    title : str
        Name of the library, for messages.
    engine : str
        ``module:class``; called with a `edge.engine.passport.VerifiedEngine` and ``threads``, it
        gives an `edge.engine.protocol.Engine`.
    module : str
        Python module of the library; where it can be found, the back end is installed.
    precisions : tuple of Precision
        What an engine can be built in, the fastest first.
    extra : str, optional
        Extra of this distribution that installs the library.
    needs_gpu : bool
        Whether an engine runs on a GPU alone.
    supports : str, optional
        ``module:function``, from `Precision` to bool, where the machine decides whether it computes
        in one of ``precisions``.
    """

    title: str
    engine: str
    module: str
    precisions: tuple[Precision, ...]
    extra: str | None = None
    needs_gpu: bool = False
    supports: str | None = None


REFERENCE = "onnxruntime"
"""The back end of the exported FP32 graphs, against which every other engine is measured."""

BACKENDS: dict[str, Backend] = {
    "tensorrt": Backend(
        title="TensorRT",
        engine="edge.engine.backends.tensorrt:TensorRtEngine",
        module="tensorrt",
        precisions=(Precision.FP16,),
        extra="tensorrt",
        needs_gpu=True,
    ),
    "tensorrt-rtx": Backend(
        title="TensorRT-RTX",
        engine="edge.engine.backends.tensorrt:TensorRtEngine",
        module="tensorrt_rtx",
        precisions=(Precision.FP16,),
        extra="rtx",
        needs_gpu=True,
    ),
    "openvino": Backend(
        title="OpenVINO",
        engine="edge.engine.backends.openvino:OpenVinoEngine",
        module="openvino",
        precisions=(Precision.INT8, Precision.BF16, Precision.FP32),
        extra="openvino",
        supports="edge.engine.backends.openvino:computes_in",
    ),
    REFERENCE: Backend(
        title="ONNX Runtime",
        engine="edge.engine.backends.onnxruntime:OnnxRuntimeEngine",
        module="onnxruntime",
        precisions=(Precision.INT8, Precision.FP32),
    ),
}
"""Back end by name, as passports, the configuration and the command line have it.

Read at call time. Where no latency was measured, an earlier row is preferred to a later one.
"""


def is_installed(name: str) -> bool:
    """Whether the library of a back end can be imported here; it is not imported."""
    return importlib.util.find_spec(BACKENDS[name].module) is not None
