"""The account that the service runs as, and what it may do with a file.

Layer: sharpedge; asks the system, runs ``test`` as that account where it may.
"""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_LIMIT_S = 10.0


@dataclass(frozen=True)
class Account:
    """A user of this machine, with its groups."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()

    @property
    def is_ours(self) -> bool:
        """Whether this process runs as this account."""
        return self.uid == os.geteuid()

    def may(self, path: Path, rights: str) -> bool | None:
        """Whether the account has ``rights`` (letters of ``r``, ``w``, ``x``) on a path.

        None where only root or the account itself could tell.
        """
        if self.is_ours:
            wanted = {"r": os.R_OK, "w": os.W_OK, "x": os.X_OK}
            mode = 0
            for letter in rights:
                mode |= wanted[letter]
            return os.access(path, mode, effective_ids=True)
        if os.geteuid() != 0:
            return None
        return all(self._test(path, letter) for letter in rights)

    def _test(self, path: Path, letter: str) -> bool:
        # The kernel decides, with access lists and every folder above: the mode alone says little.
        done = subprocess.run(
            ["/usr/bin/test", f"-{letter}", os.fspath(path)],
            user=self.uid, group=self.gid, extra_groups=self.groups or (self.gid,),
            cwd="/", check=False, timeout=_LIMIT_S,
        )  # fmt: skip
        return done.returncode == 0


def account(uid: int) -> Account:
    """Look a user up; one without an entry goes by its number."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Account(f"uid {uid}", uid, uid)
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return Account(entry.pw_name, uid, entry.pw_gid, groups)


def owner_of(path: Path) -> str:
    """Owner, group and mode of a path, for a message."""
    found = path.stat()
    user = account(found.st_uid).name
    try:
        group = grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        group = f"gid {found.st_gid}"
    return f"owner {user}, group {group}, mode {found.st_mode & 0o7777:04o}"
