"""Delivery: the one SQLite file: its schema, its transactions and its chained log.

Every change of state is a row of ``event``, chained by HMAC under the device key: a row that
was edited or removed breaks the chain, and the signed head, kept here and published, shows a cut
tail. Retention cuts the chain's old end and leaves a signed checkpoint to start from.
Connections are per thread; `Store` hides nothing but the pragmas and the transaction.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from edge.delivery.clock import steady_unix_s
from edge.errors import EdgeError
from edge.intake.quarantine import sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = 3
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
_SECOND = """
ALTER TABLE job ADD COLUMN operator_limb TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN operator_side TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN origin TEXT NOT NULL DEFAULT 'folder';
ALTER TABLE job ADD COLUMN copy TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN seal BLOB NOT NULL DEFAULT x'';
ALTER TABLE study ADD COLUMN seal BLOB NOT NULL DEFAULT x'';
CREATE INDEX outbox_queued ON outbox (row) WHERE state = 'queued';
CREATE INDEX job_look_again ON job (number) WHERE mtime_ns = -1;
CREATE TABLE carried (job INTEGER PRIMARY KEY, state TEXT NOT NULL, sha256 TEXT NOT NULL);
"""
_THIRD = """
ALTER TABLE job ADD COLUMN kills INTEGER NOT NULL DEFAULT 0;
"""
_UPGRADES = (_TABLES, _SECOND, _THIRD)
"""What leads from each schema to the next; an outbox that is full survives them."""


class JournalError(EdgeError):
    """The journal cannot be used; the message says what to do."""


class Head(NamedTuple):
    """Last row of the chain, and its code as 64 hex digits."""

    row: int
    mac: str


class Event(NamedTuple):
    """One row of the chain, read."""

    row: int
    at: float
    job: int | None
    kind: str
    detail: dict[str, Any]


class _Event(NamedTuple):
    """One row of the chain without its code."""

    row: int
    at: float
    job: int | None
    kind: str
    detail: str


LAST_ROW = (1 << 63) - 1
"""Beyond every row."""
_LONG_LOG = 64 << 20
_BUSY_S = 10
_QUICKLY_CHECKED = 64 << 20
_NOT_THE_FILES = ("locked", "busy", "full", "I/O", "unable to open", "readonly", "permission")
"""Words in SQLite's errors that tell of the machine, not of a damaged file."""
_ORIGIN = Head(0, "0" * 64)
COUNTERS = ("session", "sequence")
_REBUILT = "rebuilt"
CUT_FOUND = "cut_found"
"""Kind of the chain's row that tells of a published row that the chain lacks."""


@dataclass(frozen=True)
class BrokenChain:
    """Where the chain does not hold: the first row that does not follow from the one before.

    ``row`` lies before ``expected_row`` where the tail was cut: rows up to ``expected_row`` had
    been written.
    """

    row: int
    expected_row: int


