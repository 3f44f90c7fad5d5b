"""Has a folder's thread move or delete the files of films that have ended.

Layer: daemon. The folder's thread works on the files, because it may hang on a share; the daemon's
thread hands them over, and takes in what became of them.
"""

from __future__ import annotations

import time
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from edge.intake.originals import ArchiveError, Scored, part_with

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from edge.intake.intake import Intake
    from edge.journal.records import Original
    from edge.model import After

_LONGEST_PAUSE_S = 10.0


class Parted(NamedTuple):
    """What became of one file; ``fault`` says why nothing did, ``archive`` whose fault it is."""

    original: Original
    became: str | None
    fault: str = ""
    archive: bool = False


class Parting:
    """The files in work of one folder ``root``; its methods belong to the daemon's thread.

    After a failure nothing is tried for ``pause_s``, then for twice as long, up to ten seconds.
    """

    def __init__(
        self, intake: Intake, root: bytes, after: After, archive: Path, pause_s: float
    ) -> None:
        self._intake = intake
        self._root = root
        self._after = after
        self._archive = archive
        self._first_pause_s = pause_s
        self._pause_s = self._not_before_s = 0.0
        self._in_work: set[int] = set()
        self._done: SimpleQueue[Parted] = SimpleQueue()

    def done(self) -> Iterator[Parted]:
        """Give what was done since the last call."""
        while not self._done.empty():
            parted = self._done.get()
            self._in_work.discard(parted.original.job)
            yield parted

    @property
    def rests(self) -> bool:
        """Whether nothing is tried at present."""
        return time.monotonic() < self._not_before_s

    def begin(self, originals: Iterable[Original]) -> None:
        """Hand over the files that are not in work."""
        for original in originals:
            if original.job not in self._in_work:
                self._in_work.add(original.job)
                self._intake.do(partial(self._part, original))

    def succeeded(self) -> None:
        """Note that a file could be parted with: the next failure is a first one."""
        self._pause_s = 0.0

    def failed(self) -> None:
        """Try nothing for a while."""
        self._pause_s = min(max(2 * self._pause_s, self._first_pause_s), _LONGEST_PAUSE_S)
        self._not_before_s = time.monotonic() + self._pause_s

    def _part(self, original: Original) -> None:
        """Run on the folder's thread."""
        film = Scored(original.path, original.signature, original.sha256)
        try:
            became = part_with(self._root, film, self._after, self._archive, original.job)
        except ArchiveError as error:
            self._done.put(Parted(original, None, error.strerror, archive=True))
        except OSError as error:
            self._done.put(Parted(original, None, error.strerror or "failed"))
        else:
            self._done.put(Parted(original, became))
