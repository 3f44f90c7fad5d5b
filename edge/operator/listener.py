"""Makes the operator socket in the file system.

Layer: operator; makes one Unix socket with group and mode.
"""

from __future__ import annotations

import contextlib
import grp
import logging
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

_BACKLOG = 16
_MODE = 0o660


@contextlib.contextmanager
def short_name(path: Path) -> Iterator[str]:
    """A name for a socket's path that the kernel takes, however long the path (107 bytes else)."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


@contextlib.contextmanager
def open_listener(path: Path, group: str) -> Iterator[socket.socket]:
    """Listen on a new socket at ``path`` that ``group`` may use, and nobody else but its owner.

    One that an earlier run left is replaced. Raises `OSError`.
    """
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as listener:
        listener.setblocking(False)
        with short_name(path) as name:
            path.unlink(missing_ok=True)
            # Nobody connects before its group and mode are set.
            listener.bind(name)
        _set_group(path, group)
        path.chmod(_MODE)
        listener.listen(_BACKLOG)
        log.info("operator socket: %s", path)
        yield listener


def _set_group(path: Path, group: str) -> None:
    """Give the socket to the group, unless its folder has done so."""
    try:
        number = grp.getgrnam(group).gr_gid
    except KeyError:
        return
    if path.stat().st_gid == number:
        return
    try:
        os.chown(path, -1, number)
    except OSError as error:
        log.warning(
            "operator socket: cannot be given to the group %s (%s): only this user may use it",
            group,
            error.strerror,
        )
