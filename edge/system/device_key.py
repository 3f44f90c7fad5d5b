"""The device key: 32 secret bytes of this appliance, and the keys that are derived from it.

One file of mode 0600, made at first use, serves pseudonyms, the journal's chain and the engines'
passports, each under a key of its own purpose.

Layer: system; reads or makes one file of mode 0600.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import stat
from typing import TYPE_CHECKING

from edge.errors import ConfigError
from edge.system.files import sync_folder

if TYPE_CHECKING:
    from pathlib import Path

LENGTH = 32
NAME = "device.key"


def device_key(folder: Path, *, expected: bool = False) -> bytes:
    """Load the key of ``folder``, or make it at first use.

    Raises `ConfigError` when the file is damaged, may be read by others, cannot be used, or is
    gone although it is ``expected``: what was written under it would be worth nothing.
    """
    path = folder / NAME
    try:
        if not path.exists():
            if expected:
                raise ConfigError(
                    f"{path}: is gone, and the journal was written under it: put it back, or move "
                    "the journal away to begin a new one"
                )
            _make(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode, key = os.fstat(descriptor).st_mode, file.read(LENGTH + 1)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be used ({error.strerror}); run as the appliance's user"
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError(f"{path}: others may read it; chmod 600 it")
    if len(key) != LENGTH:
        raise ConfigError(f"{path}: is damaged ({LENGTH} bytes expected); put a copy of it back")
    return key


def derived_key(key: bytes, purpose: str) -> bytes:
    """One 32-byte key for each purpose, so that no key serves two."""
    return hmac.digest(key, purpose.encode(), "sha256")


def _make(path: Path) -> None:
    """Write a new key; of two processes that do so at once, one wins."""
    part = path.with_name(f".{NAME}.{secrets.token_hex(8)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(LENGTH))
            file.flush()
            os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(part)
    finally:
        part.unlink()
    sync_folder(path.parent)
