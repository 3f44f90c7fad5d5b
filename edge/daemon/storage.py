"""Runs steps that write to the disk: a full disk or a locked journal pauses the intake, no more.

Layer: daemon, on its thread; raises and clears the alert ``storage``.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.daemon.alerts import Alerts

log = logging.getLogger(__name__)

_PAUSE_S = 2.0


class StorageGuard:
    """Catches the errors of writing; no film is taken before ``paused_until_s`` (monotonic)."""

    def __init__(self, alerts: Alerts) -> None:
        self._alerts = alerts
        self._failing: dict[str, str] = {}
        self.paused_until_s = 0.0

    def run(self, step: Callable[[], None], part: str = "films") -> bool:
        """Run a step that writes; returns whether it could.

        ``part`` names what the step belongs to: a part that can write does not clear the alert of
        another that cannot.
        """
        try:
            step()
        except (sqlite3.OperationalError, OSError) as error:
            # An OSError's own text holds the file's name, which may name a patient.
            detail = (error.strerror if isinstance(error, OSError) else str(error)) or "failed"
            self._failing[part] = detail
            if self._alerts.update("storage", "; ".join(self._failing.values())):
                log.error("cannot write: %s: tried again", detail)  # noqa: TRY400 - one line
            self.paused_until_s = time.monotonic() + _PAUSE_S
            return False
        self._failing.pop(part, None)
        if self._alerts.update("storage", "; ".join(self._failing.values())):
            log.info("writing works again")
        return True
