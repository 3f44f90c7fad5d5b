"""The journal's films a few at a time, each with what the log records of it.

Layer: journal; reads the SQLite file through a `Store`.

Repair, inspection and audit read all films span by span, so that memory does not grow with the
journal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge.journal.chain import LAST_ROW
from edge.journal.states import State

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from edge.journal.chain import Event
    from edge.journal.store import Store

_STATES = frozenset(map(str, State))
_FIRST = -LAST_ROW
_SOURCES = (
    "SELECT number AS n FROM job WHERE number > ? AND number <= ? ORDER BY number LIMIT ?",
    "SELECT DISTINCT job AS n FROM outbox WHERE job > ? AND job <= ? ORDER BY job LIMIT ?",
    "SELECT DISTINCT job AS n FROM event WHERE job > ? AND job <= ? ORDER BY job LIMIT ?",
)


@dataclass
class Logged:
    """What checkpoint and log record of one film; ``state`` None where they have nothing."""

    state: State | None = None
    sha256: str = ""
    path_code: str | None = None
    ids: frozenset[str] = frozenset()
    closed: set[str] = field(default_factory=set)
    replayed: set[str] = field(default_factory=set)
    expired: bool = False
    """Whether retention has deleted its copies."""

    def add(self, event: Event) -> None:
        """Add one row of the log that concerns this film."""
        detail = event.detail
        if event.kind in _STATES:
            self.state = State(event.kind)
            self.sha256 = str(detail.get("sha256", self.sha256))
        if event.kind == "message_closed":
            self.closed.add(str(detail.get("id")))
        elif "path" in detail:
            self.path_code = str(detail["path"])
        elif event.kind == "replay":
            self.replayed.add(str(detail.get("id")))
        elif event.kind == "copy_expired":
            self.expired = True
        elif isinstance(detail.get("ids"), list) and detail["ids"]:
            self.ids = frozenset(map(str, detail["ids"]))


@dataclass(frozen=True)
class Span:
    """The films whose job numbers are ``first`` to ``last``."""

    first: int
    last: int
    jobs: dict[int, sqlite3.Row]
    logged: dict[int, Logged]
    messages: dict[int, list[sqlite3.Row]]
    """Rows of the outbox by job."""


def bounds(store: Store, after: int, size: int) -> tuple[int, int] | None:
    """First and last job number of the next span of about ``size`` films; None at the end."""
    whole: list[int] = []
    cut: list[int] = []
    for query in _SOURCES:
        found = [row["n"] for row in store.db.execute(query, (after, LAST_ROW, size))]
        if found:
            (cut if len(found) == size else whole).append(found[-1])
    if not whole and not cut:
        return None
    return after + 1, min(cut) if cut else max(whole)


def read(store: Store, first: int, last: int) -> Span:
    """Read one span; consistent where the caller has begun a transaction."""
    messages: dict[int, list[sqlite3.Row]] = {}
    query = "SELECT * FROM outbox WHERE job BETWEEN ? AND ?"
    for row in store.db.execute(query, (first, last)):
        messages.setdefault(row["job"], []).append(row)
    jobs = store.db.execute("SELECT * FROM job WHERE number BETWEEN ? AND ?", (first, last))
    return Span(
        first, last, {row["number"]: row for row in jobs}, logged_of(store, first, last), messages
    )


def logged_of(store: Store, first: int, last: int) -> dict[int, Logged]:
    """What checkpoint and log record of the films of a span."""
    logged = carried_of(store, first, last)
    for event in store.events_of_jobs(first, last):
        if event.job is not None:
            logged.setdefault(event.job, Logged()).add(event)
    return logged


def carried_of(store: Store, first: int, last: int) -> dict[int, Logged]:
    """What the checkpoint records of the films of a span."""
    logged: dict[int, Logged] = {}
    query = "SELECT job, state, sha256 FROM carried WHERE job BETWEEN ? AND ?"
    for row in store.db.execute(query, (first, last)):
        # The row that recorded the deletion of the copies may have been deleted itself.
        state = State(row["state"]) if row["state"] in _STATES else None
        logged[row["job"]] = Logged(state, str(row["sha256"]), expired=True)
    return logged


def spans(store: Store, size: int) -> Iterator[tuple[int, int]]:
    """First and last job number of each span, ascending."""
    after = _FIRST
    while (found := bounds(store, after, size)) is not None:
        yield found
        after = found[1]


def strays(store: Store) -> list[sqlite3.Row]:
    """Rows of the outbox whose job is not a number: a fault has changed it."""
    return store.db.execute("SELECT * FROM outbox WHERE job > ?", (LAST_ROW,)).fetchall()
