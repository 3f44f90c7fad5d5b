"""What the deaths of the worker and of its device mean: when it starts anew, and on what.

Part of `daemon`, on its thread; touches nothing but the worker that it is given.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edge.engine.passport import Backend

if TYPE_CHECKING:
    from edge.worker import Died, Worker

_DEVICE_FAILURES = 2
"""So many without an outcome between them are no accident."""
_ENGINES_S = 30.0
_RELOAD_S = 5.0


class Revival:
    """Starts a worker again after it died.

    ``at_s`` (monotonic) is when, None while it lives or loads. ``backend`` serves instead of the
    one that the site has chosen, whose device failed; with ``fallback`` unset there is none.
    """

    def __init__(self, worker: Worker, *, fallback: bool) -> None:
        self._worker = worker
        self._fallback = fallback
        self._device_failures = 0
        self.restarts = 0
        self.at_s: float | None = None
        self.backend: Backend | None = None

    def is_due(self, now_s: float) -> bool:
        """Whether a start is to be tried; where no process can be made, it is due again later."""
        if self.at_s is None or now_s < self.at_s:
            return False
        self.at_s = now_s + _RELOAD_S
        return True

    def start(self) -> None:
        """Start the worker. Raises `OSError` where no process can be made."""
        self._worker.start(self.backend)
        self.at_s = None

    def without_engines(self) -> None:
        """Give up a worker whose engines cannot be used; they are tried again."""
        self._worker.kill()
        self.at_s = time.monotonic() + _ENGINES_S

    def after_death(self, word: Died) -> bool:
        """Plan the next start; whether it is on another back end than the one that failed."""
        self.restarts += 1
        # One that died while it loaded engines is given time: it may be the machine.
        self.at_s = time.monotonic() + (0.0 if word.ready else _RELOAD_S)
        return word.device_lost and self._leave_device()

    def served(self) -> None:
        """Take note of an outcome: the device works."""
        self._device_failures = 0

    def _leave_device(self) -> bool:
        self._device_failures += 1
        if self._device_failures < _DEVICE_FAILURES or self.backend or not self._fallback:
            return False
        self.backend = Backend.ONNXRUNTIME
        return True
