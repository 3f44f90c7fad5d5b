"""Intake: the thread that follows the folder and hands over films that are whole.

It owns all waiting on the folder's file system, so that a share that hangs stops this thread
and neither delivery nor the watchdog.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.errors import Reason, place_of
from edge.intake.settle import Change, Closing, Patience, Ready, Settling, Signature
from edge.intake.take import (
    ChangedError,
    NotRegularError,
    TooLargeError,
    look_at,
    signature_of,
    take,
)
from edge.intake.watch import Folder, Inbox, Noticed, Watch, WatchMode

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

log = logging.getLogger(__name__)

_PASSING = {errno.EBUSY, errno.ESTALE, errno.EACCES, errno.EPERM, errno.EIO, errno.ETIMEDOUT,
            errno.EAGAIN, errno.EHOSTDOWN, errno.ENOTCONN}  # fmt: skip


_POLL_S = 0.25
_NOWHERE = Signature(0, 0, 0, 0)
"""Of what has no path that could be looked at."""


@dataclass(frozen=True)
class Film:
    """A file that was taken: its bytes, or the reason why they were not read.

    ``closed_s`` and ``picked_up_s`` are on the monotonic clock, ``closed_unix_s`` on the wall's.
    ``sha256`` is of the bytes; of path and size where they were not read.
    """

    path: bytes
    signature: Signature
    data: bytes
    sha256: str
    refusal: Reason | None
    closed_s: float
    closed_unix_s: float
    closed_source: str
    picked_up_s: float


@dataclass(frozen=True)
class Condition:
    """What the daemon reports of the folder."""

    waiting: int
    native: bool
    fault: str | None
    turned_s: float
    """Monotonic time of the thread's last turn."""