def _detail(text: str) -> dict[str, Any]:
    """Read a row's detail; nothing where it was changed, which the chain shows."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


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
        self._path = path
        self.db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        # A flipped bit may leave no UTF-8; it must show as another value, not as an exception.
        self.db.text_factory = _text
        try:
            self.db.execute("PRAGMA journal_mode=WAL")
            self.db.execute("PRAGMA synchronous=FULL")
            self.db.execute("PRAGMA foreign_keys=ON")
            self._prepare(path)
            self._place = self._identity()
        except BaseException:
            self.db.close()
            raise

    def _prepare(self, path: Path) -> None:
        version = self.db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            message = (
                f"{path}: written by a later release (schema {version}, this one knows {SCHEMA}): "
                "install that release again, or let its outbox run empty first"
            )
            raise JournalError(message)
        if version < SCHEMA:
            with self.transaction():
                version = self.db.execute("PRAGMA user_version").fetchone()[0]
                for step in _UPGRADES[version:]:
                    for statement in step.split(";\n"):
                        self.db.execute(statement)
                if version == 1:
                    self._sign_what_is_there()
                self.db.execute(f"PRAGMA user_version={SCHEMA}")

    def _sign_what_is_there(self) -> None:
        """Give the rows of an earlier release the signatures that it did not write."""
        rows = self.db.execute("SELECT row, id, kind, payload FROM outbox").fetchall()
        for row in rows:
            seal = self.seal(row["id"], row["kind"], row["payload"])
            self.db.execute("UPDATE outbox SET seal = ? WHERE row = ?", (seal, row["row"]))
        for row in self.db.execute("SELECT study, body FROM study").fetchall():
            seal = self.seal(row["study"], "study", row["body"].encode())
            self.db.execute("UPDATE study SET seal = ? WHERE study = ?", (seal, row["study"]))
        self._sign_head(self.head())

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One durable change: all of it or nothing.

        ``IMMEDIATE``, because a transaction that reads first and writes later ignores the busy
        timeout.
        """
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
        event = _Event(head.row + 1, steady_unix_s(), job, kind, text)
        mac = self._mac(head, event)
        self.db.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)", (*event, mac))
        self._sign_head(Head(event.row, mac.hex()))

    def head(self) -> Head:
        """Last row of the chain."""
        found = self.db.execute("SELECT row, mac FROM event ORDER BY row DESC LIMIT 1").fetchone()
        return self.checkpoint() if found is None else Head(found["row"], found["mac"].hex())

    def checkpoint(self) -> Head:
        """Last row that retention has cut off; row 0 where nothing was cut."""
        found = self._meta("cut")
        if found is None:
            return _ORIGIN
        row, mac, _signature = str(found).split(":")
        return Head(int(row), mac)

    def events(self, last: int = LAST_ROW) -> Iterator[Event]:
        """Rows of the chain, oldest first, up to row ``last``."""
        query = "SELECT row, at, job, kind, detail FROM event WHERE row <= ? ORDER BY row"
        for it in self.db.execute(query, (last,)):
            yield Event(it["row"], it["at"], it["job"], it["kind"], _detail(it["detail"]))

    def code_of(self, row: int) -> str | None:
        """Code of a row as 64 hex digits; None where the chain has no such row."""
        found = self.db.execute("SELECT mac FROM event WHERE row = ?", (row,)).fetchone()
        if found is None:
            cut = self.checkpoint()
            return cut.mac if cut.row == row else None
        return str(found["mac"].hex())

    def has_our_schema(self) -> bool:
        """Whether tables and indices are those that this release makes."""
        with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as other:
            for statement in ";\n".join(_UPGRADES).split(";\n"):
                other.execute(statement)
            query = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
            ours = [tuple(row) for row in self.db.execute(query)]
            return ours == other.execute(query).fetchall()

    def verify(self, last: int = LAST_ROW) -> BrokenChain | None:
        """Walk the chain; None when every row follows from the one before.

        To the signed head, or only up to row ``last``.
        """
        head = self.checkpoint()
        if head.row and self._meta("cut") != self._signed("cut", head, self.carried_digest()):
            return BrokenChain(head.row, head.row)
        query = "SELECT row, at, job, kind, detail, mac FROM event WHERE row <= ? ORDER BY row"
        for it in self.db.execute(query, (last,)):
            event = _Event(*it[:5])
            sound = hmac.compare_digest(self._mac(head, event), it["mac"])
            if event.row != head.row + 1 or not sound:
                return BrokenChain(event.row, head.row + 1)
            head = Head(event.row, it["mac"].hex())
        if last < LAST_ROW:
            return None
        signed = str(self._meta("head") or "")
        if (head.row or signed) and signed != self._signed("head", head):
            number = signed.partition(":")[0]
            return BrokenChain(head.row, int(number) if number.isdigit() else head.row)
        return None

    def carried_digest(self) -> str:
        """SHA-256 over what a checkpoint keeps of jobs whose rows were cut."""
        digest = hashlib.sha256()
        for it in self.db.execute("SELECT job, state, sha256 FROM carried ORDER BY job"):
            digest.update(json.dumps(list(it)).encode())
        return digest.hexdigest()

    def cut(self, row: int) -> None:
        """Cut the chain off up to a row, which becomes the checkpoint; inside a transaction.

        What ``carried`` holds is signed with it and must be written before.
        """
        code = self.code_of(row)
        assert code is not None  # noqa: S101 - the caller chose a row of the chain
        self.db.execute("DELETE FROM event WHERE row <= ?", (row,))
        self._set_meta("cut", self._signed("cut", Head(row, code), self.carried_digest()))
        self.log("checkpoint", cut=row)

    def shorten_log(self) -> bool:
        """Give a long write-ahead log back to the disk, which SQLite mostly does itself.

        False where a reader that stays open pins it.
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

    def signed_head(self) -> Head | None:
        """Head as it was signed last; None where the signature is not ours."""
        row, _, rest = str(self._meta("head") or "").partition(":")
        head = Head(int(row), rest.partition(":")[0]) if row.isdigit() else None
        return head if head and self._meta("head") == self._signed("head", head) else None

    def knows_key(self) -> bool:
        """Whether anything in the file was written under this key, or nothing is in it."""
        before = self.checkpoint()
        rows = self.db.execute("SELECT row, at, job, kind, detail, mac FROM event ORDER BY row")
        empty = True
        for it in rows:
            if hmac.compare_digest(self._mac(before, _Event(*it[:5])), it["mac"]):
                return True
            empty, before = False, Head(it["row"], it["mac"].hex())
        return empty or self.signed_head() is not None

    def least(self, counter: str) -> int:
        """Highest number of a counter that rows still tell of."""
        if counter == "session":
            found = self.db.execute("SELECT detail FROM event WHERE kind = 'session'")
            given = [_detail(row["detail"]).get("session") for row in found]
        else:
            given = [row["sequence"] for row in self.db.execute("SELECT sequence FROM outbox")]
        return max((number for number in given if isinstance(number, int)), default=0)

    def counter_holds(self, name: str) -> bool:
        """Whether a counter's next value is a new one."""
        value = self._meta(name) or 0
        return isinstance(value, int) and value >= self.least(name)

    def code_of_path(self, path: bytes) -> str:
        """Keyed hash (16 hex digits) that stands for a path in the chain, which may be shown."""
        return hmac.digest(self._key, b"path\0" + path, "sha256").hex()[:16]

    def is_in_place(self) -> bool:
        """Whether the files that are open are still those under the journal's name."""
        found = self._identity()
        # The log is made at the first transaction.
        self._place = tuple(was or now for was, now in zip(self._place, found, strict=True))
        return found == self._place

    def put_back(self) -> None:
        """Write the open journal under its name again, whatever lies there now.

        Connections that are open go on with the file that lost its name: open the journal anew.
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
        _move_aside(self._path, "stranger")
        part.replace(self._path)
        sync_folder(self._path.parent)

    def _identity(self) -> tuple[tuple[int, int] | None, ...]:
        """Device and inode of the journal and of its write-ahead log."""
        return tuple(
            map(_identity_of, (self._path, self._path.with_name(f"{self._path.name}-wal")))
        )

    def seal(self, result_id: str, kind: str, payload: bytes) -> bytes:
        """Code of a message in the outbox: a flipped bit must never become a score."""
        return hmac.digest(self._key, f"{result_id}\0{kind}\0".encode() + payload, "sha256")

    def _signed(self, what: str, head: Head, more: str = "") -> str:
        text = f"{what}:{head.row}:{head.mac}:{more}".encode()
        return f"{head.row}:{head.mac}:{hmac.digest(self._key, text, 'sha256').hex()}"

    def _sign_head(self, head: Head) -> None:
        self._set_meta("head", self._signed("head", head))

    def _meta(self, key: str) -> Any:
        found = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if found is None else found["value"]

    def _set_meta(self, key: str, value: Any) -> None:
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def _mac(self, before: Head, event: _Event) -> bytes:
        text = json.dumps([before.mac, *event], separators=(",", ":"))
        return hmac.digest(self._key, text.encode(), "sha256")

    def counter(self, name: str) -> int:
        """Next value of a counter that never goes back; only inside a transaction."""
        value = int(self._meta(name) or 0) + 1
        self._set_meta(name, value)
        return value

    def skip_numbers(self) -> None:
        """Set counters beyond any that may have been given; only inside a transaction."""
        for name in COUNTERS:
            beyond = max(int(self._meta(name) or 0), int(steady_unix_s()))
            self._set_meta(name, beyond)

    def begun_anew(self) -> bool:
        """Whether this journal replaced one that was damaged or gone."""
        found = self.db.execute("SELECT 1 FROM event WHERE kind = ? LIMIT 1", (_REBUILT,))
        return found.fetchone() is not None

    def told_of_cut(self, head: Head) -> bool:
        """Whether the chain tells already that this published row is missing."""
        found = self.db.execute("SELECT detail FROM event WHERE kind = ?", (CUT_FOUND,))
        return any(_detail(row["detail"]).get("code") == head.mac for row in found)

    def close(self) -> None:
        """Close the connection."""
        self.db.close()


def open_store(path: Path, key: bytes, *, expected: bool = False) -> tuple[Store, bool]:
    """Open the journal; a damaged one is set aside.

    Returns it, and whether it was begun anew: damaged, or gone although it was ``expected``.
    """
    gone = expected and not path.exists()
    try:
        store = Store(path, key)
        if gone:
            return _begun_anew(store), True
        if _is_sound(store, path):
            if not store.knows_key():
                store.close()
                message = (
                    f"{path}: was written under another device.key: put that key back, or move the "
                    "journal away to begin anew"
                )
                raise JournalError(message)
            return store, False
        store.close()
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        if any(word in str(error) for word in _NOT_THE_FILES):
            raise JournalError(f"{path}: {error}; free the disk or end its other user") from error
    return begin_anew(path, key), True


def _is_sound(store: Store, path: Path) -> bool:
    """Check the file's structure, with its indices where that is quick or was asked for."""
    asked = suspect_mark(path)
    thorough = asked.exists() or path.stat().st_size < _QUICKLY_CHECKED
    check = "integrity_check" if thorough else "quick_check"
    sound = bool(store.db.execute(f"PRAGMA {check}").fetchone()[0] == "ok")
    asked.unlink(missing_ok=True)
    return sound and store.has_our_schema()


def _identity_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _move_aside(path: Path, why: str) -> None:
    """Give the journal's files another name, which says why and when."""
    stamp = int(steady_unix_s())
    for ending in ("", "-wal", "-shm"):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.rename(path.with_name(f"{path.name}.{why}-{stamp}{ending}"))


def suspect_mark(path: Path) -> Path:
    """File that asks the next start for a thorough check of the journal at ``path``."""
    return path.with_name(path.name + ".suspect")


def begin_anew(path: Path, key: bytes) -> Store:
    """Set the journal at ``path`` aside, under a name that says so, and make a new one."""
    _move_aside(path, "damaged")
    return _begun_anew(Store(path, key))


def _begun_anew(store: Store) -> Store:
    """Set counters beyond any that were given before: no number is given twice."""
    with store.transaction():
        store.skip_numbers()
        store.log(_REBUILT)
    return store
