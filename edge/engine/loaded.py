"""The part of a loaded engine that follows from its passport alone.

Layer: engine; no input or output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.engine.protocol import Timings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.engine.passport import Passport, VerifiedEngine


class LoadedEngine:
    """The part of `edge.engine.protocol.Engine` that follows from the passport alone."""

    def __init__(self, verified: VerifiedEngine) -> None:
        self._passport: Passport = verified.passport
        self._mapping: dict[str, Any] = verified.passport.model_dump(mode="json")
        self._timings = Timings(0.0, 0.0, 0.0)

    @property
    def name(self) -> str:
        """Name of the recipe."""
        return self._passport.name

    @property
    def sha256(self) -> str:
        """SHA-256 of the engine file."""
        return self._passport.engine.sha256

    @property
    def passport(self) -> Mapping[str, Any]:
        """The JSON sidecar as plain values; see `edge.engine.passport.Passport`."""
        return self._mapping

    @property
    def timings(self) -> Timings:
        """Of the last run."""
        return self._timings
