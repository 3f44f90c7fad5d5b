"""Answers C-STORE requests: an instance is acknowledged once its film is durably in the inbox.

Layer: receive, on the threads of the associations; writes through `Inbox` and `Instances`.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import Counter, deque
from enum import IntEnum
from typing import TYPE_CHECKING

from pynetdicom.dimse_primitives import C_STORE

from edge.errors import place_of
from edge.receive.inbox import FullError
from edge.receive.part10 import Instance, file_header, is_uid, stated_instance

if TYPE_CHECKING:
    from pynetdicom.events import Event

    from edge.receive.inbox import Inbox
    from edge.receive.instances import Instances

log = logging.getLogger(__name__)

_MINUTE_S = 60.0


class Status(IntEnum):
    """DICOM status of an answer."""

    STORED = 0x0000
    OUT_OF_RESOURCES = 0xA700
    """The same instance may be sent again later."""
    MISMATCH = 0xA900
    NOT_UNDERSTOOD = 0xC000


class Rate:
    """At most so many in any minute; any thread may ask."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._passed: deque[float] = deque()
        self._turn = threading.Lock()

    def allows(self, now_s: float) -> bool:
        """Whether one more may pass at the monotonic time ``now_s``; counts it then."""
        with self._turn:
            while self._passed and now_s - self._passed[0] >= _MINUTE_S:
                self._passed.popleft()
            if len(self._passed) >= self._per_minute:
                return False
            self._passed.append(now_s)
        return True


class Store:
    """The handler of C-STORE requests. ``answers`` counts them by status."""

    def __init__(self, inbox: Inbox, instances: Instances, rate: Rate) -> None:
        self._inbox = inbox
        self._instances = instances
        self._rate = rate
        self.answers: Counter[Status] = Counter()

    def __call__(self, event: Event) -> int:
        """Store the instance of a request; returns the status of the answer."""
        status = self._answer(event)
        self.answers[status] += 1
        return int(status)

    def _answer(self, event: Event) -> Status:
        request = event.request
        assert isinstance(request, C_STORE)  # noqa: S101 - the handler is bound to its event
        syntax = str(event.context.transfer_syntax)
        named = Instance(
            str(request.AffectedSOPClassUID or "").strip("\0 "),
            str(request.AffectedSOPInstanceUID or "").strip("\0 "),
        )
        if request.DataSet is None or not (is_uid(named.uid) and is_uid(named.sop_class)):
            return _refused(Status.NOT_UNDERSTOOD, "it has no data set, or UIDs that are none")
        data = event.encoded_dataset(include_meta=False)
        if not data:
            return _refused(Status.NOT_UNDERSTOOD, "its data set is empty")
        if named.sop_class != str(event.context.abstract_syntax):
            return _refused(Status.MISMATCH, "its class is not the one of its context")
        stated = stated_instance(data, syntax)
        if stated.uid not in {"", named.uid} or stated.sop_class not in {"", named.sop_class}:
            return _refused(Status.MISMATCH, "its data set states another class or instance")
        if not self._rate.allows(time.monotonic()):
            return _refused(
                Status.OUT_OF_RESOURCES,
                "more came in this minute than dicom.films_per_minute",
            )
        return self._stored(named, syntax, data)

    def _stored(self, named: Instance, syntax: str, data: bytes) -> Status:
        try:
            header = file_header(named, syntax)
            in_conflict = self._instances.note(named.uid, data)
            name = self._inbox.put((header, data), in_conflict=in_conflict)
        except FullError:
            return _refused(
                Status.OUT_OF_RESOURCES,
                "less disk is free than dicom.min_free_mib; fix: free the disk of the state folder",
            )
        except OSError as error:
            return _refused(Status.OUT_OF_RESOURCES, f"the inbox takes no film ({error.strerror})")
        except sqlite3.Error as error:
            what = f"its table of instances cannot be written ({place_of(error)})"
            return _refused(Status.OUT_OF_RESOURCES, what)
        except Exception as error:  # noqa: BLE001 - its text may hold the peer's data
            return _refused(Status.NOT_UNDERSTOOD, f"a fault: {place_of(error)}")
        conflict = ", in conflict with an earlier one of its UID" if in_conflict else ""
        log.info("stored %s, %d bytes%s", name, len(header) + len(data), conflict)
        return Status.STORED


def _refused(status: Status, why: str) -> Status:
    log.warning("refused an instance with status %04X: %s", status, why)
    return status
