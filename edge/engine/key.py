"""The device's key, under which engine passports are signed.

Room: engine. Reads, and at the first use writes, one file: ``device.key`` in the data folder, 32
random bytes that only its user can read.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from edge.errors import EngineError
from edge.paths import data_root

if TYPE_CHECKING:
    from pathlib import Path

_LENGTH = 32


def device_key(path: Path | None = None) -> bytes:
    """Return the 32 bytes of the key, made where there is none.

    ``path`` is ``device.key`` in `edge.paths.data_root` unless stated. Raises `EngineError` where
    it cannot be read or made, is damaged, or may be read by others.
    """
    path = path or data_root() / "device.key"
    try:
        return _read(path) if path.exists() else _make(path)
    except OSError as error:
        raise EngineError(
            f"{path}: the device key cannot be read or made: {error.strerror}",
            engine="any",
            mend="run this as the user who built the engines, or set SHARPEDGE_HOME",
        ) from error


def _read(path: Path) -> bytes:
    if path.stat().st_mode & 0o077:
        raise EngineError(
            f"{path}: others may read the device key", engine="any", mend=f"chmod 600 {path}"
        )
    key = path.read_bytes()
    if len(key) != _LENGTH:
        raise EngineError(
            f"{path}: is damaged ({_LENGTH} bytes expected)",
            engine="any",
            mend="put the copy back; or remove it, then: sharpedge export",
        )
    return key


def _make(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_LENGTH))
            file.flush()
            os.fsync(file.fileno())
        # Unlike a rename, a link never replaces the key that somebody else has just made.
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
    return _read(path)
