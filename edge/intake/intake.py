"""The thread that follows the watched folder and hands over films that are whole.

Layer: intake; reads the folder, writes nothing. The thread owns all waiting on the folder's file
system, so that a share that hangs stops this thread and neither delivery nor the watchdog. It never
waits for the worker: listing, events and tasks go on while films queue.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.errors import place_of
from edge.intake.beneath import stat_beneath
from edge.intake.collector import Collector
from edge.intake.listings import Listings
from edge.intake.seen import Known
from edge.intake.settle import Change, Settling
from edge.intake.unreadable import Unreadable
from edge.intake.watch import Inbox, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from edge.intake.film import Film
    from edge.intake.seen import Listing
    from edge.intake.settle import Patience
    from edge.intake.watch import Folder, Noticed, WatchMode
    from edge.model import Signature

log = logging.getLogger(__name__)

_POLL_S = 0.25
_LOOKS_A_TURN = 50


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
        known = Known(self._root, recall)
        self._wake = wake
        self._collector = Collector(
            self._root,
            self._settling,
            known,
            self._unreadable,
            limit_bytes=limit_bytes,
            wake=wake,
        )
        self._listings = Listings(
            folder,
            self._root,
            self._watch,
            self._settling,
            known,
            self._unreadable,
            waits=self._collector.waiting.__contains__,
            last=last,
            pass_over=pass_over,
        )
        self._tasks: deque[Callable[[], None]] = deque()
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

    @property
    def is_started(self) -> bool:
        """Whether `start` was called."""
        return self._thread.ident is not None

    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def fetch(self) -> Film | None:
        """Next film that is whole, None when none waits."""
        film = self._collector.fetch()
        if film is not None:
            # There is room for another.
            self._inbox.wake()
        return film

    def do(self, task: Callable[[], None]) -> None:
        """Run a task on the thread: one that uses the folder's file system and never raises."""
        self._tasks.append(task)
        self._inbox.wake()

    def forget(self, paths: Collection[bytes]) -> None:
        """Take these files for new ones; returns at once."""
        self._listings.forget(paths)
        self._inbox.ask_listing()

    def first_listing(self) -> Listing | None:
        """Paths that the first listing met; None until it was done."""
        return self._listings.first

    def latest_listing(self) -> Listing | None:
        """Paths that the latest listing met; None where the folder cannot be listed."""
        return None if self._watch.fault else self._listings.latest

    def passed_over(self) -> list[tuple[bytes, Signature]] | None:
        """What lay in the folder at the start and is left alone; None until it was listed."""
        return self._listings.passed_over

    def condition(self) -> Condition:
        """How the folder stands."""
        waiting = len(self._settling) + len(self._collector)
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
                while self._tasks and not self._stopping.is_set():
                    self._tasks.popleft()()
                if self._turned_s >= rescan_at_s:
                    self._listings.update()
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
                self._collector.hand_over(self._stopping.is_set)
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
                self._collector.look(path)
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
        self._collector.waiting.drop(it.path)
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
        return min(self._rescan_s, max(_POLL_S, 10 * self._listings.duration_s))

    def _wait_s(self, rescan_at_s: float) -> float:
        if self._collector.is_due:
            return 0.0
        due_s = self._settling.next_due_s()
        until_s = rescan_at_s if due_s is None else min(due_s, rescan_at_s)
        return min(5.0, max(0.0, until_s - time.monotonic()))
