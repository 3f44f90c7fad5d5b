"""The outbox's rows for the PACS: which are sent next, and how they end.

Layer: delivery; reads and writes the outbox of the journal over the PACS thread's connection.

States of a row: ``undrawn`` (its file is not written), ``queued`` (the PACS does not have it),
``waiting`` (the PACS has it, and has not committed to it), ``closed``, ``set_aside``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.delivery.counts import Counts
from edge.journal.film_end import end_film
from edge.journal.kinds import PACS
from edge.journal.rows import row_of
from edge.journal.schema import OPEN
from edge.journal.states import UNDRAWN
from edge.outputs.document_rows import rewrite
from edge.outputs.table import kinds_of
from edge.system.clock import steady_unix_s

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge.journal.rows import Row
    from edge.journal.states import State
    from edge.journal.store import Store
    from edge.outputs.document import StoredDocument


class PacsQueue:
    """Rows for the PACS; ``delivered`` is the state of a film that is delivered."""

    def __init__(self, store: Store, delivered: State) -> None:
        self._store = store
        self._db = store.db
        self._delivered = delivered
        self.counts = Counts(store.db, PACS)

    def next_rows(self, limit: int, resting: Collection[int]) -> list[Row]:
        """Rows to be stored that do not rest, oldest first."""
        numbers: list[int] = []
        for kind in kinds_of(PACS):
            found = self._db.execute(
                "SELECT row FROM outbox WHERE state = 'queued' AND destination = ? AND kind = ? "
                "ORDER BY row LIMIT ?",
                (PACS, kind, limit + len(resting)),
            )
            numbers += [it["row"] for it in found if it["row"] not in resting]
        rows = [self.row(number) for number in sorted(numbers)[:limit]]
        return [row for row in rows if row is not None]

    def waiting(self) -> list[int]:
        """Rows that the PACS has stored and not committed to."""
        found = self._db.execute(
            "SELECT row FROM outbox WHERE state = 'waiting' AND destination = ? ORDER BY row",
            (PACS,),
        )
        return [it["row"] for it in found]

    def row(self, number: int) -> Row | None:
        """Read one row that is open; None where it is not any more."""
        found = self._db.execute(
            "SELECT * FROM outbox WHERE row = ? AND state IN ('queued', 'waiting')", (number,)
        ).fetchone()
        return None if found is None else row_of(self._store, found)

    def stored(self, row: Row, remark: str, *, closes: bool) -> None:
        """Note that the PACS has stored a document; ``closes`` where that is its receipt."""
        with self._store.transaction():
            self._db.execute(
                "UPDATE outbox SET state = 'waiting', sendings = sendings + 1, last_sent = ? "
                "WHERE row = ? AND state IN ('queued', 'waiting')",
                (steady_unix_s(), row.row),
            )
            detail = {"remark": remark} if remark else {}
            self._store.log("stored", row.job, id=row.result_id, kind=row.kind, **detail)
            if closes:
                self._close(row.row, "closed", None)

    def committed(self, rows: Collection[int], transaction: str) -> None:
        """Close rows to which the PACS has committed."""
        with self._store.transaction():
            for number in rows:
                row = self.row(number)
                if row is not None:
                    self._store.log("committed", row.job, id=row.result_id, transaction=transaction)
                    self._close(number, "closed", None)

    def answered(self, number: int) -> None:
        """Close a row whose C-STORE was answered, where the site wants no commitment."""
        with self._store.transaction():
            self._close(number, "closed", None)

    def store_again(self, number: int, why: str) -> None:
        """Queue a row again that the PACS did not commit to."""
        with self._store.transaction():
            found = self._db.execute(
                "UPDATE outbox SET state = 'queued' WHERE row = ? AND state = 'waiting' "
                "RETURNING id, job",
                (number,),
            ).fetchone()
            if found is not None:
                self._store.log("not_committed", found["job"], id=found["id"], why=why)

    def set_aside(self, number: int, why: str) -> None:
        """Stop sending a row, so that the next ones are sent."""
        with self._store.transaction():
            self._close(number, "set_aside", why)

    def set_all_aside(self, why: str) -> int:
        """Set aside every row that is open; returns how many."""
        with self._store.transaction():
            found = self._db.execute(
                f"SELECT row FROM outbox WHERE destination = ? AND {OPEN}",  # noqa: S608 - our own condition
                (PACS,),
            ).fetchall()
            for it in found:
                self._close(it["row"], "set_aside", why)
        return len(found)

    def lost(self, row: Row, document: StoredDocument) -> None:
        """Have a document made again whose file is gone or changed."""
        with self._store.transaction():
            for state in ("queued", "waiting"):
                rewrite(self._store, row.row, document.unwritten(), state, UNDRAWN)
            self._store.log("document_lost", row.job, id=row.result_id)

    def is_open(self, row_id: str) -> bool:
        """Whether a document may still be sent; its file is then needed."""
        found = self._db.execute(
            "SELECT state FROM outbox WHERE id = ? AND destination = ?", (row_id, PACS)
        ).fetchone()
        return found is not None and found["state"] != "closed"

    def _close(self, number: int, state: str, why: str | None) -> None:
        found = self._db.execute(
            "UPDATE outbox SET state = ?, why = ? WHERE row = ? AND state NOT IN "
            "('closed', 'set_aside') RETURNING id, kind, job",
            (state, why, number),
        ).fetchone()
        if found is not None:
            self._store.log(
                f"message_{state}", found["job"], id=found["id"], kind=found["kind"], why=why
            )
            end_film(self._store, found["job"], self._delivered)
