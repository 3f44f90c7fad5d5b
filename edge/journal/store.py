"""The SQLite file: connections, schema upgrades, transactions, and appending to the chained log.

Layer: journal; reads and writes the journal's files.

Connections are per thread; `Store` hides nothing but the pragmas and the transaction.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

from edge.errors import EdgeError
from edge.journal.chain import COUNTERS, Chain, Entry, Head
from edge.journal.schema import SCHEMA, UPGRADES
from edge.system.clock import steady_unix_s
from edge.system.files import sync_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class JournalError(EdgeError):
    """The journal cannot be used; the message gives the cause and the fix."""


_LONG_LOG = 64 << 20
_BUSY_S = 5
_BUSY_STEPS = 1_000_000
"""Instructions of SQLite's virtual machine between two calls of ``busy``: under a second."""


_TURN_S = 0.1
"""How long a thread waits for another one of this process; then SQLite's own timeout counts."""
_turns: dict[Path, threading.Lock] = {}


@contextlib.contextmanager
def _turn_of(path: Path) -> Iterator[None]:
    """Let one thread of this process write at a time.

    SQLite lets the others sleep, for longer each time, and wakes none of them when it is free.
    """
    turn = _turns.setdefault(path, threading.Lock())
    mine = turn.acquire(timeout=_TURN_S)
    try:
        yield
    finally:
        if mine:
            turn.release()


def text_of(data: bytes) -> str:
    """Read text of the file: a flipped bit must give another value, not an exception."""
    return data.decode("utf-8", "replace")


