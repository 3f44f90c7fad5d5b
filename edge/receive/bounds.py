"""Bounds on what one peer may cost: length and time of PDUs and objects, and of connections.

pynetdicom reads a PDU of any announced length, an object of any length, and requests ahead of the
answers; a peer that is slow or hostile would hold memory and threads.

Layer: receive; wraps the sockets of pynetdicom's associations.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.transport import ThreadedAssociationServer

from edge.errors import place_of

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.events import Event
    from pynetdicom.transport import AssociationSocket

log = logging.getLogger(__name__)

LONGEST_PDU = 1 << 20
"""Bytes; a P-DATA PDU of a peer that keeps to the negotiated length is a sixteenth of it."""
_PIECE = 1 << 16


class PduReader:
    """Reads PDUs from one peer: none longer than `LONGEST_PDU`, none for longer than a limit.

    ``setting`` is the limit's key in the configuration, for the log.
    """

    def __init__(
        self, wrapped: AssociationSocket, limit_s: float, setting: str = "dicom.network_s"
    ) -> None:
        self._wrapped = wrapped
        self._limit_s = limit_s
        self._setting = setting

    def __call__(self, count: int) -> bytearray:
        """Read ``count`` bytes, fewer where the peer closes. Raises `OSError`, `TimeoutError`."""
        found = self._wrapped.socket
        if found is None:
            raise ConnectionError
        if count > LONGEST_PDU:
            log.warning("a connection is cut: a PDU of %d bytes was announced", count)
            cut(found)
            raise ConnectionError
        end_s = time.monotonic() + self._limit_s
        data = bytearray()
        while len(data) < count:
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                log.warning("a connection is cut: a PDU took longer than %s", self._setting)
                cut(found)
                raise TimeoutError
            found.settimeout(left_s)
            piece = found.recv(min(_PIECE, count - len(data)))
            if not piece:
                break
            data += piece
        found.settimeout(self._limit_s)
        return data


def cut(connection: socket.socket) -> None:
    """End a connection; whoever waits on it goes on."""
    with contextlib.suppress(OSError):
        # Not that of an SSLSocket, which takes the TLS object away from a handshake in work.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


@dataclass
class _Progress:
    """How far the message in work of one association is.

    ``unanswered`` counts C-STORE requests. ``connection`` is closed once the association has ended.
    """

    size: int = 0
    began_s: float = 0.0
    unanswered: int = 0
    ended: bool = False
    connection: socket.socket | None = None


class Bounds:
    """Handlers that hold each association to the limits.

    Parameters
    ----------
    largest_bytes
        Longest object.
    network_s, object_s
        Time for one PDU, and for one whole object.
    """

    def __init__(self, largest_bytes: int, network_s: float, object_s: float) -> None:
        self._largest_bytes = largest_bytes
        self._network_s = network_s
        self._object_s = object_s
        self._turn = threading.Lock()
        self._progress: dict[Association, _Progress] = {}

    def on_open(self, event: Event) -> None:
        """Bound what is read of a new connection."""
        wrapped = event.assoc.dul.socket
        if wrapped is not None:
            # pynetdicom makes its socket itself and offers no place for another class.
            wrapped.recv = PduReader(wrapped, self._network_s)  # type: ignore[assignment]
            self._of(event.assoc).connection = wrapped.socket

    def on_pdu(self, event: Event) -> None:
        """Count what a peer has sent of its message; end the association where it is too much."""
        if not isinstance(event.pdu, P_DATA_TF):
            return
        it = self._of(event.assoc)
        now_s = time.monotonic()
        it.began_s = it.began_s or now_s
        it.size += len(event.pdu)
        if it.size > self._largest_bytes:
            self._end(event, "an object is longer than dicom.largest_mib")
        elif now_s - it.began_s > self._object_s:
            self._end(event, "an object took longer than dicom.object_s")
        elif it.unanswered > 1:
            self._end(event, "requests came before the earlier ones were answered")

    def on_message(self, event: Event) -> None:
        """Count from zero: a message is whole."""
        it = self._of(event.assoc)
        it.size, it.began_s = 0, 0.0
        if isinstance(event.message, C_STORE_RQ):
            with self._turn:
                it.unanswered += 1

    def answered(self, event: Event) -> None:
        """Note that a C-STORE request is about to be answered."""
        it = self._of(event.assoc)
        with self._turn:
            it.unanswered -= 1

    def close_ended(self) -> None:
        """Close the connections of associations that have ended: pynetdicom leaves some open."""
        with self._turn:
            ended = [it for it in self._progress if _has_ended(it)]
            gone = [self._progress.pop(it).connection for it in ended]
        for connection in gone:
            if connection is not None:
                connection.close()

    def _of(self, association: Association) -> _Progress:
        with self._turn:
            return self._progress.setdefault(association, _Progress())

    def _end(self, event: Event, why: str) -> None:
        it = self._of(event.assoc)
        if not it.ended:
            it.ended = True
            log.warning("an association is aborted: %s", why)
            event.assoc.abort()


def _has_ended(association: Association) -> bool:
    """Whether the threads of an association that was started have ended."""
    started = association.ident is not None
    return started and not association.is_alive() and not association.dul.is_alive()


class BoundedServer(ThreadedAssociationServer):
    """Accepts connections: no more than it can serve, and the TLS handshake on a thread of its own.

    A connection that is too many is closed at once. Those between this limit and the associations
    that are allowed are rejected in the protocol, which peers understand as "later".
    """

    bounds: Bounds
    daemon_threads = True
    request_queue_size = 128
    _entering = 0
    _turn = threading.Lock()

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection; its handshake comes later, and nothing waits for it."""
        assert self.socket is not None  # noqa: S101 - it is bound
        client, address = self.socket.accept()
        client.settimeout(self.ae.network_timeout)
        if self.ssl_context is not None:
            client = self.ssl_context.wrap_socket(
                client, server_side=True, do_handshake_on_connect=False
            )
        return client, address

    def verify_request(self, request: object, client_address: object) -> bool:  # noqa: ARG002
        """Whether there is room for a connection."""
        with self._turn:
            most = 2 * self.ae.maximum_associations + 8
            room = self._entering + len(self.active_associations) < most
            self._entering += room
        return room

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """Shake hands and start the association."""
        try:
            if isinstance(request, ssl.SSLSocket):
                request.do_handshake()
            self.finish_request(request, client_address)
        except Exception as error:  # noqa: BLE001 - a peer must not end the server
            log.warning("a connection failed: %s", place_of(error))
            self.shutdown_request(request)
        finally:
            with self._turn:
                self._entering -= 1

    def service_actions(self) -> None:
        """Do what is due between connections."""
        super().service_actions()
        self.bounds.close_ended()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing more: pynetdicom would print a traceback."""
