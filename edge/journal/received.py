"""Which received films have reached their end state, by their file in the inbox.

Layer: journal; reads and writes the table ``job`` and the log through a `Store`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.journal.records import Original, signature_in
from edge.journal.states import ENDS, UNDRAWN

if TYPE_CHECKING:
    import sqlite3

    from edge.journal.store import Store

_LATEST = "SELECT * FROM job WHERE path = ? ORDER BY number DESC LIMIT 1"
_NUMBERED = "SELECT * FROM job WHERE number = ?"


class Received:
    """The jobs of received films, over one connection."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def ended(self, path: bytes) -> Original | None:
        """Film of a path whose latest job has ended and needs its file no more; None otherwise."""
        return self._ended(self._store.db.execute(_LATEST, (path,)).fetchone())

    def ended_job(self, number: int) -> Original | None:
        """The same by the job's number: of a file that was claimed under a name of ours."""
        return self._ended(self._store.db.execute(_NUMBERED, (number,)).fetchone())

    def note_removed(self, path: bytes, became: str) -> None:
        """Record what was done with the file of a path, for every job that it had."""
        with self._store.transaction() as db:
            rows = db.execute(
                "SELECT number FROM job WHERE path = ? AND original = 'there'", (path,)
            ).fetchall()
            for row in rows:
                db.execute("UPDATE job SET original = ? WHERE number = ?", (became, row["number"]))
                self._store.log("original", row["number"], became=became)

    def _ended(self, row: sqlite3.Row | None) -> Original | None:
        if row is None or row["state"] not in ENDS or row["original"] != "there":
            return None
        number = row["number"]
        undrawn = self._store.db.execute(
            "SELECT 1 FROM outbox WHERE job = ? AND state = ?", (number, UNDRAWN)
        )
        # Its picture would be drawn from it after a crash.
        if undrawn.fetchone() is not None:
            return None
        return Original(number, row["path"], signature_in(row), str(row["sha256"]))
