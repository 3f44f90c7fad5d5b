"""Removes received films from the inbox once they have reached their end state.

Layer: daemon. The daemon's thread lists the inbox and writes the journal; the inbox's thread works
on the files.
"""

from __future__ import annotations

import logging
import os
import time
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from edge.intake.originals import Scored, part_with
from edge.intake.watch import CLAIMED
from edge.journal.received import Received
from edge.model import After

if TYPE_CHECKING:
    from pathlib import Path

    from edge.daemon.alerts import Alerts
    from edge.intake.intake import Intake
    from edge.journal.journal import Journal
    from edge.journal.records import Original

log = logging.getLogger(__name__)

_PAUSE_S = 10.0
"""After a failure."""
_A_TURN = 200
"""Files that one turn asks the journal about."""


class _Done(NamedTuple):
    """What became of one file; ``fault`` says why nothing did."""

    original: Original
    became: str | None
    fault: str = ""


class InboxFiles:
    """The films in the inbox ``folder``; `turn` belongs to the daemon's thread.

    Unlike the scanner's files they are removed whatever ``folders.after`` says: they are the
    appliance's own copies. One that was not read, because it is too long, stays.
    """

    def __init__(self, journal: Journal, intake: Intake, alerts: Alerts, folder: Path) -> None:
        self._place = folder
        self._received = Received(journal.store)
        self._intake = intake
        self._alerts = alerts
        self._folder = os.fsencode(folder)
        self._in_work: set[int] = set()
        self._done: SimpleQueue[_Done] = SimpleQueue()
        self._not_before_s = 0.0
        self._after_name = b""

    def turn(self) -> None:
        """Record what was removed, and queue what is to be."""
        while not self._done.empty():
            self._record(self._done.get())
        if time.monotonic() < self._not_before_s:
            return
        for name in self._names():
            original = self._ended(name)
            if original is not None and original.job not in self._in_work:
                self._in_work.add(original.job)
                self._intake.do(partial(self._part, original))

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

    def _record(self, done: _Done) -> None:
        job = done.original.job
        self._in_work.discard(job)
        if done.became is not None and done.became != "read_only":
            self._received.note_removed(done.original.path, done.became)
            self._alerts.update("inbox_files", None)
            return
        self._not_before_s = time.monotonic() + _PAUSE_S
        fault = (
            f"received films that have ended cannot be removed from {os.fsdecode(self._folder)} "
            f"({done.fault or 'read-only'}); fix: let the service write there"
        )
        if self._alerts.update("inbox_files", fault):
            log.warning("job %d: %s", job, fault)

    def _part(self, original: Original) -> None:
        """Run on the inbox's thread."""
        job, path, signature, sha256 = original
        film = Scored(path, signature, sha256)
        try:
            became = part_with(self._folder, film, After.DELETE, self._place, job)
        except OSError as error:
            self._done.put(_Done(original, None, error.strerror or "failed"))
        else:
            self._done.put(_Done(original, became))
