"""What pseudonyms stand for, for a limited time: the table behind ``sharpedge whois``.

Layer: outputs; reads and writes one SQLite file of mode 0600 beside the journal, and removes it.

It is apart from the journal so that neither backup nor support bundle holds it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import quote

from pydantic import ValidationError

from edge.model import Identifiers, Record
from edge.system.clock import wall_clock_is_set

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

FILE = "whois.sqlite"
"""Its name in the state folder."""
LONGEST = 256
"""Characters of a stated key that are kept."""
_DAY_S = 86_400.0
_BUSY_S = 1.0
_OWED = 1000
"""Entries that are kept in memory while they cannot be written."""
_TABLES = (
    """CREATE TABLE IF NOT EXISTS known (
    pseudonym TEXT PRIMARY KEY, body TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS known_at ON known (at)",
)


class Known(Record):
    """What a pseudonym stands for.

    ``stands_for`` is what it was made of: what the tags or the name of a film state of its study
    or patient, or the name of a film's file where nothing is stated.
    """

    kind: Literal["study", "patient", "film"]
    stands_for: str
    identifiers: Identifiers | None = None


class Answer(NamedTuple):
    """An entry, and when its latest film came."""

    known: Known
    at_unix_s: float


def as_stated(text: str) -> str:
    """A stated key as it is kept: bounded, and what no terminal can show written as escapes."""
    shown = (one if one.isprintable() else ascii(one)[1:-1] for one in text[:LONGEST])
    return "".join(shown)[:LONGEST]


class Whois:
    """The table of one appliance, on one thread; ``days`` 0: nothing is kept.

    A fault of the table costs no result: it is written again later, and ``fault`` says why.
    """

    def __init__(self, path: Path, days: float) -> None:
        self._path = path
        self._days = days
        self._db: sqlite3.Connection | None = None
        self._owed: dict[str, tuple[str, float]] = {}
        self.fault = ""

    def note(self, entries: Iterable[tuple[str, Known]]) -> None:
        """Keep what pseudonyms stand for; raises nothing that the disk can cause."""
        if not self._days:
            return
        for pseudonym, known in entries:
            self._owed[pseudonym] = (known.model_dump_json(), time.time())
            while len(self._owed) > _OWED:
                self._owed.pop(next(iter(self._owed)))
        with self._reporting():
            self._write()

    def tidy(self) -> None:
        """Delete what is older than the limit; everything where the site keeps nothing."""
        with self._reporting():
            if not self._days:
                self._remove()
                return
            self._write()
            if self._db is None and not self._path.exists():
                return
            now = time.time()
            db = self._open()
            with db:
                if wall_clock_is_set():
                    # Written while the clock was ahead: it would stay for too long.
                    db.execute("UPDATE known SET at = ? WHERE at > ?", (now, now))
                db.execute("DELETE FROM known WHERE at < ?", (now - self._days * _DAY_S,))

    def ask(self, pseudonym: str) -> Answer | None:
        """Look a pseudonym up; None where it is not known. Raises `sqlite3.Error`."""
        if not self._days or not self._path.exists():
            return None
        address = f"file:{quote(str(self._path))}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, timeout=_BUSY_S, uri=True)) as db:
            found = db.execute(
                "SELECT body, at FROM known WHERE pseudonym = ? AND at >= ?",
                (pseudonym, time.time() - self._days * _DAY_S),
            ).fetchone()
        if found is None:
            return None
        try:
            return Answer(Known.model_validate_json(found[0]), float(found[1]))
        except (ValidationError, TypeError, ValueError):
            return None

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    @contextlib.contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
            self.fault = ""
        except (sqlite3.Error, OSError) as error:
            why = (error.strerror if isinstance(error, OSError) else str(error)) or "failed"
            damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(
                error, sqlite3.OperationalError
            )
            if damaged:
                log.warning("%s is damaged (%s): a new one is begun", FILE, why)
                with contextlib.suppress(OSError):
                    self._unlink()
            self.fault = f"{self._path}: cannot be used ({why}); fix: free the disk, or let the "
            self.fault += "service write there"

    def _write(self) -> None:
        if not self._owed:
            return
        db = self._open()
        with db:
            db.executemany(
                "INSERT OR REPLACE INTO known VALUES (?, ?, ?)",
                [(pseudonym, body, at) for pseudonym, (body, at) in self._owed.items()],
            )
        self._owed.clear()

    def _open(self) -> sqlite3.Connection:
        if self._db is not None and self._path.exists():
            return self._db
        self.close()
        # SQLite gives its journal the mode of the file.
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.fchmod(descriptor, 0o600)
        os.close(descriptor)
        db = sqlite3.connect(self._path, timeout=_BUSY_S)
        try:
            # What is deleted is overwritten; a write-ahead log would keep it for a while.
            db.execute("PRAGMA secure_delete=ON")
            db.execute("PRAGMA journal_mode=DELETE")
            db.execute("PRAGMA synchronous=FULL")
            for statement in _TABLES:
                db.execute(statement)
        except BaseException:
            db.close()
            raise
        self._db = db
        return db

    def _remove(self) -> None:
        """Overwrite and remove the table of a site that has switched it off."""
        self._owed.clear()
        if not self._path.exists():
            return
        with contextlib.suppress(sqlite3.Error), self._open() as db:
            db.execute("DELETE FROM known")
        self._unlink()
        log.info("whois is off: what pseudonyms stood for is deleted")

    def _unlink(self) -> None:
        self.close()
        self._path.unlink(missing_ok=True)
        self._path.with_name(f"{FILE}-journal").unlink(missing_ok=True)
