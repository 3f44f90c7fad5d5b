"""Which SOP instances came before, and with which bytes: survives restarts.

Layer: receive; reads and writes one SQLite file. It holds keyed hashes, no UID.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sqlite3
import threading
from typing import TYPE_CHECKING

from edge.system.clock import steady_unix_s

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

FILE = ".instances.sqlite"
_TABLES = (
    "CREATE TABLE IF NOT EXISTS key (value BLOB NOT NULL)",
    """CREATE TABLE IF NOT EXISTS instance (
    uid BLOB PRIMARY KEY, data BLOB NOT NULL, at REAL NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS instance_at ON instance (at)",
)
_BUSY_S = 5
_DAY_S = 86400.0


class Instances:
    """The first bytes of each SOP instance; any thread may ask.

    A damaged file is set aside, and a new one is made. Raises `sqlite3.Error` where that fails.
    """

    def __init__(self, path: Path) -> None:
        self._turn = threading.Lock()
        try:
            self._db = _opened(path)
        except sqlite3.OperationalError:
            # A full disk or missing rights: the table may be sound.
            raise
        except sqlite3.DatabaseError:
            aside = path.with_name(f"{path.name}.damaged-{int(steady_unix_s())}")
            path.replace(aside)
            log.warning("the table of received instances is damaged: a new one is begun")
            self._db = _opened(path)
        self._key: bytes = self._db.execute("SELECT value FROM key").fetchone()[0]

    def note(self, uid: str, data: bytes) -> bool:
        """Remember an instance durably; whether it came before with other bytes.

        Called before its film is written. Where a crash comes between, other bytes are held later
        although the first film never came, which is the safe side. Raises `sqlite3.Error`.
        """
        code = hashlib.blake2b(uid.encode(), digest_size=16, key=self._key).digest()
        digest = hashlib.sha256(data).digest()
        with self._turn:
            self._db.execute(
                "INSERT OR IGNORE INTO instance VALUES (?, ?, ?)", (code, digest, steady_unix_s())
            )
            query = "SELECT data FROM instance WHERE uid = ?"
            first = self._db.execute(query, (code,)).fetchone()[0]
        return bool(first != digest)

    def forget_older(self, days: float) -> int:
        """Forget what came more than so many days ago; returns how many."""
        with self._turn:
            before = steady_unix_s() - days * _DAY_S
            return self._db.execute("DELETE FROM instance WHERE at < ?", (before,)).rowcount

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _refuse_damaged(db: sqlite3.Connection) -> None:
    if db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
        raise sqlite3.DatabaseError("damaged")


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        for statement in _TABLES:
            db.execute(statement)
        db.execute(
            "INSERT INTO key SELECT ? WHERE NOT EXISTS (SELECT 1 FROM key)", (os.urandom(32),)
        )
        _refuse_damaged(db)
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            db.close()
        raise
    return db