class Store(Chain):
    """One thread's connection to the journal.

    Parameters
    ----------
    path
        The SQLite file; made with its tables when absent.
    key
        32 bytes under which the log is chained.
    busy
        Called now and then while one statement runs for long.

    Raises `JournalError` where a later release wrote the file, `sqlite3.Error` where it cannot be
    used.
    """

    def __init__(self, path: Path, key: bytes, *, busy: Callable[[], None] | None = None) -> None:
        self._key = key
        self._path = path
        self.db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
        if busy is not None:
            self.db.set_progress_handler(busy, _BUSY_STEPS)
        self.db.row_factory = sqlite3.Row
        self.db.text_factory = text_of
        try:
            self.db.execute("PRAGMA journal_mode=WAL")
            self.db.execute("PRAGMA synchronous=FULL")
            self._prepare(path)
            self._place = self._identity()
        except BaseException:
            self.db.close()
            raise

    def _prepare(self, path: Path) -> None:
        version = self.db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            message = (
                f"{path}: written by a later release (schema {version}, this one reads up to "
                f"{SCHEMA}): install that release again; or move the journal away to begin a new "
                "one, and what still waits in it is then not sent"
            )
            raise JournalError(message)
        if version < SCHEMA:
            with self.transaction():
                version = self.db.execute("PRAGMA user_version").fetchone()[0]
                for step in UPGRADES[version:]:
                    for statement in step:
                        self.db.execute(statement)
                if version == 1:
                    self._sign_what_is_there()
                self.db.execute(f"PRAGMA user_version={SCHEMA}")

    def _sign_what_is_there(self) -> None:
        """Sign the rows of the first schema, which had no signatures."""
        last = -1
        while True:
            row = self.db.execute(
                "SELECT row, id, kind, payload FROM outbox WHERE row > ? ORDER BY row LIMIT 1",
                (last,),
            ).fetchone()
            if row is None:
                break
            last = row["row"]
            seal = self.seal(row["id"], row["kind"], row["payload"])
            self.db.execute("UPDATE outbox SET seal = ? WHERE row = ?", (seal, last))
        for row in self.db.execute("SELECT study, body FROM study").fetchall():
            seal = self.seal(row["study"], "study", row["body"].encode())
            self.db.execute("UPDATE study SET seal = ? WHERE study = ?", (seal, row["study"]))
        self._sign_head(self.head())

    def end_opening(self) -> None:
        """Stop calling ``busy``."""
        self.db.set_progress_handler(None, 0)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One durable change: all of it or nothing.

        ``IMMEDIATE``, because a transaction that reads first and writes later ignores the busy
        timeout. Inside another one it belongs to that one.
        """
        if self.db.in_transaction:
            yield self.db
            return
        with _turn_of(self._path):
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                # A full disk or a fault of the disk has ended the transaction already, or has not.
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise

    def log(self, kind: str, job: int | None = None, /, **detail: Any) -> None:
        """Append a row to the chain; only inside a transaction."""
        head = self.head()
        text = json.dumps(detail, sort_keys=True, separators=(",", ":"))
        event = Entry(head.row + 1, steady_unix_s(), job, kind, text)
        mac = self._mac(head, event)
        self.db.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)", (*event, mac))
        self._sign_head(Head(event.row, mac.hex()))

    def mark_clean(self) -> None:
        """Sign the last row as verified: the next start need not verify the rows before it."""
        with self.transaction():
            self._set_meta("clean", self._signed("clean", self.head()))

    def cut(self, row: int) -> None:
        """Delete the chain up to a row, which becomes the checkpoint; only inside a transaction.

        The table ``carried`` is signed with it and must be written before.
        """
        code = self.code_of(row)
        assert code is not None  # noqa: S101 - the caller chose a row of the chain
        self.db.execute("DELETE FROM event WHERE row <= ?", (row,))
        self._set_meta("cut", self._signed("cut", Head(row, code), self.carried_digest()))
        self.log("checkpoint", cut=row)

    def shorten_log(self) -> bool:
        """Truncate a long write-ahead log, which SQLite mostly does itself.

        False where a reader that stays open prevents it.
        """
        log_path = self._path.with_name(self._path.name + "-wal")
        if not log_path.exists() or log_path.stat().st_size < _LONG_LOG:
            return True
        self.db.execute("PRAGMA busy_timeout=100")
        try:
            busy, _, _ = self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            self.db.execute(f"PRAGMA busy_timeout={_BUSY_S * 1000}")
        return not busy

    def is_in_place(self) -> bool:
        """Whether the open files are still those under the journal's name."""
        found = self._identity()
        # The log is made at the first transaction.
        self._place = tuple(was or now for was, now in zip(self._place, found, strict=True))
        return found == self._place

    def put_back(self) -> None:
        """Write the open journal under its name again, whatever is there now.

        Open connections still use the file that lost its name: reopen the journal afterwards.
        Raises `JournalError` where the folder is on another disk than before.
        """
        folder, journal = self._path.parent, self._place[0]
        if journal is None or folder.stat().st_dev != journal[0]:
            raise JournalError(f"{folder}: its disk went away while it was in use: mount it again")
        part = self._path.with_name(f".{self._path.name}.part")
        part.unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(part)) as other:
            other.execute("PRAGMA synchronous=FULL")
            self.db.backup(other)
            other.execute("PRAGMA journal_mode=DELETE")
        move_aside(self._path, "foreign")
        part.replace(self._path)
        sync_folder(self._path.parent)

    def _identity(self) -> tuple[tuple[int, int] | None, ...]:
        """Device and inode of the journal and of its write-ahead log."""
        return tuple(
            map(_identity_of, (self._path, self._path.with_name(f"{self._path.name}-wal")))
        )

    def _sign_head(self, head: Head) -> None:
        self._set_meta("head", self._signed("head", head))

    def set_note(self, key: str, text: str) -> None:
        """Store a text under a key; only inside a transaction."""
        self._set_meta(key, text)

    def _set_meta(self, key: str, value: Any) -> None:
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def counter(self, name: str) -> int:
        """Next value of a counter that never decreases; only inside a transaction."""
        value = int(self._meta(name) or 0) + 1
        self._set_meta(name, value)
        return value

    def skip_numbers(self) -> None:
        """Set the counters above every number that may be in use; only inside a transaction."""
        for name in COUNTERS:
            beyond = max(int(self._meta(name) or 0), int(steady_unix_s()))
            self._set_meta(name, beyond)

    def close(self) -> None:
        """Close the connection."""
        self.db.close()


def _identity_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def move_aside(path: Path, why: str) -> None:
    """Rename the journal's files; the new name holds the cause and the time."""
    stamp = int(steady_unix_s())
    for ending in ("", "-wal", "-shm"):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.rename(path.with_name(f"{path.name}.{why}-{stamp}{ending}"))


def suspect_mark(path: Path) -> Path:
    """File whose presence makes the next start check the journal at ``path`` thoroughly."""
    return path.with_name(path.name + ".suspect")
