"""OpenVINO on the CPU: 8-bit graphs, and bfloat16 where the processor has it.

Layer: engine; takes verified bytes; touches no file.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from edge.engine.backend_table import Precision
from edge.engine.inputs import check_inputs
from edge.engine.loaded import LoadedEngine
from edge.engine.protocol import Timings
from edge.errors import EngineError
from edge.system.processor import usable_cores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.engine.passport import VerifiedEngine
    from edge.engine.protocol import Tensor

# The layers of an 8-bit graph that are not rounded compute in FP32.
_PRECISIONS = {Precision.FP32: "f32", Precision.BF16: "bf16", Precision.INT8: "f32"}


class OpenVinoEngine(LoadedEngine):
    """One ONNX engine, compiled by OpenVINO for this CPU. See `edge.engine.protocol.Engine`.

    Raises `EngineError` where OpenVINO is missing, cannot load the engine, or the CPU lacks the
    passport's precision.
    """

    def __init__(self, verified: VerifiedEngine, *, threads: int = 0) -> None:
        super().__init__(verified)
        try:
            import openvino  # noqa: PLC0415 - only machines that chose it have it
        except ImportError as error:
            raise EngineError(
                "OpenVINO is not installed", engine=self.name, fix="pip install openvino"
            ) from error
        precision = verified.passport.engine.precision
        core = openvino.Core()
        if not computes_in(precision):
            raise EngineError(
                f"{verified.path}: OpenVINO does not compute in {precision} on this CPU",
                engine=self.name,
                fix=verified.passport.fix,
            )
        settings = {
            "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads or usable_cores(),
        }
        try:
            model = core.read_model(verified.data)
            self._compiled = core.compile_model(model, "CPU", settings)
            self._request = self._compiled.create_infer_request()
        except Exception as error:  # openvino's errors share no base class
            raise EngineError(
                f"{verified.path}: OpenVINO cannot load it: {error}",
                engine=self.name,
                fix=verified.passport.fix,
            ) from error
        self._inputs: dict[str, tuple[int | None, ...]] = {
            item.any_name: tuple(
                side.get_length() if side.is_static else None for side in item.partial_shape
            )
            for item in self._compiled.inputs
        }
        # A tensor that is an output and something else has several names here.
        self._outputs = {
            name: item
            for name in verified.passport.outputs
            for item in self._compiled.outputs
            if name in item.get_names()
        }

    @property
    def input_shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """Input name to shape; ``None`` marks the free batch side."""
        return self._inputs

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run once: float32 arrays by input name to float32 arrays by output name.

        Raises `EngineError` for a wrong name, shape or dtype, and where OpenVINO fails.
        """
        check_inputs(self.name, self._inputs, inputs)
        begun_s = time.perf_counter()
        try:
            results = self._request.infer(dict(inputs))
        except Exception as error:  # openvino's errors share no base class
            raise EngineError(
                f"{self.name} failed while running: {error}",
                engine=self.name,
                fix="free memory, then restart",
            ) from error
        # Copied: the request's own arrays are overwritten by its next run.
        found = {name: np.array(results[i], np.float32) for name, i in self._outputs.items()}
        self._timings = Timings(0.0, (time.perf_counter() - begun_s) * 1000, 0.0)
        return found


def computes_in(precision: Precision) -> bool:
    """Whether OpenVINO computes in ``precision`` on this CPU."""
    return precision in _PRECISIONS and (precision is not Precision.BF16 or cpu_has_bf16())


def cpu_has_bf16() -> bool:
    """Whether OpenVINO can compute in bfloat16 here; False where OpenVINO is missing."""
    try:
        import openvino  # noqa: PLC0415 - as above
    except ImportError:
        return False
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
