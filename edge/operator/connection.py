"""One client of the operator socket, without ever waiting for it.

Layer: operator; reads and writes one connection.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import time
from typing import TYPE_CHECKING

from pydantic import ValidationError

from edge.errors import fields_of
from edge.operator.peers import peer_of
from edge.operator.protocol import REQUEST_BYTES, Ask, Request
from edge.operator.requests import refusal

if TYPE_CHECKING:
    import socket

    from edge.operator.requests import Reply, Requests

_REQUEST_S = 5.0
_ANSWER_S = 20.0
_PIECE_BYTES = 1 << 18
_BUSY = "too many connections; fix: try again in a moment"


class Connection:
    """A connection; ``request`` is what waits to be answered. Raises `OSError`."""

    def __init__(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        self.socket = accepted
        self.peer = peer_of(accepted)
        self.deadline_s = time.monotonic() + _REQUEST_S
        self.request: Request | None = None
        self.ended = False
        self._read = bytearray()
        self._answered = False
        self._unsent = memoryview(b"")
        self._file: int | None = None

    @property
    def events(self) -> int:
        """What the selector waits for."""
        return selectors.EVENT_WRITE if self._answered else selectors.EVENT_READ

    def proceed(self, events: int) -> None:
        """Read or write what is possible now."""
        try:
            if events & selectors.EVENT_READ and not self._answered:
                self._receive()
            elif events & selectors.EVENT_WRITE:
                self._send()
        except BlockingIOError:
            return
        except OSError:
            self.ended = True

    def answer(self, requests: Requests) -> None:
        """Answer the request that waits."""
        assert self.request is not None  # noqa: S101 - the server asks before
        self._begin_answer(requests.answer(self.request, self.peer))
        self.request = None

    def turn_away(self) -> None:
        """Say that there are too many, as far as that is possible at once, and close."""
        self._begin_answer(refusal(_BUSY))
        self.proceed(selectors.EVENT_WRITE)
        self.close()

    def close(self) -> None:
        """Close connection and file."""
        self.socket.close()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _receive(self) -> None:
        if self.request is not None:
            # One request a connection; a client may have closed its side after it.
            return
        piece = self.socket.recv(REQUEST_BYTES)
        self._read += piece
        line, end, _ = bytes(self._read).partition(b"\n")
        if len(line) > REQUEST_BYTES:
            self._begin_answer(refusal(f"a request is longer than {REQUEST_BYTES} bytes"))
        elif end:
            self._parse(line)
        elif not piece:
            self.ended = True

    def _parse(self, line: bytes) -> None:
        try:
            self.request = Request.model_validate_json(line)
        except ValidationError as error:
            asks = ", ".join(Ask)
            wrong = fields_of(error)
            self._begin_answer(
                refusal(f'not a request ({wrong}): send {{"ask": ...}} with one of {asks}')
            )

    def _begin_answer(self, reply: Reply) -> None:
        text = reply.answer.model_dump_json().encode() + b"\n"
        self._unsent, self._file = memoryview(text), reply.descriptor
        self._answered = True
        self.deadline_s = time.monotonic() + _ANSWER_S

    def _send(self) -> None:
        if not self._unsent and self._file is not None:
            self._unsent = memoryview(os.read(self._file, _PIECE_BYTES))
        if not self._unsent:
            with contextlib.suppress(OSError):
                self.socket.shutdown(1)
            self.ended = True
            return
        self._unsent = self._unsent[self.socket.send(self._unsent) :]
