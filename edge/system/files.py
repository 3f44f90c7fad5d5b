"""Writes files that are whole or absent, also after a crash or a power cut.

Layer: system; writes the file that it is given and a hidden file beside it.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def whole_file(path: Path, *, durable: bool, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Open a file for writing that takes the name ``path`` when the block ends.

    Until then, and if the block raises, the former file stays as it is. The data lies in a hidden
    file of the same folder, named after this process.

    Parameters
    ----------
    path : Path
        In a folder that exists.
    durable : bool
        Flush data and name to the disk before returning. Without it a power cut may leave the
        former file, or none.
    mode : int
        Permissions of the new file, less the umask.

    Raises
    ------
    OSError
        Where the file cannot be written or take its name; the hidden file is removed.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(descriptor)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def write_whole(path: Path, data: bytes, *, durable: bool, mode: int = 0o666) -> None:
    """Write ``data`` to ``path`` by `whole_file`."""
    with whole_file(path, durable=durable, mode=mode) as file:
        file.write(data)


def sync_folder(folder: Path) -> None:
    """Flush the names of a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def suffix_of(path: bytes) -> str:
    """Give a harmless file name ending: dot and up to five letters or digits, else empty."""
    found = re.search(rb"\.[A-Za-z0-9]{1,5}$", path)
    return found.group().decode().lower() if found else ""
