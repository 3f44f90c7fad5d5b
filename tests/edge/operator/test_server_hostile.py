"""What a hostile client can do to the operator socket, and a fault behind it."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import time

import pytest
from appliance import until
from held_films import raw

from edge.errors import Reason
from edge.journal.store import JournalError
from edge.operator.client import OperatorError
from edge.operator.protocol import REQUEST_BYTES
from edge.operator.requests import Requests


@pytest.mark.parametrize(
    "data",
    [b"\n", b"{}\n", b"null\n", b"[" * 4000 + b"\n", b"\xff\xfe\n", b'{"ask": "explode"}\n',
     b'{"ask": "status", "more": 1}\n', b'{"ask": "picture", "id": "../../etc/passwd"}\n',
     b'{"ask": "picture", "job": -1}\n', b'{"ask": "picture", "job": 99999999999999999999}\n',
     b"GET / HTTP/1.0\r\n\r\n"],
)  # fmt: skip
def test_what_is_no_request_is_answered_with_what_may_be_asked(desk, data):
    desk.ask()
    answer = json.loads(raw(desk, data))
    assert answer["ok"] is False
    assert "release" in answer["error"]


def test_random_bytes_end_nothing(desk):
    desk.ask()
    source = random.Random(7)
    for _ in range(60):
        raw(desk, source.randbytes(source.randrange(1, 9000)))
    assert desk.ask().answer.ok


def test_an_endless_request_is_cut_off(desk):
    desk.ask()
    answer = json.loads(raw(desk, b"x" * (REQUEST_BYTES * 3)))
    assert "longer than" in answer["error"]


def test_a_client_that_sends_nothing_is_closed_at_its_deadline(desk, monkeypatch):
    monkeypatch.setattr("edge.operator.connection._REQUEST_S", 0.3)
    desk.ask()
    assert raw(desk, b'{"ask"', close_after=False) == b""


def test_a_client_that_reads_nothing_is_closed_and_others_are_served(desk, monkeypatch):
    monkeypatch.setattr("edge.operator.connection._ANSWER_S", 0.5)
    job = desk.films.add("a.jpg", reason=Reason.SIDE_NOT_KNOWN, data=bytes(8 << 20))
    desk.ask()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(desk.path))
        sock.sendall(json.dumps({"ask": "picture", "job": job}).encode() + b"\n")
        assert desk.ask().answer.ok
        until(lambda: not desk.server._connections)


def test_one_user_cannot_hold_more_than_a_few_connections(desk):
    desk.ask()
    idle = []
    try:
        for _ in range(30):
            sock = socket.socket(socket.AF_UNIX)
            idle.append(sock)
            sock.settimeout(5)
            until(lambda sock=sock: not sock.connect_ex(str(desk.path)))
        until(lambda: desk.server._connections)
        refused = [it for it in idle if _is_turned_away(it)]
        assert len(refused) == len(idle) - 8
    finally:
        for it in idle:
            it.close()
    until(lambda: not desk.server._connections)
    assert desk.ask().answer.ok


def _is_turned_away(sock):
    sock.settimeout(2.0)
    try:
        return b"too many connections" in sock.recv(4096)
    except TimeoutError:
        return False


def test_a_flood_of_connections_leaves_the_process_its_time(desk):
    desk.ask()
    flood = [sys.executable, "-c", _FLOOD, str(desk.path)]
    clients = [subprocess.Popen(flood, stdout=subprocess.PIPE) for _ in range(4)]
    assert [it.stdout.readline() for it in clients] == [b"begun\n"] * 4
    before = time.process_time()
    time.sleep(1.5)
    spent_s = time.process_time() - before
    for it in clients:
        it.kill()
        it.communicate()
    # A thread that answered each at once would take the whole core.
    assert spent_s < 0.75
    until(lambda: not desk.server._connections)
    assert desk.ask().answer.ok


_FLOOD = """
import socket, sys
print("begun", flush=True)
while True:
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(0.1)
            sock.connect(sys.argv[1])
            sock.sendall(b'{"ask": "status"}\\n')
    except OSError:
        pass
"""


def test_a_journal_that_fails_is_an_answer_and_later_works(desk, monkeypatch):
    desk.films.held()
    desk.ask()

    def fails(_self):
        raise JournalError("it cannot be used; fix: this")

    with monkeypatch.context() as patch:
        patch.setattr(Requests, "_fresh_status", fails)
        with pytest.raises(OperatorError, match="fix: this"):
            desk.ask()
    assert desk.ask().answer.ok


def test_a_fault_in_the_thread_is_survived(desk, monkeypatch, caplog):
    monkeypatch.setattr("edge.operator.server._AGAIN_S", 0.1)
    desk.ask()

    def breaks(_self, _request, _peer):
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(Requests, "answer", breaks)
        with pytest.raises(OperatorError):
            desk.ask()
        until(lambda: "ZeroDivisionError" in caplog.text)
    until(desk.path.exists)
    assert desk.ask().answer.ok
