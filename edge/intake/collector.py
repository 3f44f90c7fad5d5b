"""Looks at files that settle, reads those that are whole and queues them for the daemon.

Layer: intake, on its thread; reads the folder, writes nothing.
"""

from __future__ import annotations

import errno
import logging
import queue
import time
from collections import deque
from typing import TYPE_CHECKING

from edge.errors import Reason
from edge.intake.beneath import stat_beneath
from edge.intake.film import Film, film_of
from edge.intake.settle import Change, Closing, Ready, Source
from edge.intake.take import (
    ChangedError,
    NotRegularError,
    TooLargeError,
    look_at,
    signature_of,
    take,
)
from edge.intake.waiting import Waiting
from edge.model import Signature

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.intake.seen import Known
    from edge.intake.settle import Settling
    from edge.intake.unreadable import Unreadable

log = logging.getLogger(__name__)

_PASSING = {errno.EBUSY, errno.ESTALE, errno.EACCES, errno.EPERM, errno.EIO, errno.ETIMEDOUT,
            errno.EAGAIN, errno.EHOSTDOWN, errno.ENOTCONN}  # fmt: skip
_NOWHERE = Signature(0, 0, 0, 0)
"""Of what has no path that could be looked at."""


class Collector:
    """Takes one film at a time, as the daemon fetches them.

    ``wake`` is called when a film can be fetched. ``waiting`` holds the films that are whole.
    """

    def __init__(
        self,
        root: bytes,
        settling: Settling,
        known: Known,
        unreadable: Unreadable,
        *,
        limit_bytes: int,
        wake: Callable[[], None],
    ) -> None:
        self._root = root
        self._settling = settling
        self._known = known
        self._unreadable = unreadable
        self._limit_bytes = limit_bytes
        self._wake = wake
        self._films: queue.Queue[Film] = queue.Queue(maxsize=1)
        self._refused: deque[Film] = deque()
        self.waiting = Waiting()

    def __len__(self) -> int:
        """Films that are whole and not fetched yet."""
        return len(self.waiting) + self._films.qsize()

    @property
    def is_due(self) -> bool:
        """Whether a film waits and the queue has a free place for it."""
        return bool(self.waiting or self._refused) and not self._films.full()

    def fetch(self) -> Film | None:
        """Next film; None when none is ready. Any thread may call this."""
        try:
            return self._films.get_nowait()
        except queue.Empty:
            return None

    def look(self, path: bytes) -> None:
        """Look at a file whose time has come."""
        now_s = time.monotonic()
        try:
            # After a close the file is read whatever its times say: a writer may set them back.
            if not self._settling.was_closed(path) and path in self._known:
                self._settling.forget(path)
                return
            ready = self._settling.look(path, look_at(self._root, path), now_s)
            self._unreadable.forget(path)
            if ready is not None:
                self.waiting.add(ready)
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

    def hand_over(self, stopping: Callable[[], bool]) -> None:
        """Queue the next film for the daemon: new ones and the backlog take turns."""
        while not self._films.full() and not stopping():
            if self._refused:
                self._films.put_nowait(self._refused.popleft())
                self._wake()
                continue
            ready = self.waiting.next()
            if ready is None:
                return
            self._take(ready)

    def _take(self, ready: Ready) -> None:
        now_s = time.monotonic()
        try:
            data = take(self._root, ready.path, ready.signature, self._limit_bytes)
        except TooLargeError:
            self._films.put_nowait(film_of(ready, b"", Reason.TOO_LARGE, now_s))
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
            self._films.put_nowait(film_of(ready, data, None, now_s))
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
        self._refused.append(film_of(ready, b"", reason, now.monotonic_s))
        self._known.note(path, signature)
