"""Who is at the other end of a Unix socket, and the name that goes into the journal.

Layer: operator; asks the kernel and the machine's users.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
from typing import NamedTuple

_CREDENTIALS = struct.Struct("3i")


class Peer(NamedTuple):
    """A process at the other end; ``name`` is its user's."""

    uid: int
    name: str


def peer_of(connection: socket.socket) -> Peer:
    """The user at the other end, as the kernel knows it. Raises `OSError`."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _pid, uid, _gid = _CREDENTIALS.unpack(found)
    return Peer(uid, user_name(uid))


def this_user() -> str:
    """The user of this process."""
    return user_name(os.getuid())


def user_name(uid: int) -> str:
    """A user's name, or its number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
