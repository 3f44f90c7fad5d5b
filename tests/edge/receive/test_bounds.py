"""Peers that are slow or hostile."""

from __future__ import annotations

import itertools
import socket
import ssl
import struct
import threading
import time
from pathlib import Path

import pytest
from appliance import until
from pydicom.uid import JPEGBaseline8Bit
from pynetdicom.dsutils import encode
from receiving import CAPTURE, RawPeer, associate_rq, film_object, films, send, serving, settled

from edge.receive.bounds import LONGEST_PDU, cut


@pytest.fixture
def it(tmp_path):
    with serving(tmp_path / "inbox", network_s=2, object_s=4, largest_mib=1) as found:
        yield found
        # Whatever a peer did, the next one is served.
        assert send(found.port, film_object("1.9.9")) == [0x0000]


@pytest.fixture
def peer(it):
    made = RawPeer(it.port)
    yield made
    made.close()


def data_set(uid="1.2.3", **more):
    return encode(film_object(uid, **more), False, True)


def test_an_object_in_fragments_is_whole(peer, tmp_path):
    peer.associate().store(b"1.2.3")
    data = data_set()
    peer.data(data[:1000], command=False, last=False)
    peer.data(data[1000:], command=False, last=True)
    assert peer.status() == 0x0000
    (path,) = films(tmp_path / "inbox")
    assert path.read_bytes().endswith(data)


@pytest.mark.parametrize("end", ["abort", "close", "reset"])
def test_a_peer_that_ends_in_mid_object_leaves_no_film(it, peer, tmp_path, end):
    peer.associate().store(b"1.2.3")
    peer.data(data_set()[:1000], command=False, last=False)
    if end == "abort":
        peer.socket.sendall(struct.pack(">BBI", 7, 0, 4) + b"\0\0\0\0")
    if end == "reset":
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    until(lambda: not it.server.active_associations)
    assert films(tmp_path / "inbox") == []


def test_an_object_that_is_too_long_ends_the_association(it, peer, tmp_path):
    peer.associate().store(b"1.2.3")
    peer.send_until_ended(lambda: peer.data(b"\0" * 60_000, command=False, last=False), 0.005)
    until(lambda: not it.server.active_associations)
    assert films(tmp_path / "inbox") == []


def test_a_huge_pdu_is_not_waited_for(peer):
    peer.associate()
    peer.socket.sendall(struct.pack(">BBI", 4, 0, 0xFFFFFFF0))
    assert peer.is_ended()


def test_a_huge_request_for_an_association_is_not_waited_for(peer):
    peer.socket.sendall(struct.pack(">BBI", 1, 0, LONGEST_PDU + 1))
    assert peer.is_ended()


def test_a_pdu_that_comes_byte_by_byte_is_cut(it, peer):
    peer.associate()
    peer.socket.sendall(struct.pack(">BBI", 4, 0, 1000))
    peer.send_until_ended(lambda: peer.socket.sendall(b"\0"), 0.1)
    until(lambda: not it.server.active_associations)


def test_an_object_that_takes_too_long_is_cut(it, peer, tmp_path):
    peer.associate().store(b"1.2.3")
    peer.send_until_ended(lambda: peer.data(b"\0\0", command=False, last=False), 0.2)
    until(lambda: not it.server.active_associations)
    assert films(tmp_path / "inbox") == []


@pytest.mark.parametrize("associated", [False, True])
def test_a_silent_peer_is_cut(it, peer, associated):
    if associated:
        peer.associate()
    # An abort or a release that is asked for; then the end.
    assert peer.pdu()[0] in {None, 5, 7}
    until(lambda: not it.server.active_associations)


def test_requests_ahead_of_the_answers_end_the_association(it, peer, tmp_path, monkeypatch):
    note = it.instances.note
    monkeypatch.setattr(it.instances, "note", lambda *args: (time.sleep(1), note(*args))[1])
    peer.associate()
    numbers = itertools.count()

    def send_one():
        uid = f"1.2.{next(numbers)}"
        peer.store(uid.encode())
        peer.data(data_set(uid), command=False, last=True)

    peer.send_until_ended(send_one, 0.02)
    until(lambda: not it.server.active_associations)
    assert len(films(tmp_path / "inbox")) <= 2


