"""A wire between appliance and broker that can be cut, muted or made to swallow packets."""

from __future__ import annotations

import contextlib
import socket
import threading

CONNACK, PUBLISH, PUBACK, DISCONNECT = 2, 3, 4, 14
UP, DOWN = "up", "down"


class Cut(Exception):  # noqa: N818 - an order to the wire
    """Raised by a rule: both ends are closed at once."""


class Wire:
    """Hands MQTT packets on, one at a time.

    ``rule`` is asked for each with its direction, its type and its bytes; it says whether the
    packet goes on, may raise `Cut`, and may be replaced at any time.
    """

    def __init__(self, target):
        self.target = target
        self.rule = lambda _way, _kind, _packet: True
        self.connections = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._open = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target), 2)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            self.connections += 1
            pair = (near, far)
            self._open.add(pair)
            for source, sink, way in ((near, far, UP), (far, near, DOWN)):
                threading.Thread(
                    target=self._carry, args=(source, sink, way, pair), daemon=True
                ).start()

    def _carry(self, source, sink, way, pair):
        with contextlib.suppress(OSError, Cut, EOFError), source.makefile("rb") as stream:
            while True:
                packet = _packet(stream)
                if self.rule(way, packet[0] >> 4, packet):
                    sink.sendall(packet)
        self._close(pair)

    def _close(self, pair):
        self._open.discard(pair)
        for sock in pair:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def cut(self):
        """End every connection now."""
        for pair in list(self._open):
            self._close(pair)

    def close(self):
        self._server.close()
        self.cut()


def _packet(stream):
    head = stream.read(1)
    if not head:
        raise EOFError
    length = shift = 0
    while True:
        byte = stream.read(1)
        head += byte
        length |= (byte[0] & 0x7F) << shift
        shift += 7
        if not byte[0] & 0x80:
            break
    body = stream.read(length)
    if len(body) < length:
        raise EOFError
    return head + body


def topic_of(packet):
    """Topic of a PUBLISH."""
    at = 1
    while packet[at] & 0x80:
        at += 1
    length = int.from_bytes(packet[at + 1 : at + 3], "big")
    return packet[at + 3 : at + 3 + length].decode()
