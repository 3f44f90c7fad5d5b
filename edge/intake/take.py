"""Looks at a file and reads its bytes; refuses what is no regular file.

Layer: intake; opens files below the watched folder without following links.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import signal
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from edge.intake.beneath import place_beneath
from edge.intake.complete import Structure, structure_of, tail_of
from edge.intake.settle import Look
from edge.model import Signature

if TYPE_CHECKING:
    from collections.abc import Iterator


_F_SETSIG = 10
"""Linux; the module `fcntl` lacks it."""


class NotRegularError(Exception):
    """A link, pipe, socket, device or folder lies where a film was expected."""


class ChangedError(Exception):
    """The file is no longer the one that was looked at: it must settle again."""


class TooLargeError(Exception):
    """The file has more bytes than the limit; it was not read."""


def signature_of(found: os.stat_result) -> Signature:
    """Identity of a file's contents as `os.stat` gives it."""
    return Signature(
        found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    )


@contextmanager
def opened(root: bytes, path: bytes) -> Iterator[tuple[BinaryIO, os.stat_result]]:
    """Open what lies below ``root``; follow no link and wait for no pipe's other end.

    Raises `NotRegularError`, or `OSError` (gone, denied, busy, stale).
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with place_beneath(root, path) as place:
        found = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode):
            raise NotRegularError
        descriptor = os.open(place.name, flags, dir_fd=place.folder)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise NotRegularError
        yield file, found


def has_writer(file: BinaryIO) -> bool:
    """Whether some process has the file open for writing, as far as the kernel knows.

    A lease for reading is refused then. It is asked for and given back at once; where we may not
    ask (another user's file, a share) the answer is no.
    """
    try:
        # The signal that reports an opener in between: one that is ignored by default.
        fcntl.fcntl(file, _F_SETSIG, signal.SIGURG)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    return False


def look_at(root: bytes, path: bytes) -> Look:
    """Signature, structure, tail digest and writer of a file below ``root``.

    Raises `NotRegularError`, or `OSError` (gone, denied, busy, stale).
    """
    with opened(root, path) as (file, found):
        structure = structure_of(file, found.st_size) if found.st_size else Structure.INCOMPLETE
        tail = hashlib.blake2b(tail_of(file, found.st_size), digest_size=16).digest()
        return Look(signature_of(found), structure, tail, has_writer(file))


def take(root: bytes, path: bytes, signature: Signature, limit_bytes: int) -> bytes:
    """Read a whole film below ``root`` that has settled.

    Raises
    ------
    ChangedError
        The file's signature differs from ``signature`` before or after reading.
    TooLargeError, NotRegularError, OSError
        As their names say.
    """
    with opened(root, path) as (file, found):
        if signature_of(found) != signature:
            raise ChangedError
        if found.st_size > limit_bytes:
            raise TooLargeError
        data = file.read(found.st_size + 1)
        after = os.fstat(file.fileno())
    if signature_of(after) != signature or len(data) != signature.size:
        raise ChangedError
    return data
