"""How rows of the outbox end: acknowledged, answered by a receipt, or set aside.

Layer: delivery; reads and writes the outbox, receipts and films of the journal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.contract.payloads import DeliveryMode
from edge.delivery.repeats import queue_companions, receivers_of
from edge.journal.film_end import end_film, film_waits_for
from edge.journal.kinds import MQTT
from edge.journal.orders import work_again
from edge.journal.rows import number_of
from edge.journal.states import State
from edge.outputs.table import needs_receipt
from edge.system.clock import steady_unix_s

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection

    from edge.delivery.repeats import Repeats
    from edge.journal.rows import Row
    from edge.journal.store import Store

_DASHBOARDS = 16
"""Dashboards of which receipts of one result are stored, where the site names none."""


class Endings:
    """Ends rows; the parameters are those of `edge.delivery.outbox.Outbox`."""

    def __init__(
        self, store: Store, mode: DeliveryMode, receivers: Collection[str], repeats: Repeats
    ) -> None:
        self._store = store
        self._db = store.db
        self._mode = mode
        self._receivers = frozenset(receivers)
        self._repeats = repeats

    def acknowledged(self, rows: Collection[int]) -> None:
        """Note that the broker has these rows."""
        with self._store.transaction():
            for number in rows:
                of = self._db.execute(
                    "SELECT id, kind, state, sendings FROM outbox WHERE row = ?", (number,)
                ).fetchone()
                if of is None:
                    continue
                if not needs_receipt(of["kind"]) or self._mode is DeliveryMode.PUBACK:
                    self._close(number, "closed", None)
                    continue
                if of["state"] == "queued":
                    self._db.execute("UPDATE outbox SET state = 'waiting' WHERE row = ?", (number,))
                if of["state"] in {"queued", "waiting"}:
                    self._repeats.acknowledged(number, of["id"], number_of(of["sendings"]))

    def receipts(self, given: Collection[tuple[str, str]]) -> int:
        """Store receipts (id, dashboard); returns how many are for nothing that was sent.

        Those of dashboards that the site does not name count among them, where it names some.
        """
        with self._store.transaction():
            return sum(not self._receipt(result_id, receiver) for result_id, receiver in given)

    def _receipt(self, result_id: str, receiver: str) -> bool:
        found = self._answerable(result_id)
        if found is None or not found["sendings"]:
            return False
        if self._receivers and receiver not in self._receivers:
            return False
        new = self._db.execute(
            "INSERT OR IGNORE INTO receipt SELECT ?, ?, ? WHERE "
            "(SELECT COUNT(*) FROM receipt WHERE id = ?) < ?",
            (result_id, receiver, steady_unix_s(), result_id, _DASHBOARDS),
        ).rowcount
        if new:
            self._store.log("receipt", found["job"], id=result_id, receiver=receiver)
        if self._repeats.answered(found["row"], receiver):
            queue_companions(self._db, result_id)
        answered = self._receivers <= receivers_of(self._db, result_id)
        if found["state"] in {"queued", "waiting"} and answered:
            self._close(found["row"], "closed", None)
        return True

    def _answerable(self, result_id: str) -> sqlite3.Row | None:
        """The row with this id that waits for a receipt; rows without one share the id."""
        rows = self._db.execute(
            "SELECT row, kind, job, state, sendings FROM outbox WHERE id = ? AND destination = ?",
            (result_id, MQTT),
        )
        return next((it for it in rows if needs_receipt(it["kind"])), None)

    def score_again(self, row: Row) -> None:
        """Set a message aside that is not what was written, and have its film scored again."""
        with self._store.transaction():
            self._close(row.row, "set_aside", "damaged")
            work_again(self._store, row.job, "message_lost")

    def set_aside(self, number: int, why: str) -> None:
        """Stop sending a row, so that the next ones are sent."""
        with self._store.transaction():
            self._close(number, "set_aside", why)

    def drop_file(self, number: int) -> None:
        """End a row that was sent before and whose file is not kept any more."""
        with self._store.transaction():
            self._close(number, "closed", "not_kept")

    def _close(self, number: int, state: str, why: str | None) -> None:
        found = self._db.execute(
            "UPDATE outbox SET state = ?, why = ? WHERE row = ? AND state IN ('queued', 'waiting') "
            "RETURNING id, kind, job",
            (state, why, number),
        ).fetchone()
        if found is None:
            return
        self._repeats.closed(number)
        if state == "set_aside" or needs_receipt(found["kind"]):
            self._store.log(
                f"message_{state}", found["job"], id=found["id"], kind=found["kind"], why=why
            )
        if film_waits_for(str(found["kind"]), MQTT):
            end_film(self._store, found["job"], delivered_by(self._mode))


def delivered_by(mode: DeliveryMode) -> State:
    """State of a film all of whose messages were delivered."""
    return State.ACKED if mode is DeliveryMode.PUBACK else State.RECEIPTED
