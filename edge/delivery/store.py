"""Delivery: the one SQLite file: its schema, its transactions and its chained log.

Every change of state is a row of ``event``, chained by HMAC under the device key: a row that
was edited or removed breaks the chain, and the head that is published shows a cut tail.
Connections are per thread; `Store` hides nothing but the pragmas and the transaction.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from edge.errors import EdgeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = 1
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE event (
    row INTEGER PRIMARY KEY, at REAL NOT NULL, job INTEGER, kind TEXT NOT NULL,
    detail TEXT NOT NULL, mac BLOB NOT NULL
);
CREATE TABLE job (
    number INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL, sha256 TEXT NOT NULL,
    device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, state TEXT NOT NULL, since REAL NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0, deaths INTEGER NOT NULL DEFAULT 0,
    reason TEXT, first_job INTEGER, previous_job INTEGER, original TEXT NOT NULL DEFAULT 'there'
);
CREATE INDEX job_path ON job (path, number);
CREATE INDEX job_sha256 ON job (sha256, number);
CREATE INDEX job_state ON job (state);
CREATE TABLE outbox (
    row INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, kind TEXT NOT NULL,
    job INTEGER NOT NULL, limb_index INTEGER NOT NULL, outcome TEXT NOT NULL, sequence INTEGER,
    payload BLOB NOT NULL, created REAL NOT NULL, state TEXT NOT NULL,
    sendings INTEGER NOT NULL DEFAULT 0, refusals INTEGER NOT NULL DEFAULT 0,
    last_sent REAL, why TEXT, UNIQUE (id, kind)
);
CREATE INDEX outbox_open ON outbox (row) WHERE state IN ('queued', 'waiting');
CREATE INDEX outbox_job ON outbox (job);
CREATE TABLE receipt (id TEXT, receiver TEXT, at REAL, PRIMARY KEY (id, receiver)) WITHOUT ROWID;
CREATE TABLE study (
    study TEXT PRIMARY KEY, body TEXT NOT NULL, status TEXT NOT NULL,
    opened REAL NOT NULL, changed REAL NOT NULL,
    version INTEGER NOT NULL, published INTEGER NOT NULL DEFAULT 0, cleared INTEGER NOT NULL
    DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX study_open ON study (study) WHERE version > published;
"""


class JournalError(EdgeError):
    """The journal cannot be used; the message says what to do."""


class Head(NamedTuple):
    """Last row of the chain, and its code as 64 hex digits."""

    row: int
    mac: str


class _Event(NamedTuple):
    """One row of the chain without its code."""

    row: int
    at: float
    job: int | None
    kind: str
    detail: str


_ORIGIN = Head(0, "0" * 64)


@dataclass(frozen=True)
class BrokenChain:
    """Where the chain does not hold: the first row that does not follow from the one before."""

    row: int
    expected_row: int


class Store:
    """One thread's connection to the journal.

    Parameters
    ----------
    path
        The SQLite file; made with its tables when absent.
    key
        32 bytes under which the log is chained.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        self._key = key
        self.db = sqlite3.connect(path, timeout=10, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.execute("PRAGMA foreign_keys=ON")
        self._prepare(path)

    def _prepare(self, path: Path) -> None:
        version = self.db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            self.db.close()
            message = (
                f"{path}: written by a later release (schema {version}, this one knows {SCHEMA}): "
                "install that release again, or let its outbox run empty first"
            )
            raise JournalError(message)
        if version == 0:
            with self.transaction():
                if self.db.execute("PRAGMA user_version").fetchone()[0] == 0:
                    for statement in _TABLES.split(";\n"):
                        self.db.execute(statement)
                    self.db.execute(f"PRAGMA user_version={SCHEMA}")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One durable change: all of it or nothing.

        ``IMMEDIATE``, because a transaction that reads first and writes later ignores the busy
        timeout.
        """
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield self.db
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def log(self, kind: str, job: int | None = None, /, **detail: Any) -> None:
        """Append a row to the chain; only inside a transaction."""
        head = self.head()
        text = json.dumps(detail, sort_keys=True, separators=(",", ":"))
        event = _Event(head.row + 1, time.time(), job, kind, text)
        self.db.execute(
            "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)", (*event, self._mac(head, event))
        )

    def head(self) -> Head:
        """Last row of the chain."""
        found = self.db.execute("SELECT row, mac FROM event ORDER BY row DESC LIMIT 1").fetchone()
        return _ORIGIN if found is None else Head(found["row"], found["mac"].hex())

    def verify(self) -> BrokenChain | None:
        """Walk the chain; None when every row follows from the one before."""
        head = _ORIGIN
        for it in self.db.execute("SELECT row, at, job, kind, detail, mac FROM event ORDER BY row"):
            event = _Event(*it[:5])
            sound = hmac.compare_digest(self._mac(head, event), it["mac"])
            if event.row != head.row + 1 or not sound:
                return BrokenChain(event.row, head.row + 1)
            head = Head(event.row, it["mac"].hex())
        return None

    def _mac(self, before: Head, event: _Event) -> bytes:
        text = json.dumps([before.mac, *event], separators=(",", ":"))
        return hmac.digest(self._key, text.encode(), "sha256")

    def counter(self, name: str) -> int:
        """Next value of a counter that never goes back; only inside a transaction."""
        found = self.db.execute("SELECT value FROM meta WHERE key = ?", (name,)).fetchone()
        value = 1 if found is None else int(found["value"]) + 1
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))
        return value

    def close(self) -> None:
        """Close the connection."""
        self.db.close()
