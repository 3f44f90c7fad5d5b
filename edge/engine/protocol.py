"""The protocol of an engine: named arrays in, named arrays out.

Layer: engine; types only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping

Tensor = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Timings:
    """Where the last run spent its time; copies are zero where the engine computes in place."""

    h2d_ms: float
    compute_ms: float
    d2h_ms: float

    @property
    def total_ms(self) -> float:
        """Copies and computation together."""
        return self.h2d_ms + self.compute_ms + self.d2h_ms


class Engine(Protocol):
    """One loaded network. Implementations are safe to call from one thread at a time."""

    @property
    def name(self) -> str:
        """Name of the recipe, e.g. ``hand-detect``."""

    @property
    def sha256(self) -> str:
        """SHA-256 of the engine file, 64 hex digits."""

    @property
    def input_shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """Input name to shape; ``None`` marks the free batch side."""

    @property
    def passport(self) -> Mapping[str, object]:
        """The JSON sidecar: role, limb, input size, normalisation, classes, anchors, hashes."""

    @property
    def timings(self) -> Timings:
        """Of the last run; zeros before the first."""

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run once. Raises `edge.errors.EngineError` when the device fails."""
