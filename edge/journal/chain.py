"""The journal's chained log: reading and verification.

Layer: journal; reads the SQLite file over a connection that is given.

Every change of state is a row of ``event``, chained by HMAC under the device key. A row that was
edited or removed breaks the chain; the signed head, which is stored here and published, shows that
the newest rows were deleted. Retention deletes the oldest rows and leaves a signed checkpoint.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from edge.journal.kinds import MQTT
from edge.journal.schema import RARE

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator


class Head(NamedTuple):
    """Number of a row of the chain, and its code as 64 hex digits."""

    row: int
    mac: str


class Event(NamedTuple):
    """One row of the chain, with its detail parsed."""

    row: int
    at: float
    job: int | None
    kind: str
    detail: dict[str, Any]


class Entry(NamedTuple):
    """One row of the chain without its code."""

    row: int
    at: float
    job: int | None
    kind: str
    detail: str


LAST_ROW = (1 << 63) - 1
"""At least as large as every row number."""
_ROW_DIGITS = 18
_KEY_CHECK_ROWS = 1000
_ORIGIN = Head(0, "0" * 64)
COUNTERS = ("session", "sequence")
REBUILT = "rebuilt"
CUT_FOUND = "cut_found"
"""Kind of the row that records that a published row is missing from the chain."""


@dataclass(frozen=True)
class BrokenChain:
    """The first row that does not follow from the one before.

    ``row`` is smaller than ``expected_row`` where the newest rows were deleted: rows up to
    ``expected_row`` had been written.
    """

    row: int
    expected_row: int


def _detail(text: str) -> dict[str, Any]:
    """Parse a row's detail; empty where it was changed, which `Chain.verify` finds."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _event(it: sqlite3.Row) -> Event:
    return Event(it["row"], it["at"], it["job"], it["kind"], _detail(it["detail"]))


