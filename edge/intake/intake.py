"""Intake: the thread that follows the folder and hands over films that are whole.

Layer: intake; reads the folder, writes nothing. The thread owns all waiting on the folder's file
system, so that a share that hangs stops this thread and neither delivery nor the watchdog. It never
waits for the worker: listing, events and errands go on while films queue.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import queue
import threading
import time
from array import array
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.errors import Reason, place_of
from edge.intake.beneath import stat_beneath
from edge.intake.seen import Known, Listing, mark_of
from edge.intake.settle import Change, Closing, Patience, Ready, Settling, Source, unread_digest
from edge.intake.take import (
    ChangedError,
    NotRegularError,
    TooLargeError,
    look_at,
    signature_of,
    take,
)
from edge.intake.unreadable import Unreadable
from edge.intake.waiting import Waiting
from edge.intake.watch import Folder, Inbox, Noticed, Watch, WatchMode
from edge.model import Signature

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

log = logging.getLogger(__name__)

_PASSING = {errno.EBUSY, errno.ESTALE, errno.EACCES, errno.EPERM, errno.EIO, errno.ETIMEDOUT,
            errno.EAGAIN, errno.EHOSTDOWN, errno.ENOTCONN}  # fmt: skip


_POLL_S = 0.25
_LOOKS_A_TURN = 50
_NOWHERE = Signature(0, 0, 0, 0)
"""Of what has no path that could be looked at."""


@dataclass(frozen=True)
class Film:
    """A file that was taken: its bytes, or the reason why they were not read.

    ``closed_s`` and ``picked_up_s`` are on the monotonic clock, ``closed_unix_s`` is the same
    moment as ``closed_s`` on the wall's. ``sha256`` is of the bytes; of path and size where they
    were not read.
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
    """What the daemon reports of the folder.

    ``unreadable`` says which files the service may not read, None where there are none.
    ``turned_s`` is the monotonic time of the thread's last turn.
    """

    waiting: int
    native: bool
    fault: str | None
    unreadable: str | None
    turned_s: float


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
    recall
        Gives the signature of a path that was dealt with in an earlier run, None for a new one;
        called on the thread.
    last
        Paths that are taken after all others at start-up (a film that was in work in a crash).
    wake
        Called, from the thread, when a film is there to be fetched; must not block or raise.
    pass_over
        Whether what lies in the folder at the start is left alone; see `passed_over`.
    """

    def __init__(
        self,
        folder: Folder,
        mode: WatchMode,
        *,
        patience: Patience,
        rescan_s: float,
        limit_bytes: int,
        recall: Callable[[bytes], Signature | None],
        last: Collection[bytes],
        wake: Callable[[], None],
        pass_over: bool = False,
    ) -> None:
        self._folder = folder
        self._root = os.fsencode(folder.path)
        self._inbox = Inbox()
        self._watch = Watch(folder.path, self._inbox, mode)
        self._settling = Settling(patience, watched=True)
        self._unreadable = Unreadable()
        self._rescan_s = rescan_s
        self._limit_bytes = limit_bytes
        self._known = Known(self._root, recall)
        self._last = frozenset(last)
        self._wake = wake
        self._films: queue.Queue[Film] = queue.Queue(maxsize=1)
        self._waiting = Waiting()
        self._refused: deque[Film] = deque()
        self._listing_s = 0.0
        self._forgotten: deque[bytes] = deque()
        self._errands: deque[Callable[[], None]] = deque()
        self._first: Listing | None = None
        self._latest: Listing | None = None
        self._passes_over = pass_over
        self._passed_over: list[tuple[bytes, Signature]] | None = None
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
            film = self._films.get_nowait()
        except queue.Empty:
            return None
        # There is room for another.
        self._inbox.wake()
        return film

    def do(self, errand: Callable[[], None]) -> None:
        """Have the thread do something that touches the folder's file system and never raises."""
        self._errands.append(errand)
        self._inbox.wake()

    def forget(self, paths: Collection[bytes]) -> None:
        """Take these files for new ones; returns at once."""
        self._forgotten.extend(paths)
        self._inbox.ask_listing()

    def first_listing(self) -> Listing | None:
        """Paths that the first listing met; None until it was done."""
        return self._first

    def latest_listing(self) -> Listing | None:
        """Paths that the latest listing met; None where the folder cannot be listed."""
        return None if self._watch.fault else self._latest

    def passed_over(self) -> list[tuple[bytes, Signature]] | None:
        """What lay in the folder at the start and is left alone; None until it was listed."""
        return self._passed_over

    def condition(self) -> Condition:
        """How the folder stands."""
        waiting = len(self._settling) + len(self._waiting) + self._films.qsize()
        return Condition(
            waiting,
            self._watch.native,
            self._watch.fault,
            self._unreadable.summary(),
            self._turned_s,
        )

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
                soon_s = time.monotonic() + 0.3
                if self._absorb(self._wait_s(rescan_at_s)):
                    # Listed after a moment: files in a folder that was just made come without
                    # events of their own.
                    rescan_at_s = min(rescan_at_s, soon_s)
                if self._look_at_due():
                    rescan_at_s = min(rescan_at_s, soon_s)
                self._hand_over()
        except Exception as error:  # noqa: BLE001 - the daemon sees the thread's end
            log.error("the intake ended by a fault: %s", place_of(error))  # noqa: TRY400
        finally:
            self._watch.close()

    def _look_at_due(self) -> bool:
        """Look at some of the files whose time has come; whether a listing is asked for."""
        listing = False
        for path in self._settling.due(time.monotonic())[:_LOOKS_A_TURN]:
            # Looking at the films before this one may have lasted: a writer that came back
            # meanwhile must be noticed first.
            listing |= self._absorb(0)
            if self._stopping.is_set():
                break
            if self._settling.is_due(path, time.monotonic()):
                self._look(path)
        return listing

    def _absorb(self, timeout_s: float) -> bool:
        """Take in the events that came; whether a listing is asked for."""
        noticed, listing = self._inbox.take(timeout_s)
        for it in noticed:
            if self._folder.counts(it.path):
                self._note(it)
        return listing

    def _note(self, it: Noticed) -> None:
        # A film that waits for the worker must settle again.
        self._waiting.drop(it.path)
        if it.touched and not self._was_written(it.path):
            change = Change.SEEN if it.closed is None else Change.CLOSED
            self._settling.note(it.path, change, it.closed or it.at)
        else:
            self._settling.note(it.path, it.change, it.at)

    def _was_written(self, path: bytes) -> bool:
        """Whether the latest change of a file was one of its contents: it sets both times."""
        try:
            found = stat_beneath(self._root, path)
        except OSError:
            return True
        return found.st_mtime_ns == found.st_ctime_ns

    @property
    def _pause_s(self) -> float:
        if self._watch.fault:
            return 2.0
        if self._watch.native:
            return self._rescan_s
        # Often, but never more than a tenth of the time: a large folder on a slow share costs.
        return min(self._rescan_s, max(_POLL_S, 10 * self._listing_s))

    def _wait_s(self, rescan_at_s: float) -> float:
        if (self._waiting or self._refused) and not self._films.full():
            return 0.0
        due_s = self._settling.next_due_s()
        until_s = rescan_at_s if due_s is None else min(due_s, rescan_at_s)
        return min(5.0, max(0.0, until_s - time.monotonic()))

    def _list(self) -> None:
        before = self._watch.fault
        while self._forgotten:
            self._known.forget(self._forgotten.popleft())
        new: list[bytes] = []
        met = self._names(new)
        if self._watch.fault != before:
            log.warning("folder: %s", self._watch.fault or "reached again")
        if met is None:
            return
        first = self._first is None
        if first and self._passes_over:
            self._passed_over = self._left_alone(new)
        else:
            self._note_new(new, first=first)
        # An emptied folder is not a reason to forget what was dealt with: a share that comes
        # back must not be taken for all new. Only single names that went are forgotten.
        if len(met):
            self._known.keep_only(met)
        self._unreadable.keep_only(met)
        self._latest = met
        if first:
            self._first = met

    def _note_new(self, new: list[bytes], *, first: bool) -> None:
        now = Closing(time.monotonic(), time.time())
        if first:
            # The backlog is taken oldest first, as far as the files' own times tell.
            new.sort(key=lambda path: (path in self._last, self._age_key(path), path))
        else:
            new.sort()
        for path in new:
            self._settling.note(path, Change.SEEN, now, at_start=first)

    def _age_key(self, path: bytes) -> int:
        try:
            return stat_beneath(self._root, path).st_mtime_ns
        except OSError:
            return 0

    def _left_alone(self, paths: list[bytes]) -> list[tuple[bytes, Signature]]:
        """Remember files as dealt with that nobody has dealt with."""
        left = []
        for path in paths:
            try:
                signature = signature_of(stat_beneath(self._root, path))
            except OSError:
                continue
            self._known.note(path, signature)
            left.append((path, signature))
        return left

    def _names(self, new: list[bytes]) -> Listing | None:
        """Marks of what is in the folder; None where it cannot be listed.

        Paths that nothing is known of are added to ``new``.
        """
        if not self._watch.check():
            return None
        self._settling.watched = self._watch.native
        found = array("Q")

        def denied(folder: bytes) -> None:
            found.append(mark_of(folder))
            self._unreadable.note(self._root, folder)

        try:
            for entry in self._folder.entries(denied):
                found.append(mark_of(entry.path))
                in_work = entry.path in self._settling or entry.path in self._waiting
                if not in_work and entry.path not in self._known:
                    new.append(entry.path)
        except OSError as error:
            self._watch.fault = f"the drop folder cannot be listed ({error.strerror})"
            return None
        self._watch.listed(len(found))
        return Listing(found)

    def _look(self, path: bytes) -> None:
        now_s = time.monotonic()
        try:
            # After a close the file is read whatever its times say: a writer may set them back.
            if not self._settling.was_closed(path) and path in self._known:
                self._settling.forget(path)
                return
            ready = self._settling.look(path, look_at(self._root, path), now_s)
            self._unreadable.forget(path)
            if ready is not None:
                self._waiting.add(ready)
        except NotRegularError:
            self._settling.forget(path)
            self._refuse(path, Reason.NOT_A_REGULAR_FILE)
        except (FileNotFoundError, NotADirectoryError):
            self._settling.forget(path)
            self._unreadable.forget(path)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                self._settling.forget(path)
                self._put_refused(path, _NOWHERE, Reason.NOT_A_REGULAR_FILE)
                return
            self._try_later(path, error, now_s)

    def _try_later(self, path: bytes, error: OSError, now_s: float) -> None:
        if error.errno in {errno.EACCES, errno.EPERM}:
            self._unreadable.note(self._root, path)
        elif error.errno not in _PASSING:
            log.warning("a file cannot be read (%s), will be tried again", error.strerror)
        self._settling.note(path, Change.SEEN, Closing(now_s, time.time()))
        self._settling.retry(path, now_s)

    def _hand_over(self) -> None:
        """Give the daemon the next film that waits: a new one, one of the backlog, in turn."""
        while not self._films.full() and not self._stopping.is_set():
            if self._refused:
                self._films.put_nowait(self._refused.popleft())
                self._wake()
                continue
            ready = self._waiting.next()
            if ready is None:
                return
            self._take(ready)

    def _take(self, ready: Ready) -> None:
        now_s = time.monotonic()
        try:
            data = take(self._root, ready.path, ready.signature, self._limit_bytes)
        except TooLargeError:
            self._films.put_nowait(_film(ready, b"", Reason.TOO_LARGE, now_s))
        except NotRegularError:
            self._refuse(ready.path, Reason.NOT_A_REGULAR_FILE)
            return
        except ChangedError:
            self._settling.note(ready.path, Change.SEEN, Closing(now_s, time.time()))
            return
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            self._try_later(ready.path, error, now_s)
            return
        else:
            self._films.put_nowait(_film(ready, data, None, now_s))
        self._known.note(ready.path, ready.signature)
        self._wake()

    def _refuse(self, path: bytes, reason: Reason) -> None:
        try:
            signature = signature_of(stat_beneath(self._root, path))
        except OSError:
            return
        self._put_refused(path, signature, reason)

    def _put_refused(self, path: bytes, signature: Signature, reason: Reason) -> None:
        """Queue a file that is not read."""
        now = Closing(time.monotonic(), time.time())
        ready = Ready(path, signature, now, Source.FIRST_SEEN)
        self._refused.append(_film(ready, b"", reason, now.monotonic_s))
        self._known.note(path, signature)


def _film(ready: Ready, data: bytes, refusal: Reason | None, picked_up_s: float) -> Film:
    unread = unread_digest(ready.path, ready.signature.size)
    return Film(
        path=ready.path,
        signature=ready.signature,
        data=data,
        sha256=unread if refusal is not None else hashlib.sha256(data).hexdigest(),
        refusal=refusal,
        closed_s=ready.closing.monotonic_s,
        closed_unix_s=ready.closing.wall_s,
        closed_source=ready.source,
        picked_up_s=picked_up_s,
    )
