"""Removes received films from the inbox once they have reached their end state.

Layer: daemon, on its thread; lists the inbox, writes the journal, raises and clears an alert.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from edge.daemon.parting import Parting
from edge.intake.watch import CLAIMED
from edge.journal.received import Received
from edge.model import After

if TYPE_CHECKING:
    from pathlib import Path

    from edge.daemon.alerts import Alerts
    from edge.daemon.parting import Parted
    from edge.intake.intake import Intake
    from edge.journal.journal import Journal
    from edge.journal.records import Original

log = logging.getLogger(__name__)

_PAUSE_S = 10.0
"""After a failure."""
_A_TURN = 200
"""Files that one turn asks the journal about."""


class InboxFiles:
    """The films in the inbox ``folder``; `turn` belongs to the daemon's thread.

    Unlike the scanner's files they are removed whatever ``folders.after`` says: they are the
    appliance's own copies. One that was not read, because it is too long, stays.
    """

    def __init__(self, journal: Journal, intake: Intake, alerts: Alerts, folder: Path) -> None:
        self._place = folder
        self._received = Received(journal.store)
        self._alerts = alerts
        self._folder = os.fsencode(folder)
        self._parting = Parting(intake, self._folder, After.DELETE, folder, _PAUSE_S)
        self._after_name = b""

    def turn(self) -> None:
        """Record what was removed, and queue what is to be."""
        for parted in self._parting.done():
            self._record(parted)
        if not self._parting.rests:
            ended = (self._ended(name) for name in self._names())
            self._parting.begin(original for original in ended if original is not None)

    def _names(self) -> list[bytes]:
        """Names of the inbox that are asked about in this turn: all of them, some at a time."""
        try:
            names = sorted(os.fsencode(it.name) for it in self._place.iterdir())
        except OSError:
            return []
        rest = [name for name in names if name > self._after_name][:_A_TURN]
        self._after_name = rest[-1] if len(rest) == _A_TURN else b""
        return rest

    def _ended(self, name: bytes) -> Original | None:
        if name.startswith(CLAIMED):
            # A crash came while it was removed.
            number = name[len(CLAIMED) :]
            return self._received.ended_job(int(number)) if number.isdigit() else None
        return None if name.startswith(b".") else self._received.ended(self._folder + b"/" + name)

    def _record(self, parted: Parted) -> None:
        job, path = parted.original.job, parted.original.path
        if parted.became is not None and parted.became != "read_only":
            self._received.note_removed(path, parted.became)
            self._alerts.update("inbox_files", None)
            return
        self._parting.failed()
        fault = (
            f"received films that have ended cannot be removed from {os.fsdecode(self._folder)} "
            f"({parted.fault or 'read-only'}); fix: let the service write there"
        )
        if self._alerts.update("inbox_files", fault):
            log.warning("job %d: %s", job, fault)
