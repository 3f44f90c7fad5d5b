"""systemd's notification protocol: a few datagrams, no dependency.

Layer: system; sends to the socket of ``NOTIFY_SOCKET``.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time

_EXTENSION_S = 60
_EXTEND_EVERY_S = 10.0


class Notifier:
    """Sends the state of the service to systemd; does nothing where there is no systemd.

    Only for the main process: children must not inherit ``NOTIFY_SOCKET``.
    """

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = os.environ.get("WATCHDOG_USEC", "") if mine else ""
        self.watchdog_s = int(usec) / 1e6 if usec.isdigit() else None
        """Seconds within which a ping is expected; None where nobody expects one."""
        self._extend_at_s = 0.0

    def busy(self) -> None:
        """Ask for more time to start; may be called often, asks now and then."""
        now_s = time.monotonic()
        if now_s >= self._extend_at_s:
            self._extend_at_s = now_s + _EXTEND_EVERY_S
            self.send(EXTEND_TIMEOUT_USEC=f"{_EXTENSION_S}000000")

    def send(self, **fields: str) -> None:
        """Send fields, e.g. ``send(READY="1", STATUS="waiting for films")``."""
        if not self._address:
            return
        text = "\n".join(f"{key}={value}" for key, value in fields.items())
        # A notification that is lost must never stop the work.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.connect(self._address)
            sock.send(text.encode())
