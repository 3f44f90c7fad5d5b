"""Frames over a local stream socket: four bytes of length, then that many bytes.

Layer: system; one socket, no threads. The daemon's end is a `Channel`, which never blocks and
refuses a frame above its limit: the other end parses hostile files and may stop in the middle of a
frame. The child's end uses `send_frame` and `receive_frame`, which block.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

_LENGTH = struct.Struct(">I")
_READ_BYTES = 1 << 18


class FrameError(Exception):
    """The other end sent a frame above the limit."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"a frame of {size} bytes, at most {limit} are accepted")
        self.size = size


class Channel:
    """One end that never blocks.

    Parameters
    ----------
    end
        A connected stream socket; owned by the channel from then on.
    limit_bytes
        Longest frame that is accepted.
    """

    def __init__(self, end: socket.socket, limit_bytes: int) -> None:
        end.setblocking(False)
        self._end = end
        self._limit_bytes = limit_bytes
        self._out: deque[memoryview] = deque()
        self._in = bytearray()

    def fileno(self) -> int:
        """Descriptor to wait on."""
        return self._end.fileno()

    @property
    def wants_write(self) -> bool:
        """Whether bytes wait until the other end reads."""
        return bool(self._out)

    def send(self, data: bytes) -> None:
        """Queue one frame and write what can be written now. Raises `OSError` at a closed end."""
        self._out.append(memoryview(_LENGTH.pack(len(data))))
        self._out.append(memoryview(data))
        self.flush()

    def flush(self) -> None:
        """Write what can be written now. Raises `OSError` at a closed end."""
        while self._out:
            part = self._out[0]
            try:
                sent = self._end.send(part) if len(part) else 0
            except BlockingIOError:
                return
            if sent == len(part):
                self._out.popleft()
            else:
                self._out[0] = part[sent:]

    def receive(self) -> bytes | None:
        """Return the next whole frame, None while there is none.

        Raises `FrameError` for a frame above the limit, `EOFError` at a closed end, `OSError`.
        """
        while (frame := self._whole()) is None:
            try:
                data = self._end.recv(_READ_BYTES)
            except BlockingIOError:
                return None
            if not data:
                raise EOFError
            self._in += data
        return frame

    def _whole(self) -> bytes | None:
        if len(self._in) < _LENGTH.size:
            return None
        (size,) = _LENGTH.unpack_from(self._in)
        if size > self._limit_bytes:
            raise FrameError(size, self._limit_bytes)
        end = _LENGTH.size + size
        if len(self._in) < end:
            return None
        frame = bytes(memoryview(self._in)[_LENGTH.size : end])
        del self._in[:end]
        return frame

    def close(self) -> None:
        """Close the socket; what was not written is dropped."""
        self._out.clear()
        self._end.close()


def send_frame(end: socket.socket, data: bytes) -> None:
    """Write one frame and wait until it is written. Raises `OSError` at a closed end."""
    end.sendall(_LENGTH.pack(len(data)))
    end.sendall(data)


def receive_frame(end: socket.socket) -> bytes:
    """Wait for one frame. Raises `EOFError` at a closed end."""
    (size,) = _LENGTH.unpack(_exactly(end, _LENGTH.size))
    return bytes(_exactly(end, size))


def _exactly(end: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view, got = memoryview(data), 0
    while got < size:
        read = end.recv_into(view[got:])
        if not read:
            raise EOFError
        got += read
    return data
