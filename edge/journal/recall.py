"""Latest signatures of paths, for the intake's thread.

Layer: journal; reads the SQLite file over a read-only connection of its own.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import quote

from edge.journal.records import ORDERED, signature_in
from edge.journal.states import State
from edge.journal.store import text_of

if TYPE_CHECKING:
    from pathlib import Path

    from edge.model import Signature


def read_only(journal: Path) -> sqlite3.Connection:
    """Connect to the journal at ``journal`` for reading. Raises `sqlite3.Error`.

    Nothing is written beside it. After a proper stop the journal stands alone, and SQLite would
    make its two other files: made by root, the service could not open its journal any more.
    """
    beside = all(journal.with_name(f"{journal.name}-{end}").exists() for end in ("wal", "shm"))
    how = "mode=ro" if beside else "mode=ro&immutable=1"
    db = sqlite3.connect(f"file:{quote(str(journal))}?{how}", uri=True)
    db.row_factory = sqlite3.Row
    db.text_factory = text_of
    return db


class Recall:
    """Looks up the signature of a path in the journal at ``journal``; connects at first use."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._db: sqlite3.Connection | None = None

    def __call__(self, path: bytes) -> Signature | None:
        """Signature of a path whose job needs no further work on the file, None for a new one.

        None too where the journal cannot be read: the film is then read once more, and
        `Journal.claim` finds that it is known.
        """
        try:
            if self._db is None:
                self._db = read_only(self._journal)
            row = self._db.execute(
                "SELECT * FROM job WHERE path = ? ORDER BY number DESC LIMIT 1", (path,)
            ).fetchone()
        except sqlite3.Error:
            return None
        if row is None or (row["state"] == State.CLAIMED and row["origin"] != ORDERED):
            return None
        return signature_in(row)
