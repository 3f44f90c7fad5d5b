from __future__ import annotations

import contextlib
import socket
import time

import pytest

from edge.system.notify import Notifier


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """What systemd is sent."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))

        def received():
            found = []
            with contextlib.suppress(BlockingIOError):
                while True:
                    found.append(sock.recv(4096).decode())
            return found

        yield received


def test_a_start_that_takes_long_asks_for_more_time_now_and_then(systemd, monkeypatch):
    now = {"s": 1000.0}
    monkeypatch.setattr(time, "monotonic", lambda: now["s"])
    notifier = Notifier()
    for _ in range(300):
        notifier.busy()
        now["s"] += 0.1
    asked = systemd()
    assert set(asked) == {"EXTEND_TIMEOUT_USEC=60000000"}
    assert len(asked) == 3


def test_without_systemd_nothing_is_sent(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Notifier().busy()
