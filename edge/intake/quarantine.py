"""Intake: our own copies of films that were not scored, and what becomes of the scanner's file.

Names given here hold the job's number and nothing of the scanner's file name, because file
names carry patients' names.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from typing import TYPE_CHECKING

from edge.intake.take import ChangedError, NotRegularError, TooLargeError, signature_of, take
from edge.model import StrEnum

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edge.intake.settle import Signature


class After(StrEnum):
    """What happens to the scanner's own file once it has reached its end state."""

    LEAVE = "leave"
    MOVE = "move"
    DELETE = "delete"


def suffix_of(path: bytes) -> str:
    """Give a harmless file name ending: dot and up to five letters or digits, else empty."""
    found = re.search(rb"\.[A-Za-z0-9]{1,5}$", path)
    return found.group().decode().lower() if found else ""


def write_durably(target: Path, data: bytes, mode: int = 0o640) -> None:
    """Write a file that is either whole or absent after a power cut; an old one is replaced."""
    part = target.with_name(f".{target.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    part.replace(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make a folder's names durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep_copy(folder: Path, job: int, path: bytes, reason: str, data: bytes) -> Path:
    """Put a copy of a held or rejected film into our own quarantine; returns where.

    Repeating it for the same job writes the same file again.
    """
    target = folder / f"{job:08d}-{reason}{suffix_of(path)}"
    write_durably(target, data)
    return target


def job_of(name: str) -> int | None:
    """Job whose film a file of our own folders is, told by its name; None for any other."""
    found = re.match(r"(\d{8})(?=[-.]|$)", name)
    return None if found is None else int(found[1])


def kept_film(
    places: Iterable[Path], job: int, path: bytes, sha256: str, limit_bytes: int
) -> bytes | None:
    """Find the bytes of a film that was dealt with before.

    Looks for the job's copy in our own folders, then at the scanner's file. None where neither
    holds the bytes that ``sha256`` tells of.
    """
    copies = [
        os.fsencode(copy)
        for place in places
        for copy in sorted(place.glob(f"{job:08d}[-.]*")) + sorted(place.glob(f"{job:08d}"))
    ]
    for candidate in (*copies, path):
        try:
            data = take(candidate, signature_of(os.lstat(candidate)), limit_bytes)
        except (OSError, ChangedError, NotRegularError, TooLargeError):
            continue
        if hashlib.sha256(data).hexdigest() == sha256:
            return data
    return None


def part_with(path: bytes, signature: Signature, after: After, archive: Path, job: int) -> str:
    """Move or delete the scanner's file as the site asks; returns what became of it.

    One of ``left``, ``gone``, ``changed`` (not ours to touch), ``moved``, ``deleted``,
    ``read_only``. Repeating it after a crash is harmless.
    """
    if after is After.LEAVE:
        return "left"
    try:
        if signature_of(os.lstat(path)) != signature:
            return "changed"
        if after is After.DELETE:
            os.unlink(path)  # noqa: PTH108 - names that are not UTF-8
            return "deleted"
        target = archive / f"{job:08d}{suffix_of(path)}"
        try:
            os.rename(path, target)  # noqa: PTH104 - as above
            # Before it is written down: a power cut must not take back what the journal tells.
            sync_folder(archive)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _move_across(path, target)
    except FileNotFoundError:
        return "gone"
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            return "read_only"
        raise
    return "moved"


def _move_across(path: bytes, target: Path) -> None:
    part = target.with_name(f".{target.name}.part")
    shutil.copyfile(path, part, follow_symlinks=False)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)
    sync_folder(target.parent)
    os.unlink(path)  # noqa: PTH108 - names that are not UTF-8