class Chain:
    """The log over one connection; `edge.journal.store.Store` appends to it."""

    db: sqlite3.Connection
    _key: bytes

    def head(self) -> Head:
        """Last row of the chain."""
        found = self.db.execute("SELECT row, mac FROM event ORDER BY row DESC LIMIT 1").fetchone()
        return self.checkpoint() if found is None else Head(found["row"], found["mac"].hex())

    def checkpoint(self) -> Head:
        """Last row that retention has deleted; row 0 where nothing was deleted."""
        found = self._meta("cut")
        if found is None:
            return _ORIGIN
        row, mac, _signature = str(found).split(":")
        return Head(int(row), mac)

    def events(self, last: int = LAST_ROW) -> Iterator[Event]:
        """Rows of the chain, oldest first, up to row ``last``."""
        query = "SELECT row, at, job, kind, detail FROM event WHERE row <= ? ORDER BY row"
        yield from map(_event, self.db.execute(query, (last,)))

    def events_of_jobs(self, first: int, last: int) -> Iterator[Event]:
        """Rows of the chain that concern jobs ``first`` to ``last``, oldest first for each."""
        query = (
            "SELECT row, at, job, kind, detail FROM event WHERE job BETWEEN ? AND ? "
            "ORDER BY job, row"
        )
        yield from map(_event, self.db.execute(query, (first, last)))

    def code_of(self, row: int) -> str | None:
        """Code of a row as 64 hex digits; None where the chain has no such row."""
        found = self.db.execute("SELECT mac FROM event WHERE row = ?", (row,)).fetchone()
        if found is None:
            cut = self.checkpoint()
            return cut.mac if cut.row == row else None
        return str(found["mac"].hex())

    def verify(self, last: int = LAST_ROW) -> BrokenChain | None:
        """Verify the chain up to the signed head, or only up to row ``last``.

        None where every row follows from the one before.
        """
        start = self.verify_checkpoint()
        if isinstance(start, BrokenChain):
            return start
        end = self.follow(start, last)
        if isinstance(end, BrokenChain):
            return end
        return self.verify_head(end) if last == LAST_ROW else None

    def verify_end(self, rows: int) -> BrokenChain | None:
        """Verify only the rows after the last clean stop, at most ``rows``."""
        start = self.verify_checkpoint()
        if isinstance(start, BrokenChain):
            return start
        clean, late = self._clean(), self.head().row - rows
        code = self.code_of(late) if late > start.row else None
        for mark in (clean, None if code is None else Head(late, code)):
            if mark is not None and mark.row > start.row:
                start = mark
        end = self.follow(start, LAST_ROW)
        return end if isinstance(end, BrokenChain) else self.verify_head(end)

    def verify_checkpoint(self) -> Head | BrokenChain:
        """Give the checkpoint from which verification starts, or where it was changed."""
        head = self.checkpoint()
        if head.row and self._meta("cut") != self._signed("cut", head, self.carried_digest()):
            return BrokenChain(head.row, head.row)
        return head

    def follow(self, before: Head, last: int) -> Head | BrokenChain:
        """Verify the rows after ``before``, up to row ``last``; returns the last of them."""
        query = (
            "SELECT row, at, job, kind, detail, mac FROM event WHERE row > ? AND row <= ? "
            "ORDER BY row"
        )
        head = before
        for it in self.db.execute(query, (before.row, last)):
            event = Entry(*it[:5])
            mac = it["mac"]
            sound = isinstance(mac, bytes) and hmac.compare_digest(self._mac(head, event), mac)
            if event.row != head.row + 1 or not sound:
                return BrokenChain(event.row, head.row + 1)
            head = Head(event.row, mac.hex())
        return head

    def verify_head(self, end: Head) -> BrokenChain | None:
        """Compare the last row that was verified with the signed head."""
        signed = str(self._meta("head") or "")
        if (end.row or signed) and signed != self._signed("head", end):
            number = signed.partition(":")[0]
            return BrokenChain(end.row, int(number) if number.isdecimal() else end.row)
        return None

    def _clean(self) -> Head | None:
        """Row of the last clean stop; None where there is none, or the chain lacks it."""
        row, _, rest = str(self._meta("clean") or "").partition(":")
        if not (row.isascii() and row.isdigit()) or len(row) > _ROW_DIGITS:
            return None
        head = Head(int(row), rest.partition(":")[0])
        signed = self._meta("clean") == self._signed("clean", head)
        return head if signed and self.code_of(head.row) == head.mac else None

    def carried_digest(self) -> str:
        """SHA-256 over what a checkpoint keeps of the jobs whose rows were deleted."""
        digest = hashlib.sha256()
        for it in self.db.execute("SELECT job, state, sha256 FROM carried ORDER BY job"):
            digest.update(json.dumps(list(it)).encode())
        return digest.hexdigest()

    def signed_head(self) -> Head | None:
        """Head as it was signed last; None where the signature does not verify."""
        row, _, rest = str(self._meta("head") or "").partition(":")
        head = Head(int(row), rest.partition(":")[0]) if row.isdecimal() else None
        return head if head and self._meta("head") == self._signed("head", head) else None

    def knows_key(self) -> bool:
        """Whether the file was written under this key, or nothing is in it.

        One valid row near the chain's beginning or end suffices: others may have been edited.
        """
        if self.signed_head() is not None:
            return True
        start, end = self.checkpoint(), self.head()
        if end == start:
            return True
        late = max(start.row, end.row - _KEY_CHECK_ROWS)
        return self._knows_one_of(start) or self._knows_one_of(Head(late, self.code_of(late) or ""))

    def _knows_one_of(self, before: Head) -> bool:
        query = (
            "SELECT row, at, job, kind, detail, mac FROM event WHERE row > ? ORDER BY row LIMIT ?"
        )
        for it in self.db.execute(query, (before.row, _KEY_CHECK_ROWS)):
            if hmac.compare_digest(self._mac(before, Entry(*it[:5])), it["mac"]):
                return True
            before = Head(it["row"], it["mac"].hex())
        return False

    def highest_used(self, counter: str) -> int:
        """Highest number of a counter that is found in the rows."""
        if counter == "session":
            query = f"SELECT detail FROM event WHERE {RARE} AND kind = 'session'"  # noqa: S608
            given = [_detail(row["detail"]).get("session") for row in self.db.execute(query)]
        else:
            # A number that was damaged into text sorts above all others.
            found = self.db.execute(
                "SELECT MAX(sequence) FROM outbox WHERE sequence <= ?", (LAST_ROW,)
            )
            given = [found.fetchone()[0]]
        return max((number for number in given if isinstance(number, int)), default=0)

    def counter_holds(self, name: str) -> bool:
        """Whether a counter's next value was not used before."""
        value = self._meta(name) or 0
        return isinstance(value, int) and value >= self.highest_used(name)

    def code_of_path(self, path: bytes) -> str:
        """Keyed hash (16 hex digits) that stands for a path in the chain, which may be shown."""
        return hmac.digest(self._key, b"path\0" + path, "sha256").hex()[:16]

    def seal(self, result_id: str, kind: str, payload: bytes, *, destination: str = MQTT) -> bytes:
        """HMAC of an outbox row or study: a flipped bit must never become a score.

        The HMAC of an MQTT row does not name its destination, so that rows of earlier schemas stay
        valid; that of any other destination does, under a prefix that no id has. A row whose
        destination was changed fails either way.
        """
        prefix = "" if destination == MQTT else f"destination\0{destination}\0"
        text = f"{prefix}{result_id}\0{kind}\0".encode() + payload
        return hmac.digest(self._key, text, "sha256")

    def _signed(self, what: str, head: Head, more: str = "") -> str:
        text = f"{what}:{head.row}:{head.mac}:{more}".encode()
        return f"{head.row}:{head.mac}:{hmac.digest(self._key, text, 'sha256').hex()}"

    def note(self, key: str) -> str | None:
        """Text that was stored under a key; None where there is none."""
        found = self._meta(key)
        return None if found is None else str(found)

    def _meta(self, key: str) -> Any:
        found = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if found is None else found["value"]

    def _mac(self, before: Head, event: Entry) -> bytes:
        text = json.dumps([before.mac, *event], separators=(",", ":"))
        return hmac.digest(self._key, text.encode(), "sha256")

    def was_rebuilt(self) -> bool:
        """Whether this journal replaced one that was damaged or missing."""
        query = f"SELECT 1 FROM event WHERE {RARE} AND kind = ? LIMIT 1"  # noqa: S608
        return self.db.execute(query, (REBUILT,)).fetchone() is not None

    def cut_is_recorded(self, head: Head) -> bool:
        """Whether the chain already records that this published row is missing."""
        return any(event.detail.get("code") == head.mac for event in self.cuts_found())

    def cuts_found(self) -> list[Event]:
        """Rows that record that published rows are missing from the chain."""
        query = (
            f"SELECT row, at, job, kind, detail FROM event WHERE {RARE} AND kind = ? "  # noqa: S608
            "ORDER BY row"
        )
        return [_event(it) for it in self.db.execute(query, (CUT_FOUND,))]
