"""The appliance as the page sees it: over its operator socket and nothing else.

Layer: sharpedge; asks at the socket, keeps the latest previews in memory.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from edge.operator.client import OperatorError, ask
from edge.operator.preview import PreviewError, preview
from edge.operator.protocol import Ask, Request

if TYPE_CHECKING:
    from pathlib import Path

    from edge.anatomy import Limb
    from edge.model import Laterality
    from edge.operator.protocol import Status

_PREVIEWS = 48
_AT_ONCE = 2
_MINUTE_S = 60


class Box:
    """One appliance; every method but `pulse_of` raises `OperatorError`, from any thread."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._previews: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._drawing = threading.Semaphore(_AT_ONCE)

    def status(self) -> Status:
        """How the appliance is."""
        found = ask(self._socket, Request(ask=Ask.STATUS)).answer.status
        assert found is not None  # noqa: S101 - the answer to this request holds one
        return found

    def order(
        self,
        what: Ask,
        job: int,
        person: str,
        *,
        limb: Limb | None = None,
        side: Laterality | None = None,
    ) -> int | None:
        """Carry out a person's decision about a film; returns the number of its new job, if any."""
        request = Request(ask=what, film=str(job), person=person, limb=limb, side=side)
        return ask(self._socket, request).answer.new_job

    def result_picture(self, result_id: str) -> bytes:
        """A result on its film, unmasked, where that is kept; else the picture that was sent."""
        try:
            return self._drawn(Request(ask=Ask.FILM, id=result_id))
        except OperatorError:
            return ask(self._socket, Request(ask=Ask.PICTURE, id=result_id)).data

    def film_picture(self, job: int) -> bytes:
        """A held film as a JPEG that every browser shows, with the joints that were found."""
        return self._drawn(Request(ask=Ask.PICTURE, job=job))

    def _drawn(self, request: Request) -> bytes:
        """The film that is asked for, with the joints that were found on it."""
        reply = ask(self._socket, request)
        film, limbs, caption = reply.data, reply.answer.limbs, reply.answer.caption
        key = hashlib.sha256(film + repr((limbs, caption)).encode()).hexdigest()
        with self._lock:
            if key in self._previews:
                self._previews.move_to_end(key)
                return self._previews[key]
        with self._drawing:
            try:
                drawn = preview(film, limbs, caption=caption)
            except PreviewError as error:
                raise OperatorError(f"this film cannot be shown: {error}") from error
        with self._lock:
            self._previews[key] = drawn
            while len(self._previews) > _PREVIEWS:
                self._previews.popitem(last=False)
        return drawn


def pulse_of(status: Status) -> str:
    """Text that changes when the page would look different, and each minute."""
    held = [(it.job, it.reason) for it in status.held]
    results = [(it.id, it.delivery, it.has_picture) for it in status.results]
    rejected = [it.job for it in status.rejected]
    alerts = [] if status.live is None else [it.detail for it in status.live.alerts]
    shown = (held, results, rejected, alerts, status.line, status.state, status.decisions,
             int(status.at // _MINUTE_S))  # fmt: skip
    return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]
