"""Moves or deletes source files after processing.

Layer: daemon, on its thread; records in the journal what became of them, raises and clears alerts.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from edge.daemon.parting import Parting
from edge.model import After

if TYPE_CHECKING:
    from pathlib import Path

    from edge.daemon.alerts import Alerts
    from edge.daemon.parting import Parted
    from edge.intake.intake import Intake
    from edge.journal.journal import Journal

log = logging.getLogger(__name__)

_READ_ONLY = (
    "films that have ended stay in the drop folder: the service may not write there; "
    'fix: let it write to that folder, or set folders.after = "leave"'
)
_PAUSE_S = 1.0
"""After a first failure."""


class OriginalFiles:
    """Moves or deletes originals as the site has set it; `turn` belongs to the daemon's thread.

    Films below ``apart`` are left alone.
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
        self._archive = archive
        self._apart = None if apart is None else os.fsencode(apart) + b"/"
        self._parting = Parting(intake, os.fsencode(drop), after, archive, _PAUSE_S)
        self._read_only = False

    def turn(self) -> None:
        """Record what was done, and queue what is to be done."""
        if self._after is After.LEAVE:
            return
        for parted in self._parting.done():
            self._record(parted)
        # A folder that is away holds nothing: its files are not gone.
        if self._parting.rests or self._intake.latest_listing() is None:
            return
        self._parting.begin(
            original
            for original in self._journal.ended_originals()
            if self._apart is None or not original.path.startswith(self._apart)
        )

    def _record(self, parted: Parted) -> None:
        job = parted.original.job
        if parted.became is not None:
            self._journal.note_original(job, parted.became)
            self._parting.succeeded()
            self._alerts.update("archive", None)
            self._read_only |= parted.became == "read_only"
            fault = _READ_ONLY if self._read_only else None
            if self._alerts.update("originals", fault) and fault is not None:
                log.warning("job %d: %s", job, fault)
            return
        self._parting.failed()
        if parted.archive:
            fault = (
                f"{self._archive} takes no film ({parted.fault}): films stay in the drop folder; "
                "fix: mount it or make room, and let the service write to it"
            )
            new = self._alerts.update("archive", fault)
        else:
            fault = f"a film that has ended can be neither moved nor deleted ({parted.fault})"
            new = self._alerts.update("originals", fault)
        if new:
            log.warning("job %d: %s", job, fault)
