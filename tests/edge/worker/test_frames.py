"""Frames arrive whole or not at all, however the bytes are cut, and no end blocks the daemon."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.worker.frames import Channel, FrameError, receive_frame, send_frame


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@given(
    frames=st.lists(st.binary(max_size=300), max_size=6),
    cuts=st.lists(st.integers(1, 97), min_size=1, max_size=20),
)
def test_frames_arrive_as_they_were_sent_however_they_are_cut(frames, cuts):
    ours, theirs = socket.socketpair()
    channel = Channel(ours, 300)
    data = b"".join(struct.pack(">I", len(frame)) + frame for frame in frames)
    found, at, turn = [], 0, 0
    while at < len(data):
        size = cuts[turn % len(cuts)]
        theirs.sendall(data[at : at + size])
        at, turn = at + size, turn + 1
        while (frame := channel.receive()) is not None:
            found.append(frame)
    channel.close()
    theirs.close()
    assert found == frames


@pytest.mark.parametrize("sent", [b"", b"\0\0", b"\0\0\0\x05", b"\0\0\0\x05ab"])
def test_half_a_frame_is_no_frame_and_does_not_block(ends, sent):
    ours, theirs = ends
    theirs.sendall(sent)
    assert Channel(ours, 100).receive() is None


@pytest.mark.parametrize("size", [101, 1 << 31, (1 << 32) - 1])
def test_a_frame_above_the_limit_is_refused_by_its_length_alone(ends, size):
    ours, theirs = ends
    theirs.sendall(struct.pack(">I", size))
    with pytest.raises(FrameError, match=str(size)):
        Channel(ours, 100).receive()


def test_what_nobody_reads_is_kept_and_sending_does_not_block(ends):
    ours, theirs = ends
    channel = Channel(ours, 100)
    large = bytes(range(256)) * 40_000
    channel.send(large)
    assert channel.wants_write
    theirs.setblocking(False)
    found = bytearray()
    while channel.wants_write or len(found) < len(large) + 4:
        channel.flush()
        found += theirs.recv(1 << 20)
    assert bytes(found[4:]) == large


def test_a_closed_end_is_told_apart_from_silence(ends):
    ours, theirs = ends
    channel = Channel(ours, 100)
    send_frame(theirs, b"last")
    theirs.close()
    assert channel.receive() == b"last"
    with pytest.raises(EOFError):
        channel.receive()


def test_the_blocking_end_reads_what_the_other_sends(ends):
    ours, theirs = ends
    channel = Channel(ours, 100)
    channel.send(b"")
    channel.send(b"film")
    assert [receive_frame(theirs), receive_frame(theirs)] == [b"", b"film"]
    channel.close()
    with pytest.raises(EOFError):
        receive_frame(theirs)
