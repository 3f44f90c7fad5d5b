"""ONNX Runtime on the CPU: the back end that every machine has.

Room: engine. Reads the engine file and its passport; refuses a file whose hash is not the one in
the passport, before anything of it is parsed.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from edge.engine.passport import MEND, passport_path, read_passport
from edge.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge.engine.passport import Passport
    from edge.engine.protocol import Tensor

_QUIET = 3


def usable_cores() -> int:
    """Cores this process may run on, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class OnnxRuntimeEngine:
    """One ONNX engine, loaded. See `edge.engine.protocol.Engine`.

    ``threads`` inside one run; 0 takes every usable core. Raises `EngineError` for a missing,
    changed or unreadable engine.
    """

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        self._passport = read_passport(passport_path(path))
        self._name = self._passport.name
        data = _read_verified(path, self._passport)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or usable_cores()
        options.inter_op_num_threads = 1
        options.log_severity_level = _QUIET
        # A waiting thread that spins takes the core from the decoder and the broker.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                data, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors share no base class
            raise EngineError(
                f"{path}: ONNX Runtime cannot load it: {error}", engine=self._name, mend=MEND
            ) from error
        self._inputs: dict[str, tuple[int | None, ...]] = {
            item.name: tuple(side if isinstance(side, int) else None for side in item.shape)
            for item in self._session.get_inputs()
        }
        self._outputs = [item.name for item in self._session.get_outputs()]
        self._mapping = self._passport.model_dump(mode="json")

    @property
    def name(self) -> str:
        """Name of the recipe."""
        return self._name

    @property
    def sha256(self) -> str:
        """SHA-256 of the engine file."""
        return self._passport.engine.sha256

    @property
    def input_shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """Input name to shape; ``None`` marks the free batch side."""
        return self._inputs

    @property
    def passport(self) -> Mapping[str, Any]:
        """The JSON sidecar as plain values; see `edge.engine.passport.Passport`."""
        return self._mapping

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run once: float32 arrays by input name to float32 arrays by output name.

        Raises `EngineError` for a wrong name, shape or dtype, and where ONNX Runtime fails.
        """
        self._check(inputs)
        try:
            results = self._session.run(self._outputs, dict(inputs))
        except Exception as error:  # onnxruntime's errors share no base class
            raise EngineError(
                f"{self._name} failed while running: {error}",
                engine=self._name,
                mend="free memory, then restart; if it repeats: sharpedge export",
            ) from error
        return dict(zip(self._outputs, results, strict=True))

    def _check(self, inputs: Mapping[str, Tensor]) -> None:
        for name in sorted(set(inputs) | set(self._inputs)):
            wanted, array = self._inputs.get(name), inputs.get(name)
            fits = (
                wanted is not None
                and array is not None
                and array.dtype == np.float32
                and array.ndim == len(wanted)
                and array.size > 0
                and all(w in (None, s) for w, s in zip(wanted, array.shape, strict=True))
            )
            if not fits:
                given = "nothing" if array is None else f"{array.dtype} {list(array.shape)}"
                asked = "no such input" if wanted is None else f"float32 {list(wanted)}"
                raise EngineError(
                    f"{self._name}: input {name}: given {given}, wanted {asked}",
                    engine=self._name,
                    mend="give arrays as the passport's input says",
                )


def _read_verified(path: Path, passport: Passport) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EngineError(
            f"{path}: the engine cannot be read: {error.strerror}", engine=passport.name, mend=MEND
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != passport.engine.sha256:
        raise EngineError(
            f"{path}: SHA-256 is {digest[:16]}..., its passport says "
            f"{passport.engine.sha256[:16]}...: the engine was changed or is of another build",
            engine=passport.name,
            mend=MEND,
        )
    return data
