"""The operator socket: a thread of the daemon's that answers local clients.

Layer: operator; makes one Unix socket and serves it.

Nothing that a client does reaches the daemon's loop. One thread serves all connections without
waiting for any: each has a deadline, a user has few, and requests beyond a pace wait their turn.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

from edge.errors import place_of
from edge.operator.connection import Connection
from edge.operator.listener import open_listener

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from edge.operator.requests import Requests

log = logging.getLogger(__name__)

_TURN_S = 0.1
_LINE_S = 2.0
_AGAIN_S = 5.0
_CONNECTIONS = 32
_CONNECTIONS_A_USER = 8
_ACCEPTED_A_TURN = 8
_ANSWERED_A_TURN = 4


class OperatorServer:
    """Serves the socket at ``path``, for members of ``group`` where there is such a group.

    Parameters
    ----------
    make
        Gives what answers requests; called on the thread, which opens its own connection to the
        journal.
    told
        Called with the appliance's condition in one line when it has changed, on the thread; must
        not block.
    """

    def __init__(
        self, path: Path, group: str, make: Callable[[], Requests], told: Callable[[str], None]
    ) -> None:
        self._path = path
        self._group = group
        self._make = make
        self._told = told
        self._line = ""
        self._line_at_s = 0.0
        self._stopping = threading.Event()
        self._connections: dict[int, Connection] = {}
        self._thread = threading.Thread(target=self._run, name="operator", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self, within_s: float) -> None:
        """Serve no more; returns within the time given."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(within_s)

    def _run(self) -> None:
        complaint = ""
        while not self._stopping.is_set():
            why = self._serve_safely()
            if why and why != complaint:
                log.warning("operator socket %s: %s: tried again", self._path, why)
            complaint = why
            self._stopping.wait(_AGAIN_S)

    def _serve_safely(self) -> str:
        """Serve until `stop`, or until something fails; returns what did."""
        try:
            self._serve()
        except OSError as error:
            return error.strerror or "failed"
        except Exception as error:  # noqa: BLE001 - an operator's thread ends no daemon
            return place_of(error)
        return ""

    def _serve(self) -> None:
        with contextlib.ExitStack() as stack:
            requests = self._make()
            stack.callback(requests.close)
            listener = stack.enter_context(open_listener(self._path, self._group))
            stack.callback(self._drop_all)
            selector = stack.enter_context(selectors.DefaultSelector())
            selector.register(listener, selectors.EVENT_READ)
            while not self._stopping.is_set():
                self._turn(selector, listener, requests)

    def _turn(
        self, selector: selectors.BaseSelector, listener: socket.socket, requests: Requests
    ) -> None:
        begun_s = time.monotonic()
        for key, events in selector.select(_TURN_S):
            if key.fileobj is listener:
                self._accept(selector, listener)
            elif isinstance(key.data, Connection):
                key.data.proceed(events)
        asking = [it for it in self._connections.values() if it.request is not None]
        for connection in asking[:_ANSWERED_A_TURN]:
            connection.answer(requests)
        self._settle(selector)
        self._tell_line(requests)
        # An even pace, however many clients there are: the rest of the time is the daemon's.
        if len(asking) > _ANSWERED_A_TURN or len(self._connections) > _CONNECTIONS_A_USER:
            self._stopping.wait(max(0.0, _TURN_S - (time.monotonic() - begun_s)))

    def _accept(self, selector: selectors.BaseSelector, listener: socket.socket) -> None:
        for _ in range(_ACCEPTED_A_TURN):
            try:
                accepted, _address = listener.accept()
            except (BlockingIOError, ConnectionError):
                return
            try:
                connection = Connection(accepted)
            except OSError:
                accepted.close()
                continue
            if self._is_too_many(connection):
                connection.turn_away()
                continue
            self._connections[accepted.fileno()] = connection
            selector.register(accepted, selectors.EVENT_READ, connection)
        # More of them wait: they may wait longer than the daemon's loop.
        self._stopping.wait(_TURN_S)

    def _is_too_many(self, connection: Connection) -> bool:
        uid = connection.peer.uid
        of_user = sum(it.peer.uid == uid for it in self._connections.values())
        return of_user >= _CONNECTIONS_A_USER or len(self._connections) >= _CONNECTIONS

    def _settle(self, selector: selectors.BaseSelector) -> None:
        """Close what has ended or is late, and wait for the right thing on the others."""
        now_s = time.monotonic()
        for number, connection in list(self._connections.items()):
            if connection.ended or now_s > connection.deadline_s:
                selector.unregister(connection.socket)
                del self._connections[number]
                connection.close()
                continue
            selector.modify(connection.socket, connection.events, connection)

    def _drop_all(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        with contextlib.suppress(OSError):
            os.unlink(self._path)  # noqa: PTH108 - beside open_listener

    def _tell_line(self, requests: Requests) -> None:
        now_s = time.monotonic()
        if now_s < self._line_at_s:
            return
        self._line_at_s = now_s + _LINE_S
        try:
            line = requests.line()
        except sqlite3.OperationalError:
            # Locked for a while.
            return
        if line != self._line:
            self._line = line
            self._told(line)
