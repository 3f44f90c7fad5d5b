"""Whether the watched folder was listed before, and films that the first start passes over.

Layer: journal; reads and writes the tables ``job`` and ``meta`` and the log through a `Store`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.intake.settle import unread_digest
from edge.journal.states import State
from edge.system.clock import steady_unix_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.journal.store import Store
    from edge.model import Signature

BEFORE_FIRST_START = "before_first_start"
"""Reason of a film that was in the folder before the appliance was first started there."""
_BEGUN = "begun"
"""Key of the note that the folder was listed once."""


class FirstStart:
    """The first start on a folder, over one connection."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def is_over(self) -> bool:
        """Whether an earlier run has listed the folder, whatever was in it."""
        if self._store.note(_BEGUN) is not None:
            return True
        return self._store.db.execute("SELECT 1 FROM job LIMIT 1").fetchone() is not None

    def mark_over(self) -> None:
        """Note that the folder is listed now: no later start is the first one."""
        if self._store.note(_BEGUN) is None:
            with self._store.transaction():
                self._store.set_note(_BEGUN, "1")

    def pass_over(self, files: Sequence[tuple[bytes, Signature]]) -> None:
        """Record files that the site does not want to be scored, in one transaction."""
        now = steady_unix_s()
        with self._store.transaction() as db:
            self._store.set_note(_BEGUN, "1")
            for path, signature in files:
                digest = unread_digest(path, signature.size)
                number = db.execute(
                    "INSERT INTO job (path, sha256, device, inode, size, mtime_ns, ctime_ns, "
                    "state, since, reason, original) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'kept')",
                    (path, digest, *signature, State.DISMISSED, now, BEFORE_FIRST_START),
                ).lastrowid
                self._store.log(
                    State.DISMISSED,
                    number,
                    sha256=digest,
                    path=self._store.code_of_path(path),
                    reason=BEFORE_FIRST_START,
                )
