"""Times the stages of one film.

Layer: scoring; reads the clock.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class StageClock:
    """Adds up milliseconds by stage; ``on_stage`` is called with each stage that begins."""

    def __init__(self, on_stage: Callable[[str], None] | None = None) -> None:
        self.stage_ms: dict[str, float] = {}
        self._on_stage = on_stage
        self._name: str | None = None
        self._begun = 0.0

    def start(self, name: str) -> None:
        """End the stage that runs and begin another."""
        self.stop()
        self._name, self._begun = name, time.perf_counter()
        if self._on_stage is not None:
            self._on_stage(name)

    def stop(self) -> None:
        """End the stage that runs."""
        if self._name is not None:
            spent = (time.perf_counter() - self._begun) * 1000
            self.stage_ms[self._name] = self.stage_ms.get(self._name, 0.0) + spent
            self._name = None
