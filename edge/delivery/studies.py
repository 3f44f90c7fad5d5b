"""Studies in the journal: which topic is published, repeated or cleared next.

Layer: delivery; reads and writes the table ``study``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.contract.payloads import StudyStatus
from edge.outputs.study import StudyBody, message_of
from edge.system.clock import steady_unix_s

if TYPE_CHECKING:
    import sqlite3

    from edge.contract.payloads import StudyMessage
    from edge.journal.store import Store
    from edge.model import Identifier

_LATEST = 1e18
"""Later than any study changed, in seconds since 1970."""
_AT_ONCE = 20
_PACE_S = 0.5
"""Between repeats on a new connection, after the first few."""
_EXPIRED_A_PASS = 10
"""Of each second: many that expire at once, after a long stop, must not load the machine."""


@dataclass(frozen=True)
class StudyRow:
    """A study whose latest body the broker does not have; ``message`` None clears its topic."""

    study: str
    version: int
    message: StudyMessage | None


class Studies:
    """Studies over one connection of the sender's thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._db = store.db
        self._before: tuple[float, str] | None = None
        """The study that was repeated last: when it changed, and its pseudonym."""
        self._at_s = 0.0
        self._left = 0

    def republish(self) -> None:
        """Have every study published again, the latest first."""
        self._before = (_LATEST, "")
        self._left = _AT_ONCE

    def expire(self, wait_s: float) -> None:
        """Mark the studies that did not fill within ``wait_s`` as incomplete."""
        before = steady_unix_s() - wait_s
        found = self._db.execute(
            "SELECT study FROM study WHERE status = 'filling' AND opened < ? LIMIT ?",
            (before, _EXPIRED_A_PASS),
        ).fetchall()
        if not found:
            return
        with self._store.transaction():
            for row in found:
                self._db.execute(
                    "UPDATE study SET status = ?, version = version + 1 WHERE study = ? "
                    "AND status = ?",
                    (StudyStatus.INCOMPLETE, row["study"], StudyStatus.FILLING),
                )

    def next(self, ttl_s: float, identifiers: tuple[Identifier, ...] = ()) -> StudyRow | None:
        """Choose a study to publish: to be cleared after ``ttl_s``, changed, or to be repeated.

        ``identifiers`` are those that the site wants in studies.
        """
        now = steady_unix_s()
        found = self._db.execute(
            "SELECT * FROM study WHERE changed < ? ORDER BY changed LIMIT 1", (now - ttl_s,)
        ).fetchone()
        if found is not None:
            return StudyRow(found["study"], found["version"], None)
        found = (
            self._db.execute("SELECT * FROM study WHERE version > published LIMIT 1").fetchone()
            or self._to_repeat()
        )
        if found is None:
            return None
        try:
            return self._read(found, identifiers)
        except ValueError:
            # A fault has changed it: it is published after the inspection has repaired it.
            with self._store.transaction():
                self._db.execute(
                    "UPDATE study SET published = version WHERE study = ?", (found["study"],)
                )
            return None

    def _read(self, found: sqlite3.Row, identifiers: tuple[Identifier, ...]) -> StudyRow:
        """Read a study. Raises `ValueError` where a fault has changed it."""
        body = StudyBody.model_validate_json(found["body"])
        status = StudyStatus(found["status"])
        message = message_of(found["study"], body, status, found["changed"], identifiers)
        return StudyRow(found["study"], found["version"], message)

    def _to_repeat(self) -> sqlite3.Row | None:
        """Next study, latest first, that is repeated because the broker may have lost it."""
        now_s = time.monotonic()
        if self._before is None or (self._left <= 0 and now_s < self._at_s):
            return None
        found: sqlite3.Row | None = self._db.execute(
            "SELECT * FROM study WHERE (changed, study) < (?, ?) "
            "ORDER BY changed DESC, study DESC LIMIT 1",
            self._before,
        ).fetchone()
        self._left -= 1
        self._at_s = now_s + _PACE_S
        self._before = None if found is None else (found["changed"], found["study"])
        return found

    def published(self, it: StudyRow) -> None:
        """Note that the broker has this version; a study whose topic was cleared is deleted."""
        with self._store.transaction():
            if it.message is None:
                self._db.execute(
                    "DELETE FROM study WHERE study = ? AND version = ?", (it.study, it.version)
                )
                return
            self._db.execute(
                "UPDATE study SET published = ? WHERE study = ? AND published < ?",
                (it.version, it.study, it.version),
            )

    def after(self, after: str, limit: int) -> list[str]:
        """Pseudonyms of the studies that follow ``after``, in their order."""
        found = self._db.execute(
            "SELECT study FROM study WHERE study > ? ORDER BY study LIMIT ?", (after, limit)
        )
        return [str(r["study"]) for r in found]
