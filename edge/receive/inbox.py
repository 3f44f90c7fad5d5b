r"""The inbox: where received films lie from their acknowledgement to their end state.

Layer: receive; writes, lists and removes files of one folder. Names are a random UUID of ours and
state nothing but whether the instance is in conflict with an earlier one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from typing import TYPE_CHECKING

from edge.errors import ConfigError
from edge.system.files import whole_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FOLDER = "inbox"
"""Name of the inbox in the state folder."""
_FILM, _IN_CONFLICT = ".dcm", ".conflict.dcm"
_LOCK = ".lock"
_MODE = 0o640


def is_in_conflict(name: bytes) -> bool:
    """Whether a name was given to an instance whose UID came before with other bytes."""
    return name.endswith(_IN_CONFLICT.encode())


def receiver_runs(folder: Path) -> bool:
    """Whether a receiver holds the lock of the inbox ``folder``."""
    try:
        lock = os.open(folder / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


class FullError(Exception):
    """There is less free disk than the site wants to keep."""


class Inbox:
    """The receiver's side of the inbox.

    Holds its lock until the process ends: part files of another receiver must not be removed.
    Raises `ConfigError` where the folder cannot be used or another receiver has it.
    """

    def __init__(self, folder: Path, min_free_mib: int) -> None:
        self._folder = folder
        self._min_free_bytes = min_free_mib << 20
        try:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            self._lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(
                f"{folder}: cannot be used ({error.strerror}); fix: let the receiver write there"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise ConfigError(
                f"{folder}: is in use by another receiver; fix: stop that one first"
            ) from error

    def close(self) -> None:
        """Give the lock back."""
        os.close(self._lock)

    def clean(self) -> int:
        """Remove what a receiver that was ended left unfinished; returns how many files."""
        parts = [it for it in self._folder.glob(".*.part") if it.is_file()]
        for part in parts:
            part.unlink(missing_ok=True)
        return len(parts)

    def put(self, pieces: Iterable[bytes], *, in_conflict: bool) -> str:
        """Write a film durably under a new name, which is returned.

        Raises `FullError`, or `OSError` where it cannot be written; nothing is left then.
        """
        if shutil.disk_usage(self._folder).free < self._min_free_bytes:
            raise FullError
        name = f"{uuid.uuid4()}{_IN_CONFLICT if in_conflict else _FILM}"
        with whole_file(self._folder / name, durable=True, mode=_MODE) as file:
            for piece in pieces:
                file.write(piece)
        return name