@pytest.mark.parametrize(
    "uid",
    [b"../../../../etc/passwd", b"1.2\0.3", b"1" * 5000, b"", b"/tmp/x", b"\xff\xfe", b"1.2/../3"],
    ids=["dots", "nul", "long", "empty", "absolute", "bytes", "slash"],
)
def test_a_hostile_uid_is_refused_and_nothing_is_written(peer, tmp_path, uid):
    before = sorted(path.name for path in (tmp_path / "inbox").iterdir())
    peer.associate().store(uid)
    peer.data(data_set(), command=False, last=True)
    assert peer.status() in {None, 0xC000, 0xA900}
    assert films(tmp_path / "inbox") == []
    after = sorted(path.name for path in (tmp_path / "inbox").iterdir())
    assert [name for name in after if not name.startswith(".instances")] == [
        name for name in before if not name.startswith(".instances")
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["inbox"]


def test_a_data_set_that_states_another_instance_is_refused(peer, tmp_path):
    peer.associate().store(b"1.2.4")
    peer.data(data_set("1.2.3"), command=False, last=True)
    assert peer.status() == 0xA900
    assert films(tmp_path / "inbox") == []


def test_an_empty_data_set_is_refused(peer, tmp_path):
    peer.associate().store(b"1.2.3")
    peer.data(b"", command=False, last=True)
    assert peer.status() in {None, 0xC000}
    assert films(tmp_path / "inbox") == []


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x02\x01\x03",
        b"\x01\x00\x00\x00\x00\x44" + b"\xff" * 68,
        b"\x07\x00\x00\x00\x00\x04\0\0\0\0",
        b"\x03\x00\x00\x00\x00\x04\0\x01\x01\x01",
        b"\x01",
    ],
    ids=["http", "data", "noise", "abort", "reject", "byte"],
)
def test_what_is_no_request_for_an_association_is_ended(it, peer, sent):
    peer.socket.sendall(sent)
    peer.socket.shutdown(socket.SHUT_WR)
    until(peer.is_ended)
    until(lambda: not it.server.active_associations)


@pytest.mark.parametrize("command", [b"\xff" * 60, b"\0" * 60, b"\0\0\0\1\2\0\0\0\x99\x99"])
def test_a_command_that_is_none_ends_the_association(it, peer, command):
    peer.associate().data(command, command=True, last=True)
    assert peer.is_ended()
    until(lambda: not it.server.active_associations)


def test_connections_beyond_the_room_are_closed_at_once(tmp_path):
    with serving(tmp_path / "inbox", network_s=5, associations=2) as it:
        peers = [RawPeer(it.port) for _ in range(40)]
        until(lambda: sum(map(_is_closed, peers)) >= 40 - (2 * 2 + 8))
        assert len(it.server.active_associations) <= 2 * 2 + 8
        for one in peers:
            one.close()
        until(lambda: not it.server.active_associations)
        assert settled(lambda: not it.server.active_associations, 0.3)
        assert send(it.port, film_object("1.9.9")) == [0x0000]


def test_a_thousand_connections_leave_no_thread_and_no_descriptor(tmp_path):
    with serving(tmp_path / "inbox", network_s=5) as it:
        before = threading.active_count(), _descriptors()
        for number in range(1000):
            peer = RawPeer(it.port)
            if number % 4 == 0:
                peer.socket.sendall(associate_rq("XRAY1", CAPTURE, JPEGBaseline8Bit))
            peer.close()
        until(
            lambda: (threading.active_count(), _descriptors()) <= before, 60,
            what="the end of the threads",
        )  # fmt: skip
        assert send(it.port, film_object("1.9.9")) == [0x0000]


def _descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def _is_closed(peer):
    peer.socket.settimeout(0.01)
    try:
        return peer.socket.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_a_tls_connection_that_is_cut_fails_as_a_connection_does():
    ours, theirs = socket.socketpair()
    context = ssl.create_default_context()
    with (
        theirs,
        context.wrap_socket(
            ours, server_hostname="pacs.example", do_handshake_on_connect=False
        ) as wrapped,
    ):
        cut(wrapped)
        # pynetdicom's thread knows no other error, and would end without closing anything.
        with pytest.raises(OSError, match=r"EOF|pipe|reset"):
            wrapped.do_handshake()
