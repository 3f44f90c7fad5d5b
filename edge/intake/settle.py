"""Decides when a file in the watched folder may be taken: a pure state machine.

The rules (times in `Patience`):

- closed after writing or renamed in, and its structure is whole: at once;
- closed, but only its trailer is missing, its end is not known, or its last block is all zeros:
  `closed_s` after its last change, when two looks agree;
- closed, but its own structure says that bytes are missing: `incomplete_s` after its last change;
- never an event (start-up, a share, a folder made a moment ago), structure whole: two looks
  `look_s` apart agree in size, times and tail, and the kernel knows of no writer;
- a writer was seen and has not closed: not before it closes, or `abandoned_s` after its last
  change;
- never an event and no end: `abandoned_s` after its last change, or `unwatched_s` where no
  events come, and never before `incomplete_s` where bytes are missing.

Layer: intake; touches no file and no clock: events, looks and times are arguments.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from edge.enums import StrEnum
from edge.intake.complete import Structure

if TYPE_CHECKING:
    from edge.model import Signature


class Change(StrEnum):
    """What the file system reported of a file."""

    SEEN = "seen"
    """It exists; nothing is known of a writer."""
    WRITTEN = "written"
    CLOSED = "closed"
    """Closed after writing, or renamed in."""


def unread_digest(path: bytes, size: int) -> str:
    """What stands for the SHA-256 of a file's bytes where they were not read."""
    return hashlib.sha256(b"unread\0%d\0" % size + path).hexdigest()


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a file: its signature, structure, a digest of its tail.

    ``writer`` says that some process has it open for writing.
    """

    signature: Signature
    structure: Structure
    tail: bytes
    writer: bool = False


@dataclass(frozen=True)
class Patience:
    """How long each rule waits, in seconds."""

    look_s: float = 0.2
    closed_s: float = 1.0
    incomplete_s: float = 60.0
    unwatched_s: float = 30.0
    abandoned_s: float = 600.0


class Closing(NamedTuple):
    """One moment on both of the machine's clocks, in seconds."""

    monotonic_s: float
    wall_s: float


class Source(StrEnum):
    """What the moment is at which a film's time begins."""

    CLOSE_EVENT = "close_event"
    FIRST_SEEN = "first_seen"
    """A listing met it; no event reported its close."""
    AT_START = "at_start"
    """It lay in the folder when the appliance started."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A file that may be taken, as it was when last looked at."""

    path: bytes
    signature: Signature
    closing: Closing
    source: Source


@dataclass(slots=True)
class _Candidate:
    changed_s: float
    due_s: float
    seen: Closing
    at_start: bool
    last: Change = Change.SEEN
    closing: Closing | None = None
    look: Look | None = None


class Settling:
    """Files that were noticed and not yet taken.

    ``watched`` says whether the folder's file system reports events.
    """

    def __init__(self, patience: Patience = Patience(), *, watched: bool) -> None:
        self._patience = patience
        self.watched = watched
        self._files: dict[bytes, _Candidate] = {}

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, path: bytes) -> bool:
        return path in self._files

    def note(self, path: bytes, change: Change, now: Closing, *, at_start: bool = False) -> None:
        """Take in an event; ``now`` is when it happened. `Change.SEEN` never weakens another.

        ``at_start`` says that the file lay in the folder when the appliance started.
        """
        known = self._files.get(path)
        if known is None:
            known = _Candidate(now.monotonic_s, now.monotonic_s, now, at_start)
            self._files[path] = known
        elif change is Change.SEEN:
            return
        known.last = change
        known.changed_s = now.monotonic_s
        known.due_s = now.monotonic_s
        known.closing = now if change is Change.CLOSED else None
        if change is Change.WRITTEN:
            known.due_s = now.monotonic_s + self._patience.abandoned_s

    def forget(self, path: bytes) -> None:
        """Drop a file that is gone, or taken."""
        self._files.pop(path, None)

    def due(self, now_s: float) -> list[bytes]:
        """Paths whose next look is due: new ones before the backlog, longest unchanged first."""
        due = [(c.at_start and c.closing is None, c.changed_s, p)
               for p, c in self._files.items() if c.due_s <= now_s]  # fmt: skip
        return [path for *_, path in sorted(due, key=lambda it: it[:2])]

    def was_closed(self, path: bytes) -> bool:
        """Whether an event reported that a file that still waits was closed after writing."""
        known = self._files.get(path)
        return known is not None and known.closing is not None

    def is_due(self, path: bytes, now_s: float) -> bool:
        """Whether a file still waits and its look is due."""
        known = self._files.get(path)
        return known is not None and known.due_s <= now_s

    def next_due_s(self) -> float | None:
        """Monotonic time of the next look, None when nothing waits."""
        return min((c.due_s for c in self._files.values()), default=None)

    def retry(self, path: bytes, now_s: float) -> None:
        """Look again later: it failed for a reason that passes (busy, stale, denied)."""
        waited = now_s - self._files[path].changed_s
        self._files[path].due_s = now_s + min(30.0, max(self._patience.look_s, waited / 2))

    def look(self, path: bytes, look: Look, now_s: float) -> Ready | None:
        """Judge a look; returns the file when it may be taken (and forgets it), else None."""
        it = self._files[path]
        steady = it.look is not None and it.look == look
        if it.look is not None and it.look.signature != look.signature:
            it.changed_s = now_s
        it.look = look
        unchanged_s = now_s - it.changed_s
        whole = look.structure is Structure.COMPLETE
        missing = look.structure is Structure.INCOMPLETE
        if it.last is Change.CLOSED:
            patience = self._patience
            limit_s = patience.incomplete_s if missing else patience.closed_s
            ready = whole or (steady and unchanged_s >= limit_s)
        elif it.last is Change.WRITTEN and self.watched:
            ready = steady and unchanged_s >= self._patience.abandoned_s
        elif whole:
            # A share does not know of other machines' writers.
            waits = look.writer and self.watched and unchanged_s < self._patience.abandoned_s
            ready = steady and not waits
        else:
            limit_s = self._patience.incomplete_s if missing else 0.0
            ready = steady and unchanged_s >= max(limit_s, self._limit_s)
        if ready:
            del self._files[path]
            if it.closing is not None:
                return Ready(path, look.signature, it.closing, Source.CLOSE_EVENT)
            source = Source.AT_START if it.at_start else Source.FIRST_SEEN
            return Ready(path, look.signature, it.seen, source)
        it.due_s = now_s + self._pause_s(unchanged_s)
        return None

    @property
    def _limit_s(self) -> float:
        return self._patience.abandoned_s if self.watched else self._patience.unwatched_s

    def _pause_s(self, unchanged_s: float) -> float:
        """Look often at what moves, seldom at what has lain long."""
        return min(5.0, max(self._patience.look_s, unchanged_s / 4))
