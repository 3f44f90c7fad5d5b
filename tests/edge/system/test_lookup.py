"""A connection by name has a limit, whatever the name service does."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from edge.system import lookup
from edge.system.lookup import NameLookupError, connect, look_up


def test_the_first_address_that_answers_is_connected_to(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        plain = socket.getaddrinfo

        def two(_host, at, **more):
            # Nothing listens at the first.
            return plain("127.0.0.2", at, **more) + plain("127.0.0.1", at, **more)

        monkeypatch.setattr(socket, "getaddrinfo", two)
        with connect("pacs.example", port, 5.0) as made:
            assert made.getpeername() == ("127.0.0.1", port)
            assert made.gettimeout() == 5.0


def test_a_lookup_that_hangs_is_given_up_in_time_and_not_begun_twice(monkeypatch):
    over, asked, ended = threading.Event(), [], threading.Event()

    def hangs(host, *_, **__):
        asked.append(host)
        over.wait(20)
        ended.set()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1))]

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    try:
        for _ in range(2):
            began_s = time.monotonic()
            with pytest.raises(NameLookupError, match="no answer of the name service within"):
                look_up("pacs.example", 1, 0.1)
            assert time.monotonic() - began_s < 15
        assert asked == ["pacs.example"]
    finally:
        over.set()
    assert ended.wait(5)
    # What it found in the end is taken, and the next one asks again.
    assert look_up("pacs.example", 1, 5.0)[0][4] == ("127.0.0.1", 1)
    assert look_up("pacs.example", 1, 5.0)[0][4] == ("127.0.0.1", 1)
    assert len(asked) == 2
    assert lookup._under_way == {}


def test_an_answer_that_came_too_late_is_not_kept_for_long(monkeypatch):
    over, asked = threading.Event(), []

    def hangs(host, *_, **__):
        asked.append(host)
        over.wait(20)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", len(asked)))]

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    with pytest.raises(NameLookupError):
        look_up("late.example", 1, 0.01)
    over.set()
    late = lookup._under_way["late.example", 1]
    assert late.result(5.0)[0][4] == ("127.0.0.1", 1)
    monkeypatch.setattr(lookup, "_KEPT_S", -1.0)
    assert look_up("late.example", 1, 5.0)[0][4] == ("127.0.0.1", 2)


@pytest.mark.parametrize("name", ["a" * 70 + ".example", "a..b"])
def test_what_is_no_name_is_told(name):
    with pytest.raises(NameLookupError) as told:
        look_up(name, 104, 20.0)
    assert told.value.strerror
    assert lookup._under_way == {}
