"""Delivery: opens the journal at a start: sound, put right, or begun again beside a damaged one.

The time that this takes does not grow with what was delivered long ago: `edge.daemon.inspection`
looks at that while the appliance is idle.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from edge.journal.chain import REBUILT
from edge.journal.schema import is_ours
from edge.journal.store import JournalError, Store, move_aside, suspect_mark

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_QUICKLY_CHECKED_BYTES = 64 << 20
_NOT_THE_FILES = (
    "locked", "busy", "full", "I/O", "unable to open", "readonly", "permission", "interrupted",
)  # fmt: skip
"""Words in SQLite's errors that tell of the machine, not of a damaged file."""


def is_not_the_files(error: Exception) -> bool:
    """Whether an error tells of the machine: the journal itself may be sound."""
    return any(word in str(error) for word in _NOT_THE_FILES)


def open_store(
    path: Path, key: bytes, *, expected: bool = False, busy: Callable[[], None] | None = None
) -> tuple[Store, bool]:
    """Open the journal; a damaged one is set aside.

    Returns it, and whether it was begun again: damaged, or gone although it was ``expected``.
    Raises `JournalError` where another key or a later release wrote it, or the machine does not
    let it be used.
    """
    gone = expected and not path.exists()
    try:
        store = Store(path, key, busy=busy)
        if gone:
            return _begun_anew(store), True
        if _is_sound(store, path):
            if not store.knows_key():
                store.close()
                message = (
                    f"{path}: was written under another device.key: put that key back, or move the "
                    "journal away to begin a new one"
                )
                raise JournalError(message)
            return store, False
        store.close()
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        if is_not_the_files(error):
            raise JournalError(f"{path}: {error}; free the disk or end its other user") from error
    return begin_anew(path, key), True


def _is_sound(store: Store, path: Path) -> bool:
    """Check the file's structure where that is quick, or an earlier run asked for it."""
    asked = suspect_mark(path)
    if asked.exists() or path.stat().st_size < _QUICKLY_CHECKED_BYTES:
        sound = bool(store.db.execute("PRAGMA integrity_check").fetchone()[0] == "ok")
        asked.unlink(missing_ok=True)
        if not sound:
            return False
    return is_ours(store.db)


def begin_anew(path: Path, key: bytes) -> Store:
    """Set the journal at ``path`` aside, under a name that says so, and make a new one."""
    move_aside(path, "damaged")
    return _begun_anew(Store(path, key))


def _begun_anew(store: Store) -> Store:
    """Set counters beyond any that were given before: no number is given twice."""
    with store.transaction():
        store.skip_numbers()
        store.log(REBUILT)
    return store
