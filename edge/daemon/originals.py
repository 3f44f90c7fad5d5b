"""Moves or deletes source files after processing.

Layer: daemon. The intake's thread works on the files, because it may hang on a share; the daemon's
thread records the result in the journal.
"""

from __future__ import annotations

import logging
import os
import time
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from edge.intake.originals import ArchiveError, Scored, part_with
from edge.model import After

if TYPE_CHECKING:
    from pathlib import Path

    from edge.daemon.alerts import Alerts
    from edge.intake.intake import Intake
    from edge.journal.journal import Journal
    from edge.journal.records import Original

log = logging.getLogger(__name__)

_READ_ONLY = (
    "films that have ended stay in the drop folder: the service may not write there; "
    'fix: let it write to that folder, or set folders.after = "leave"'
)
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 10.0


class _Done(NamedTuple):
    """What became of one file; ``fault`` says why nothing did, ``archive`` whose fault it is."""

    job: int
    became: str | None
    fault: str = ""
    archive: bool = False


class OriginalFiles:
    """Moves or deletes originals as the site has set it; `turn` belongs to the daemon's thread.

    Films below ``apart`` are left alone. After a failure nothing is tried for a second, then for
    twice as long, up to ten.
    """

    def __init__(
        self,
        journal: Journal,
        intake: Intake,
        alerts: Alerts,
        after: After,
        drop: Path,
        archive: Path,
        apart: Path | None = None,
    ) -> None:
        self._journal = journal
        self._intake = intake
        self._alerts = alerts
        self._after = after
        self._drop = os.fsencode(drop)
        self._archive = archive
        self._apart = None if apart is None else os.fsencode(apart) + b"/"
        self._in_work: set[int] = set()
        self._done: SimpleQueue[_Done] = SimpleQueue()
        self._pause_s = 0.0
        self._not_before_s = 0.0
        self._read_only = False

    def turn(self) -> None:
        """Record what was done, and queue what is to be done."""
        if self._after is After.LEAVE:
            return
        while not self._done.empty():
            self._record(self._done.get())
        # A folder that is away holds nothing: its files are not gone.
        if time.monotonic() < self._not_before_s or self._intake.latest_listing() is None:
            return
        for original in self._journal.ended_originals():
            if self._apart is not None and original.path.startswith(self._apart):
                continue
            if original.job not in self._in_work:
                self._in_work.add(original.job)
                self._intake.do(partial(self._part, original))

    def _record(self, done: _Done) -> None:
        self._in_work.discard(done.job)
        if done.became is not None:
            self._journal.note_original(done.job, done.became)
            self._pause_s = 0.0
            self._alerts.update("archive", None)
            self._read_only |= done.became == "read_only"
            fault = _READ_ONLY if self._read_only else None
            if self._alerts.update("originals", fault) and fault is not None:
                log.warning("job %d: %s", done.job, fault)
            return
        self._pause_s = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
        self._not_before_s = time.monotonic() + self._pause_s
        if done.archive:
            fault = (
                f"{self._archive} takes no film ({done.fault}): films stay in the drop folder; "
                "fix: mount it or make room, and let the service write to it"
            )
            new = self._alerts.update("archive", fault)
        else:
            fault = f"a film that has ended can be neither moved nor deleted ({done.fault})"
            new = self._alerts.update("originals", fault)
        if new:
            log.warning("job %d: %s", done.job, fault)

    def _part(self, original: Original) -> None:
        """Run on the intake's thread."""
        job, path, signature, sha256 = original
        film = Scored(path, signature, sha256)
        try:
            became = part_with(self._drop, film, self._after, self._archive, job)
        except ArchiveError as error:
            self._done.put(_Done(job, None, error.strerror, archive=True))
        except OSError as error:
            self._done.put(_Done(job, None, error.strerror or "failed"))
        else:
            self._done.put(_Done(job, became))
