"""Between journal and intake: what becomes of the scanner's own file once its film has ended.

The intake's thread does it, because it may hang on a share; the daemon's thread writes down what
became of the file.
"""

from __future__ import annotations

import logging
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING

from edge.intake.quarantine import After, part_with

if TYPE_CHECKING:
    from pathlib import Path

    from edge.delivery.journal import Journal
    from edge.intake.intake import Intake
    from edge.intake.settle import Signature

log = logging.getLogger(__name__)


class Parting:
    """Moves or deletes originals as the site has set it; `turn` belongs to the daemon's thread."""

    def __init__(self, journal: Journal, intake: Intake, after: After, archive: Path) -> None:
        self._journal = journal
        self._intake = intake
        self._after = after
        self._archive = archive
        self._in_work: set[int] = set()
        self._done: SimpleQueue[tuple[int, str | None]] = SimpleQueue()

    def turn(self) -> None:
        """Write down what was done, and hand on what is to be done."""
        if self._after is After.LEAVE:
            return
        while not self._done.empty():
            job, became = self._done.get()
            self._in_work.discard(job)
            if became is not None:
                self._journal.note_original(job, became)
        for job, path, signature in self._journal.ended_originals():
            if job not in self._in_work:
                self._in_work.add(job)
                self._intake.do(partial(self._part, job, path, signature))

    def _part(self, job: int, path: bytes, signature: Signature) -> None:
        """Run on the intake's thread."""
        became = None
        try:
            became = part_with(path, signature, self._after, self._archive, job)
        except OSError as error:
            log.warning("job %d: its file cannot be parted with (%s)", job, error.strerror)
        self._done.put((job, became))
