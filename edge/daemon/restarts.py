"""Restart and fallback policy for the worker process.

Layer: daemon, on its thread; starts and kills the worker that it is given.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edge.engine.backend_table import REFERENCE

if TYPE_CHECKING:
    from edge.config import Config
    from edge.worker.handle import Worker
    from edge.worker.messages import Died

_DEVICE_FAILURES = 2
"""So many without an outcome between them are no accident."""
_ENGINES_S = 30.0
_RELOAD_S = 5.0
_OUTSIDE_S = (2.0, 5.0, 15.0, 30.0)
"""Pauses after a death from outside: what took the memory may have gone meanwhile."""


class RestartPolicy:
    """Starts a worker again after it died.

    ``at_s`` (monotonic) is when, None while it lives or loads. ``backend`` serves instead of the
    one that the site has chosen, whose device failed; with ``fallback`` unset there is none.
    ``refused`` are engines (SHA-256) that do not serve until the appliance is restarted, because
    their outputs cannot be used. ``unfit`` says why no film may be scored; empty otherwise.
    """

    def __init__(self, worker: Worker, config: Config) -> None:
        self._worker = worker
        self._config = config
        self._fallback = config.worker.fallback
        self._device_failures = 0
        self._from_outside = 0
        self._second = True
        self.restarts = 0
        self.at_s: float | None = None
        self.backend: str | None = None
        self.refused: tuple[str, ...] = ()
        self.unfit = ""
        self.device_is_down = False
        """Whether a film was ended because its engines failed, and none was scored since."""

    def is_due(self, now_s: float) -> bool:
        """Whether a start is to be tried; where no process can be made, it is due again later."""
        if self.at_s is None or now_s < self.at_s:
            return False
        self.at_s = now_s + _RELOAD_S
        return True

    def start(self) -> None:
        """Start the worker. Raises `OSError` where no process can be made."""
        self._worker.start(self._config_now())
        self.at_s = None

    def _config_now(self) -> Config:
        """The site's configuration with what has failed since the start left out."""
        before = self._config.worker
        changes: dict[str, object] = {}
        if self.backend is not None:
            changes["backend"] = self.backend
        if self.refused:
            changes["refuse"] = (*before.refuse, *self.refused)
        if not self._second:
            changes.update(shadow=None, recheck_every=0)
        worker = before.model_copy(update=changes)
        return self._config.model_copy(update={"worker": worker})

    def without_engines(self) -> None:
        """Give up a worker whose engines cannot be used; they are tried again."""
        self._worker.kill()
        self.at_s = time.monotonic() + _ENGINES_S

    def without_second(self) -> None:
        """Score no film a second time until the appliance is restarted."""
        self._second = False

    def after_death(self, died: Died) -> bool:
        """Plan the next start; whether other engines serve than those that failed."""
        self.restarts += 1
        # One that died while it loaded engines is given time: it may be the machine.
        pause_s = 0.0 if died.ready else _RELOAD_S
        if died.outside:
            pause_s = _OUTSIDE_S[min(self._from_outside, len(_OUTSIDE_S) - 1)]
            self._from_outside += 1
        self.at_s = time.monotonic() + pause_s
        if died.bad_engine:
            return self._leave_engine(died)
        return died.device_lost and self._leave_device()

    def served(self) -> None:
        """Take note of an outcome: the device works."""
        self._device_failures = self._from_outside = 0
        self.device_is_down = False

    def _leave_engine(self, died: Died) -> bool:
        """Whether the worker may find another engine instead of one whose outputs are unusable."""
        if died.bad_engine in self.refused or not self._fallback:
            # The worker's factory has no other: nothing is scored.
            self.unfit = died.detail
            return False
        self.refused = (*self.refused, died.bad_engine)
        return True

    def _leave_device(self) -> bool:
        self._device_failures += 1
        if self._device_failures < _DEVICE_FAILURES or self.backend or not self._fallback:
            return False
        self.backend = REFERENCE
        return True