class Intake:
    """Follows one folder until `stop`.

    Parameters
    ----------
    folder, mode, patience
        What to follow and how.
    rescan_s
        Seconds between listings.
    limit_bytes
        Longest file that is read.
    known
        Files that were dealt with before, by path: passed over while their signature stays.
    last
        Paths that are taken after all others at start-up (a film that was in hand in a crash).
    wake
        Called, from the thread, when a film is there to be fetched; must not block or raise.
    """

    def __init__(
        self,
        folder: Folder,
        mode: WatchMode,
        *,
        patience: Patience,
        rescan_s: float,
        limit_bytes: int,
        known: Mapping[bytes, Signature],
        last: Collection[bytes],
        wake: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._inbox = Inbox()
        self._watch = Watch(folder.path, self._inbox, mode)
        self._settling = Settling(patience, watched=True)
        self._rescan_s = rescan_s
        self._limit_bytes = limit_bytes
        self._known = dict(known)
        self._last = frozenset(last)
        self._wake = wake
        self._films: queue.Queue[Film] = queue.Queue(maxsize=2)
        self._listing_s = 0.0
        self._forgotten: deque[bytes] = deque()
        self._errands: deque[Callable[[], None]] = deque()
        self._first: frozenset[bytes] | None = None
        self._latest: frozenset[bytes] | None = None
        self.following = False
        """Whether the folder was looked at once: from then on no close event is missed."""
        self._stopping = threading.Event()
        self._turned_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)

    def start(self) -> None:
        """Begin to follow the folder."""
        self._thread.start()

    def stop(self) -> None:
        """Take no further film; returns at once."""
        self._stopping.set()
        self._inbox.wake()

    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def fetch(self) -> Film | None:
        """Next film that is whole, None when none waits."""
        try:
            return self._films.get_nowait()
        except queue.Empty:
            return None

    def do(self, errand: Callable[[], None]) -> None:
        """Have the thread do something that touches the folder's file system and never raises."""
        self._errands.append(errand)
        self._inbox.wake()

    def forget(self, paths: Collection[bytes]) -> None:
        """Take these files for new ones; returns at once."""
        self._forgotten.extend(paths)
        self._inbox.ask_listing()

    def first_listing(self) -> frozenset[bytes] | None:
        """Paths that the first listing met; None until it was done."""
        return self._first

    def latest_listing(self) -> frozenset[bytes] | None:
        """Paths that the latest listing met; None where the folder cannot be listed."""
        return None if self._watch.fault else self._latest

    def condition(self) -> Condition:
        """How the folder stands."""
        waiting = len(self._settling) + self._films.qsize()
        return Condition(waiting, self._watch.native, self._watch.fault, self._turned_s)

    def _run(self) -> None:
        rescan_at_s = 0.0
        try:
            while not self._stopping.is_set():
                self._turned_s = time.monotonic()
                while self._errands and not self._stopping.is_set():
                    self._errands.popleft()()
                if self._turned_s >= rescan_at_s:
                    begun_s = time.monotonic()
                    self._list()
                    self._listing_s = time.monotonic() - begun_s
                    if not self.following:
                        self.following = True
                        self._wake()
                    rescan_at_s = time.monotonic() + self._pause_s
                if self._absorb(self._wait_s(rescan_at_s)):
                    # Listed after a moment: files in a folder that was just made come without
                    # events of their own.
                    rescan_at_s = min(rescan_at_s, time.monotonic() + 0.3)
                for path in self._settling.due(time.monotonic()):
                    # Taking the films before this one may have lasted: a writer that came back
                    # meanwhile must be heard first.
                    if self._absorb(0):
                        rescan_at_s = min(rescan_at_s, time.monotonic() + 0.3)
                    if self._stopping.is_set():
                        break
                    if self._settling.is_due(path, time.monotonic()):
                        self._look(path)
        except Exception as error:  # noqa: BLE001 - told, and the daemon sees the thread's end
            log.error("the intake ended by a fault: %s", place_of(error))  # noqa: TRY400
        finally:
            self._watch.close()

    def _absorb(self, timeout_s: float) -> bool:
        """Take in the events that came; whether a listing is asked for."""
        noticed, listing = self._inbox.take(timeout_s)
        for it in noticed:
            if self._folder.counts(it.path):
                self._note(it)
        return listing

    def _note(self, it: Noticed) -> None:
        if it.touched and not _was_written(it.path):
            change = Change.SEEN if it.closed is None else Change.CLOSED
            self._settling.note(it.path, change, it.closed or it.at)
        else:
            self._settling.note(it.path, it.change, it.at)

    @property
    def _pause_s(self) -> float:
        if self._watch.fault:
            return 2.0
        if self._watch.native:
            return self._rescan_s
        # Often, but never more than a tenth of the time: a large folder on a slow share costs.
        return min(self._rescan_s, max(_POLL_S, 10 * self._listing_s))

    def _wait_s(self, rescan_at_s: float) -> float:
        due_s = self._settling.next_due_s()
        until_s = rescan_at_s if due_s is None else min(due_s, rescan_at_s)
        return min(5.0, max(0.0, until_s - time.monotonic()))

    def _list(self) -> None:
        before = self._watch.fault
        met = self._names()
        if self._watch.fault != before:
            log.warning("folder: %s", self._watch.fault or "reached again")
        if met is None:
            return
        while self._forgotten:
            self._known.pop(self._forgotten.popleft(), None)
        now = Closing(time.monotonic(), time.time())
        new = [path for path in met if path not in self._settling and not self._is_known(path)]
        for path in sorted(new, key=lambda path: (path in self._last, path)):
            self._settling.note(path, Change.SEEN, now)
        # An emptied folder is not a reason to forget what was dealt with: a share that comes
        # back must not be taken for all new. Only single names that went are forgotten.
        if met:
            for path in [p for p in self._known if p not in met]:
                del self._known[path]
        self._latest = met
        if self._first is None:
            self._first = self._latest

    def _names(self) -> frozenset[bytes] | None:
        """Paths of what is in the folder; None where it cannot be listed."""
        if not self._watch.check():
            return None
        self._settling.watched = self._watch.native
        try:
            met = frozenset(entry.path for entry in self._folder.entries())
        except OSError as error:
            self._watch.fault = f"the drop folder cannot be listed ({error.strerror})"
            return None
        self._watch.listed(len(met))
        return met

    def _is_known(self, path: bytes) -> bool:
        known = self._known.get(path)
        if known is None:
            return False
        try:
            found = signature_of(os.lstat(path))
        except OSError:
            return True
        # The device number of a share changes when it is mounted anew.
        return found[1:] == known[1:]

    def _look(self, path: bytes) -> None:
        now_s = time.monotonic()
        try:
            if self._is_known(path):
                self._settling.forget(path)
                return
            ready = self._settling.look(path, look_at(path), now_s)
            if ready is not None:
                self._take(ready)
        except NotRegularError:
            self._settling.forget(path)
            self._refuse(path, Reason.NOT_A_REGULAR_FILE)
        except ChangedError:
            self._settling.note(path, Change.SEEN, Closing(now_s, time.time()))
        except (FileNotFoundError, NotADirectoryError):
            self._settling.forget(path)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                self._settling.forget(path)
                self._put(Ready(path, _NOWHERE, None), b"", Reason.NOT_A_REGULAR_FILE, now_s)
                return
            if error.errno not in _PASSING:
                log.warning("a file cannot be read (%s), will be tried again", error.strerror)
            self._settling.note(path, Change.SEEN, Closing(now_s, time.time()))
            self._settling.retry(path, now_s)

    def _take(self, ready: Ready) -> None:
        picked_up_s = time.monotonic()
        try:
            data = take(ready.path, ready.signature, self._limit_bytes)
        except TooLargeError:
            self._put(ready, b"", Reason.TOO_LARGE, picked_up_s)
            return
        self._put(ready, data, None, picked_up_s)

    def _refuse(self, path: bytes, reason: Reason) -> None:
        try:
            signature = signature_of(os.lstat(path))
        except OSError:
            return
        self._put(Ready(path, signature, None), b"", reason, time.monotonic())

    def _put(self, ready: Ready, data: bytes, refusal: Reason | None, picked_up_s: float) -> None:
        mtime_s = ready.signature.mtime_ns / 1e9
        if ready.closing is not None:
            closed_s, closed_unix_s, source = (*ready.closing, "close_event")
        else:
            # A copied time may lie in the future or in 1970; it must not bend the ledger.
            age_s = max(0.0, time.time() - mtime_s)
            closed_s, closed_unix_s, source = picked_up_s - age_s, mtime_s, "mtime"
        identity = data if refusal is None else b"unread\0%d\0" % ready.signature.size + ready.path
        film = Film(
            path=ready.path,
            signature=ready.signature,
            data=data,
            sha256=hashlib.sha256(identity).hexdigest(),
            refusal=refusal,
            closed_s=closed_s,
            closed_unix_s=closed_unix_s,
            closed_source=source,
            picked_up_s=picked_up_s,
        )
        while not self._stopping.is_set():
            self._turned_s = time.monotonic()
            try:
                self._films.put(film, timeout=0.5)
            except queue.Full:
                continue
            self._known[ready.path] = ready.signature
            self._wake()
            return


def _was_written(path: bytes) -> bool:
    """Whether the latest change of a file was one of its contents: it sets both times at once."""
    try:
        found = os.lstat(path)
    except OSError:
        return True
    return found.st_mtime_ns == found.st_ctime_ns
