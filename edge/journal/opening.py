"""Opens the journal at a start; a damaged one is renamed and replaced by an empty one.

Layer: journal; reads, renames and creates the journal's files.

The time that this takes does not grow with old rows: `edge.daemon.inspection` verifies those while
the appliance is idle.
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
_MACHINE_ERRORS = (
    "locked", "busy", "full", "I/O", "unable to open", "readonly", "permission", "interrupted",
)  # fmt: skip
"""Words in SQLite's errors that name a fault of the machine, not a damaged file."""


def is_machine_fault(error: Exception) -> bool:
    """Whether an error is the machine's (disk full, locked file): the journal may be sound."""
    return any(word in str(error) for word in _MACHINE_ERRORS)


def open_store(
    path: Path, key: bytes, *, expected: bool = False, busy: Callable[[], None] | None = None
) -> tuple[Store, bool]:
    """Open the journal; a damaged one is renamed and replaced.

    Returns it, and whether it was replaced: damaged, or missing although it was ``expected``.
    Raises `JournalError` where another key or a later release wrote it, or where the machine
    prevents its use.
    """
    gone = expected and not path.exists()
    try:
        store = Store(path, key, busy=busy)
        if gone:
            return _rebuilt(store), True
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
        if is_machine_fault(error):
            raise JournalError(f"{path}: {error}; free the disk or end its other user") from error
    return replace_store(path, key), True


def _is_sound(store: Store, path: Path) -> bool:
    """Check the file's structure where that is quick, or where an earlier run requested it."""
    asked = suspect_mark(path)
    if asked.exists() or path.stat().st_size < _QUICKLY_CHECKED_BYTES:
        sound = bool(store.db.execute("PRAGMA integrity_check").fetchone()[0] == "ok")
        asked.unlink(missing_ok=True)
        if not sound:
            return False
    return is_ours(store.db)


def replace_store(path: Path, key: bytes) -> Store:
    """Rename the journal at ``path`` as damaged and create a new one."""
    move_aside(path, "damaged")
    return _rebuilt(Store(path, key))


def _rebuilt(store: Store) -> Store:
    """Set the counters above all numbers of the old journal: none is used twice."""
    with store.transaction():
        store.skip_numbers()
        store.log(REBUILT)
    return store
