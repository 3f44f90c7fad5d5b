"""Restart and fallback policy for one worker process, and what all of them leave out.

Layer: daemon, on its thread; starts and kills the worker that it is given.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
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


@dataclass
class LeftOut:
    """What no worker uses any more until the appliance is restarted.

    ``backend`` serves instead of the one that the site has chosen, whose device failed. ``refused``
    are engines (SHA-256) whose outputs cannot be used. ``second`` says whether films are scored a
    second time. ``changes`` counts the changes: a worker that was started before the latest one is
    started again before its next film.
    """

    backend: str | None = None
    refused: tuple[str, ...] = ()
    second: bool = True
    changes: int = 0


class RestartPolicy:
    """Starts a worker again after it died.

    ``at_s`` (monotonic) is when, None while it lives or loads. With the site's ``fallback`` unset
    nothing serves instead of what failed. ``unfit`` says why no film may be scored; empty
    otherwise. ``left_out`` is shared by the policies of all workers.
    """

    def __init__(self, worker: Worker, config: Config, left_out: LeftOut | None = None) -> None:
        self._worker = worker
        self._config = config
        self._fallback = config.worker.fallback
        self._device_failures = 0
        self._from_outside = 0
        self._left_out = left_out or LeftOut()
        self._begun_with = 0
        self.restarts = 0
        self.at_s: float | None = None
        self.unfit = ""
        self.device_is_down = False
        """Whether a film was ended because its engines failed, and none was scored since."""

    def is_due(self, now_s: float) -> bool:
        """Whether a start is to be tried; where no process can be made, it is due again later."""
        if self.at_s is None or now_s < self.at_s:
            return False
        self.at_s = now_s + _RELOAD_S
        return True

    @property
    def backend(self) -> str | None:
        """The back end that serves instead of the site's, None where that one serves."""
        return self._left_out.backend

    @property
    def refused(self) -> tuple[str, ...]:
        """Engines (SHA-256) that do not serve."""
        return self._left_out.refused

    @property
    def is_outdated(self) -> bool:
        """Whether the worker uses what another one has found unusable."""
        return self._begun_with != self._left_out.changes

    def start(self) -> None:
        """Start the worker. Raises `OSError` where no process can be made."""
        self._begun_with = self._left_out.changes
        self._worker.start(self._config_now())
        self.at_s = None

    def replace(self) -> None:
        """End the worker, which has no film, and have it started again at once."""
        self._worker.kill()
        self.at_s = time.monotonic()

    def _config_now(self) -> Config:
        """The site's configuration with what has failed since the start left out."""
        before = self._config.worker
        changes: dict[str, object] = {}
        if self.backend is not None:
            changes["backend"] = self.backend
        if self.refused:
            changes["refuse"] = (*before.refuse, *self.refused)
        if not self._left_out.second:
            changes.update(shadow=None, recheck_every=0)
        worker = before.model_copy(update=changes)
        return self._config.model_copy(update={"worker": worker})

    def without_engines(self) -> None:
        """Give up a worker whose engines cannot be used; they are tried again."""
        self._worker.kill()
        self.at_s = time.monotonic() + _ENGINES_S

    def without_second(self) -> None:
        """Score no film a second time until the appliance is restarted."""
        self._left_out.second = False

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
        if self.is_outdated and died.bad_engine in self.refused:
            # Another worker has found it before; this one had been started with it.
            return True
        if died.bad_engine in self.refused or not self._fallback:
            # The worker's factory has no other: nothing is scored.
            self.unfit = died.detail
            return False
        self._left_out.refused = (*self.refused, died.bad_engine)
        self._change()
        return True

    def _change(self) -> None:
        """Have the other workers started again; this one is dead."""
        self._left_out.changes += 1
        self._begun_with = self._left_out.changes

    def _leave_device(self) -> bool:
        self._device_failures += 1
        if self.is_outdated and self.backend is not None:
            return True
        if self._device_failures < _DEVICE_FAILURES or self.backend or not self._fallback:
            return False
        self._left_out.backend = REFERENCE
        self._change()
        return True
