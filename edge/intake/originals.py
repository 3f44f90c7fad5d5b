"""Intake: moves or deletes the scanner's own file once its film has reached its end.

Layer: intake; touches the drop folder and the archive. A film of the same name may arrive at any
moment, so a file is first renamed to a name of ours, then compared with the one that was scored,
and put back where it is another one.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import shutil
import stat
from typing import TYPE_CHECKING, NamedTuple

from edge.intake.beneath import place_beneath
from edge.intake.take import has_writer, signature_of
from edge.intake.watch import CLAIMED
from edge.model import After
from edge.system.files import suffix_of, sync_folder, whole_file

if TYPE_CHECKING:
    from pathlib import Path

    from edge.intake.beneath import Place
    from edge.model import Signature

_READ_BYTES = 1 << 20
_RENAME_NOREPLACE = 1


class ArchiveError(Exception):
    """The archive cannot take a film; ``strerror`` says why."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror)
        self.strerror = error.strerror or "failed"


class Scored(NamedTuple):
    """The file that was scored: its place, what it was like, and the digest of its bytes."""

    path: bytes
    signature: Signature
    sha256: str


def part_with(root: bytes, film: Scored, after: After, archive: Path, job: int) -> str:
    """Move or delete the scanner's file as the site asks; returns what became of it.

    Parameters
    ----------
    root : bytes
        The drop folder.
    film : Scored
        The file as it was scored.
    after : After
        What is to become of it.
    archive : Path
        Where it is moved to.
    job : int
        Its number, which names it there.

    Returns
    -------
    str
        One of ``left``, ``gone``, ``changed`` (another film: not ours to touch), ``moved``,
        ``deleted``, ``read_only``. Repeating it after a crash is harmless.

    Raises
    ------
    ArchiveError
        Where the archive cannot take it; the file is back at its place.
    OSError
        Where the drop folder cannot be used at present.
    """
    if after is After.LEAVE:
        return "left"
    try:
        with place_beneath(root, film.path) as place:
            return _part(place, film, after, archive, job)
    except (FileNotFoundError, NotADirectoryError):
        # A folder on the way is gone, and the film with it; of a whole folder that is away the
        # caller knows.
        return "gone"
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            return "read_only"
        raise


def _part(place: Place, film: Scored, after: After, archive: Path, job: int) -> str:
    claimed = CLAIMED + b"%08d" % job
    ctime_ns = _claim(place, claimed)
    if ctime_ns is None:
        return "gone"
    try:
        is_the_film = _is_the_film(place.folder, claimed, film, ctime_ns)
    except OSError:
        # Under a name of ours nobody would find it.
        _put_back(place, claimed, job)
        raise
    if not is_the_film:
        _put_back(place, claimed, job)
        return "changed"
    if after is After.DELETE:
        os.unlink(claimed, dir_fd=place.folder)
        return "deleted"
    try:
        _move(place.folder, claimed, archive / f"{job:08d}{suffix_of(film.path)}")
    except OSError as error:
        _put_back(place, claimed, job)
        raise ArchiveError(error) from error
    return "moved"


def _claim(place: Place, claimed: bytes) -> int | None:
    """Rename the file to a name of ours; returns its ctime before that, None where it is gone.

    A name of ours that is there already was left by a crash: 0, which no file has.
    """
    try:
        os.stat(claimed, dir_fd=place.folder, follow_symlinks=False)
    except FileNotFoundError:
        pass
    else:
        return 0
    try:
        before = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
        os.rename(place.name, claimed, src_dir_fd=place.folder, dst_dir_fd=place.folder)
    except FileNotFoundError:
        return None
    return before.st_ctime_ns


def _is_the_film(folder: int, claimed: bytes, film: Scored, ctime_ns: int) -> bool:
    """Whether the claimed file is the one that was scored, and nobody writes to it."""
    # Before it is opened: what is no film, or may not be read, is handled like any other.
    found = os.stat(claimed, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISREG(found.st_mode) or signature_of(found)[1:4] != film.signature[1:4]:
        return False
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(claimed, flags, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        if has_writer(file):
            return False
        if ctime_ns and ctime_ns == film.signature.ctime_ns:
            # Renaming changes the ctime; before it, nothing had.
            return True
        digest = hashlib.sha256()
        while data := file.read(_READ_BYTES):
            digest.update(data)
        return digest.hexdigest() == film.sha256


def _put_back(place: Place, claimed: bytes, job: int) -> None:
    """Give a file its name back; where another has come meanwhile, lay it into a folder beside it.

    It keeps its own name there, which may state limb and side, and is found like any new film.
    """
    folder = place.folder
    try:
        _rename_to_free(folder, claimed, place.name)
    except FileExistsError:
        beside = b"put-back-%08d" % job
        with contextlib.suppress(FileExistsError):
            os.mkdir(beside, dir_fd=folder)
        os.rename(claimed, beside + b"/" + place.name, src_dir_fd=folder, dst_dir_fd=folder)


def _rename_to_free(folder: int, old: bytes, new: bytes) -> None:
    """Rename within a folder, never onto another name. Raises `FileExistsError`, `OSError`."""
    number = _rename_exclusively(folder, old, new)
    if number in {errno.EINVAL, errno.ENOSYS}:
        # A file system that does not know this kind of renaming.
        with contextlib.suppress(FileNotFoundError):
            os.stat(new, dir_fd=folder, follow_symlinks=False)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        os.rename(old, new, src_dir_fd=folder, dst_dir_fd=folder)
    elif number:
        raise OSError(number, os.strerror(number))


def _rename_exclusively(folder: int, old: bytes, new: bytes) -> int:
    """Rename where the new name is free; returns the number of the error, 0 for none."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.renameat2(folder, old, folder, new, _RENAME_NOREPLACE) == 0:
        return 0
    return ctypes.get_errno()


def _move(folder: int, name: bytes, target: Path) -> None:
    try:
        os.rename(name, target, src_dir_fd=folder)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _move_across(folder, name, target)
    else:
        # Before it is recorded: a power cut must not undo what the journal holds.
        sync_folder(target.parent)


def _move_across(folder: int, name: bytes, target: Path) -> None:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as source, whole_file(target, durable=True) as copy:
        shutil.copyfileobj(source, copy, _READ_BYTES)
    os.unlink(name, dir_fd=folder)
