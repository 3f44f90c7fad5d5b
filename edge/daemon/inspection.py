"""Verifies the whole journal while the appliance runs, in small steps.

Layer: daemon; reads and repairs the journal.

A start verifies only the end of a large journal. This verifies the log from its checkpoint and
compares every film, message and study with it; `edge.daemon.repair` repairs what can be proved. One
pass follows each start, then one a day; memory and each step do not grow with the journal.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from edge.daemon.repair import (
    chain_text,
    repair_span,
    repair_strays,
    repair_study,
    repair_text,
)
from edge.journal.chain import BrokenChain
from edge.journal.spans import spans

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from edge.journal.store import Store

_AGAIN_S = 86_400.0
_ROWS = 200
_FILMS = 20
_STUDIES = 50
_UNREADABLE = (TypeError, ValueError, AttributeError)


class Fault(NamedTuple):
    """Finding of a step: the alert's code and text."""

    code: str
    detail: str


class Inspection:
    """Passes over the journal, on the thread of ``store``."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._steps = self._pass()
        self._rest_until_s: float | None = None

    @property
    def resting(self) -> bool:
        """Whether the latest pass is over."""
        return self._rest_until_s is not None

    def turn(self, budget_s: float) -> list[Fault]:
        """Continue for ``budget_s`` seconds; returns what was found.

        Raises `sqlite3.DatabaseError` where the file itself is damaged.
        """
        begun_s = time.monotonic()
        if self._rest_until_s is not None:
            if begun_s < self._rest_until_s:
                return []
            self._rest_until_s, self._steps = None, self._pass()
        found = []
        for fault in self._steps:
            if fault is not None:
                found.append(fault)
            if time.monotonic() - begun_s > budget_s:
                return found
        self._rest_until_s = time.monotonic() + _AGAIN_S
        return found

    def _pass(self) -> Iterator[Fault | None]:
        broken = yield from self._chain()
        if broken is not None:
            yield Fault("journal_chain", chain_text(broken))
        for first, last in spans(self._store, _FILMS):
            yield self._films(first, last, whole=broken is None)
        with self._store.transaction():
            strays = repair_strays(self._store)
        yield _repaired(dict(+strays))
        yield from self._studies()

    def _chain(self) -> Generator[None, None, BrokenChain | None]:
        """Verify the chain; the generator returns where it is broken."""
        store = self._store
        head = store.verify_checkpoint()
        while not isinstance(head, BrokenChain):
            yield None
            # Retention may have deleted rows meanwhile; it verifies what it deletes.
            cut = store.checkpoint()
            head = cut if cut.row > head.row else head
            store.db.execute("BEGIN")
            try:
                end = store.follow(head, head.row + _ROWS)
                if end == head:
                    return store.verify_head(head)
                head = end
            finally:
                store.db.execute("ROLLBACK")
        return head

    def _films(self, first: int, last: int, *, whole: bool) -> Fault | None:
        try:
            return _repaired(repair_span(self._store, first, last, whole=whole))
        except _UNREADABLE:
            text = f"rows of jobs {first} to {last} cannot be read: sharpedge audit"
            return Fault("journal_chain", text)

    def _studies(self) -> Iterator[Fault | None]:
        after = ""
        query = "SELECT * FROM study WHERE study > ? ORDER BY study LIMIT ?"
        while True:
            try:
                with self._store.transaction() as db:
                    rows = db.execute(query, (after, _STUDIES)).fetchall()
                    count = sum(repair_study(self._store, row) for row in rows)
            except _UNREADABLE:
                yield Fault("journal_chain", "rows of studies cannot be read: sharpedge audit")
                return
            if not rows:
                return
            after = rows[-1]["study"]
            yield _repaired({"study": count} if count else {})


def _repaired(counts: dict[str, int]) -> Fault | None:
    text = repair_text(counts)
    return Fault("journal_mended", text) if text else None
