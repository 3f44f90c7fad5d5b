"""The manifest of an archive: one row a film, with what became of it.

Layer: sharpedge; reads and writes one SQLite file beside the Parquet file.

A row is written once its film has its outcome, in one transaction with others of the same second,
so that a killed run loses the films of its last second at most, and scores them again.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
import zlib
from typing import TYPE_CHECKING, NamedTuple

from edge.errors import ConfigError
from sharpedge.archive.films import Scored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from sharpedge.archive.films import Listed

_VERSION = 1
_BATCH = 1000
_FLUSH_S = 1.0
_PENDING, _DONE = "pending", "done"
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE film (
    number INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, state TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
    outcome BLOB);
CREATE INDEX film_pending ON film (number) WHERE state = 'pending';
"""


class Pending(NamedTuple):
    """A film without an outcome; ``tries`` counts workers that ended over it."""

    number: int
    path: bytes
    tries: int


class Row(NamedTuple):
    """A film with its outcome."""

    path: bytes
    size: int
    mtime_ns: int
    scored: Scored


class Manifest:
    """One manifest, held by one process at a time. Raises `ConfigError` where another holds it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=1.0)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("BEGIN EXCLUSIVE")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={_VERSION}")
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise ConfigError(
                f"{path}: cannot be used ({error}); fix: wait for the run that has it, or name "
                "another --out"
            ) from error
        if version not in {0, _VERSION}:
            self.close()
            raise ConfigError(f"{path}: another release wrote it; fix: name another --out")
        self._unwritten: dict[int, Scored] = {}
        self._flushed_s = time.monotonic()

    def close(self) -> None:
        """Write what is not written, and close."""
        if hasattr(self, "_unwritten"):
            self.flush()
        self._db.close()

    def enter(self, films: Iterable[Listed]) -> None:
        """Add films; one that changed since it was scored is to be scored again."""
        with self._transaction():
            self._db.executemany(
                "INSERT INTO film (path, size, mtime_ns, state) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (path) DO UPDATE SET size = excluded.size, "
                "mtime_ns = excluded.mtime_ns, state = excluded.state, tries = 0, outcome = NULL "
                "WHERE size != excluded.size OR mtime_ns != excluded.mtime_ns",
                ((it.path, it.size, it.mtime_ns, _PENDING) for it in films),
            )

    def hold_to(self, engine_set: str) -> None:
        """Note the engines that score, or compare them with those that did.

        Raises `ConfigError` where others did: one file must not hold the grades of two.
        """
        found = self._db.execute("SELECT value FROM meta WHERE key = 'engine_set'").fetchone()
        if found is None:
            self._db.execute("INSERT INTO meta VALUES ('engine_set', ?)", (engine_set,))
        elif found["value"] != engine_set:
            raise ConfigError(
                f"{self._path}: other engines began this archive ({found['value'][:16]}, now "
                f"{engine_set[:16]}); fix: use those, or name another --out"
            )

    def count(self) -> tuple[int, int]:
        """How many films there are, and how many of them have an outcome."""
        self.flush()
        found = self._db.execute(
            "SELECT COUNT(*) AS n, COUNT(*) FILTER (WHERE state = ?) AS done FROM film", (_DONE,)
        ).fetchone()
        return found["n"], found["done"]

    def pending(self) -> Iterator[Pending]:
        """Films without an outcome, in the order in which they were listed, each once."""
        last = -1
        while True:
            found = self._db.execute(
                "SELECT number, path, tries FROM film WHERE state = 'pending' AND number > ? "
                "ORDER BY number LIMIT ?",
                (last, _BATCH),
            ).fetchall()
            if not found:
                return
            for row in found:
                last = row["number"]
                if last not in self._unwritten:
                    yield Pending(last, row["path"], row["tries"])

    def tried(self, number: int) -> int:
        """Count a worker that ended over a film, durably; returns how many did."""
        found = self._db.execute(
            "UPDATE film SET tries = tries + 1 WHERE number = ? RETURNING tries", (number,)
        ).fetchone()
        return int(found["tries"])

    def done(self, number: int, scored: Scored) -> None:
        """Note a film's outcome; written within a second."""
        self._unwritten[number] = scored
        if time.monotonic() - self._flushed_s > _FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Write the outcomes that are not written yet."""
        self._flushed_s = time.monotonic()
        if not self._unwritten:
            return
        with self._transaction():
            self._db.executemany(
                "UPDATE film SET state = ?, outcome = ? WHERE number = ?",
                (
                    (_DONE, zlib.compress(scored.model_dump_json().encode()), number)
                    for number, scored in self._unwritten.items()
                ),
            )
        self._unwritten.clear()

    def rows(self) -> Iterator[Row]:
        """Films with an outcome, in the order in which they were listed."""
        self.flush()
        last = -1
        while True:
            found = self._db.execute(
                "SELECT * FROM film WHERE state = ? AND number > ? ORDER BY number LIMIT ?",
                (_DONE, last, _BATCH),
            ).fetchall()
            if not found:
                return
            for row in found:
                last = row["number"]
                scored = Scored.model_validate_json(zlib.decompress(row["outcome"]))
                yield Row(row["path"], row["size"], row["mtime_ns"], scored)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
