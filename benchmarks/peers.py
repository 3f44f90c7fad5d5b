"""What a user would take instead of our engines: other runtimes with their defaults.

Layer: benchmarks; each peer runs the FP32 graph of a recipe and has the protocol of an engine, so
that the pipeline can run with it too. A peer's library is imported when it is made.
"""

from __future__ import annotations

import importlib.util
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.engine.backend_table import Precision
from edge.engine.backends.openvino import cpu_has_bf16
from edge.engine.loaded import LoadedEngine
from edge.engine.protocol import Timings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.engine.passport import VerifiedEngine
    from edge.engine.protocol import Engine, Tensor


@dataclass(frozen=True)
class Peer:
    """One runtime with its settings.

    Attributes
    ----------
    name : str
        For tables.
    module : str
        Python module of its library; where it cannot be found, the peer is not installed.
    package : str
        What pip installs.
    make : callable
        From a verified FP32 graph to an engine.
    precision : callable
        In which precision it computes on this machine.
    """

    name: str
    module: str
    package: str
    make: Callable[[VerifiedEngine], Engine]
    precision: Callable[[], Precision] = lambda: Precision.FP32

    @property
    def installed(self) -> bool:
        """Whether its library can be imported here; it is not imported."""
        return importlib.util.find_spec(self.module) is not None


class _PeerEngine(LoadedEngine):
    """A graph behind a function from inputs to outputs in the order of the passport."""

    def __init__(
        self,
        verified: VerifiedEngine,
        compute: Callable[[Mapping[str, Tensor], list[str]], list[Any]],
    ) -> None:
        super().__init__(verified)
        spec = verified.passport.input
        free = any(shape and shape[0] is None for shape in verified.passport.outputs.values())
        sides = (None if free else 1, spec.channels, spec.height, spec.width)
        self._inputs: dict[str, tuple[int | None, ...]] = {spec.name: sides}
        self._outputs = list(verified.passport.outputs)
        self._compute = compute

    @property
    def input_shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """Input name to shape; ``None`` marks the free batch side."""
        return self._inputs

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run once: float32 arrays by input name to float32 arrays by output name."""
        begun_s = time.perf_counter()
        found = self._compute(inputs, self._outputs)
        self._timings = Timings(0.0, (time.perf_counter() - begun_s) * 1000, 0.0)
        return dict(zip(self._outputs, found, strict=True))


def _onnxruntime(verified: VerifiedEngine) -> Engine:
    import onnxruntime  # noqa: PLC0415 - only where it is measured

    session = onnxruntime.InferenceSession(verified.data, providers=["CPUExecutionProvider"])
    return _PeerEngine(verified, lambda inputs, names: list(session.run(names, dict(inputs))))


def _openvino(settings: dict[str, str]) -> Callable[[VerifiedEngine], Engine]:
    def make(verified: VerifiedEngine) -> Engine:
        import openvino  # noqa: PLC0415 - optional

        core = openvino.Core()
        compiled = core.compile_model(core.read_model(verified.data), "CPU", settings)
        ports = {name: port for port in compiled.outputs for name in port.get_names()}

        def compute(inputs: Mapping[str, Tensor], names: list[str]) -> list[Any]:
            results = compiled(dict(inputs))
            return [np.array(results[ports[name]], np.float32) for name in names]

        return _PeerEngine(verified, compute)

    return make


def _opencv(verified: VerifiedEngine) -> Engine:
    import cv2  # noqa: PLC0415 - only where it is measured

    network = cv2.dnn.readNetFromONNX(np.frombuffer(verified.data, np.uint8))

    def compute(inputs: Mapping[str, Tensor], names: list[str]) -> list[Any]:
        for name, array in inputs.items():
            network.setInput(array, name)
        return [np.array(found, np.float32) for found in network.forward(names)]

    return _PeerEngine(verified, compute)


def _torch(verified: VerifiedEngine) -> Engine:
    from benchmarks.torch_graph import TorchEngine  # noqa: PLC0415 - optional

    return TorchEngine(verified, device="cpu")


def _openvino_default() -> Precision:
    return Precision.BF16 if cpu_has_bf16() else Precision.FP32


PEERS = (
    Peer("ONNX Runtime defaults", "onnxruntime", "onnxruntime", _onnxruntime),
    Peer("OpenVINO defaults", "openvino", "openvino", _openvino({}), _openvino_default),
    Peer("OpenVINO f32", "openvino", "openvino", _openvino({"INFERENCE_PRECISION_HINT": "f32"})),
    Peer("OpenCV dnn", "cv2", "opencv-python-headless", _opencv),
    Peer("PyTorch", "torch", "torch", _torch),
)
"""Every peer, in the order of the tables."""


def largest_difference(reference: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> float:
    """Largest difference of any output by the largest value of that output in the reference."""
    return max(
        float(np.abs(found[name] - array).max() / max(float(np.abs(array).max()), 1e-9))
        for name, array in reference.items()
    )
