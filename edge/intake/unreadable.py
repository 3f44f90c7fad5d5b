"""Files in the drop folder that the service may not read, and what to do about them.

Layer: intake; asks the file system for owner and mode. File names carry patients' names, so a file
is named by its inode.
"""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
from typing import TYPE_CHECKING

from edge.intake.beneath import stat_beneath

if TYPE_CHECKING:
    from edge.intake.seen import Listing

_MOST = 10_000
"""Files that are kept apart; more only count as more."""


class Unreadable:
    """The files that could not be opened; `summary` may be called from another thread."""

    def __init__(self) -> None:
        self._files: dict[bytes, str] = {}

    def note(self, root: bytes, path: bytes) -> None:
        """Take in a file below ``root`` that could not be opened."""
        if path in self._files or len(self._files) < _MOST:
            self._files[path] = _describe(root, path)

    def forget(self, path: bytes) -> None:
        """Take note that a file can be read, or is gone."""
        self._files.pop(path, None)

    def keep_only(self, listing: Listing) -> None:
        """Forget every file that a listing did not meet."""
        self._files = {path: text for path, text in self._files.items() if path in listing}

    def summary(self) -> str | None:
        """One line for an alert, None where every file could be opened."""
        texts = list(self._files.values())
        if not texts:
            return None
        files = "1 file" if len(texts) == 1 else f"{len(texts)} files"
        user = _user(os.geteuid())
        return (
            f"{files} in the drop folder cannot be read by {user}; {texts[0]}; fix: let the "
            f"scanner write files that {user} may read, e.g. by a common group and mode 0640"
        )


def _describe(root: bytes, path: bytes) -> str:
    """Owner, group and mode of a file, and how to find it."""
    try:
        found = stat_beneath(root, path)
    except OSError as error:
        return f"a folder on the way to it cannot be entered ({error.strerror})"
    find = f"find {shlex.quote(os.fsdecode(root))} -inum {found.st_ino} -ls"
    mode = stat.S_IMODE(found.st_mode)
    return f"owner {_user(found.st_uid)}, group {_group(found.st_gid)}, mode {mode:04o} ({find})"


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return f"gid {number}"
