"""The outbox: rows to be sent over MQTT, in order.

Layer: delivery; reads and writes the outbox of the journal over the sender thread's connection.

States of a row: ``queued`` (the broker does not have it), ``waiting`` (the broker has it, a
dashboard has not answered), ``closed``, ``set_aside``. What is in flight or to be sent again is not
stored: after a crash or a lost connection everything that is not closed is sent again under the
same id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.delivery.counts import Counts
from edge.delivery.endings import Endings
from edge.delivery.repeats import Repeats, queue_companions
from edge.delivery.studies import Studies
from edge.journal.film_end import state_of
from edge.journal.kinds import MQTT, RESULT
from edge.journal.rows import row_of
from edge.journal.states import State, move
from edge.outputs.table import kinds_of
from edge.system.clock import steady_unix_s

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from edge.contract.payloads import DeliveryMode
    from edge.journal.rows import Row
    from edge.journal.store import Store


class Outbox:
    """Rows to be sent.

    Parameters
    ----------
    store
        The sender thread's own connection.
    mode
        When a row counts as delivered.
    receivers
        Dashboards that must all answer; empty: any one.
    resend_s
        Seconds until the first repeat of what no dashboard answered.

    ``endings`` ends rows, ``repeats`` chooses what is sent again, ``counts`` counts what waits,
    ``studies`` are the studies' topics.
    """

    def __init__(
        self, store: Store, mode: DeliveryMode, receivers: Collection[str], resend_s: float
    ) -> None:
        self.store = store
        self._db = store.db
        self.repeats = Repeats(store, mode, receivers, resend_s)
        self.endings = Endings(store, mode, receivers, self.repeats)
        self.counts = Counts(store.db)
        self.studies = Studies(store)

    def reopen(self) -> None:
        """Begin a new connection: what nobody answered is sent again, before new rows."""
        self.repeats.reopen()
        self.studies.republish()

    def next_rows(
        self,
        limit: int,
        in_flight: Collection[int],
        kinds: Collection[str] | None = None,
        resting: Collection[int] = (),
    ) -> list[Row]:
        """Rows to be sent that are neither in flight nor ``resting``, oldest first.

        ``kinds`` are all MQTT outputs by default. Half of the places are for rows that have never
        been sent: they do not wait until others are answered.
        """
        wanted = kinds_of(MQTT) if kinds is None else kinds
        skip = {*in_flight, *resting}
        new: list[int] = []
        for kind in wanted:
            found = self._db.execute(
                "SELECT row FROM outbox WHERE state = 'queued' AND destination = ? AND kind = ? "
                "ORDER BY row LIMIT ?",
                (MQTT, kind, limit + len(skip)),
            )
            new += [r["row"] for r in found if r["row"] not in skip]
        again = self.repeats.chosen(wanted, skip)
        first = [row for row in again if self.repeats.is_first(row)][:limit]
        other = [row for row in again if not self.repeats.is_first(row)]
        left = limit - len(first)
        share = max(left - len(new), (left + 1) // 2)
        chosen = [*first, *other[:share]]
        chosen += sorted(new)[: limit - len(chosen)]
        return [row for row in map(self.row, sorted(chosen)) if row is not None]

    def row(self, number: int) -> Row | None:
        """Read one row; None where it is gone."""
        found = self._db.execute("SELECT * FROM outbox WHERE row = ?", (number,)).fetchone()
        return None if found is None else row_of(self.store, found)

    def note_sent(self, rows: Iterable[Row]) -> None:
        """Count sendings; a film whose result was sent for the first time becomes ``sent``.

        The rows that accompany a repeat, e.g. its picture, are queued again, unless the repeat only
        asks whether a dashboard is there.
        """
        now = steady_unix_s()
        with self.store.transaction():
            for it in rows:
                self._db.execute(
                    "UPDATE outbox SET sendings = sendings + 1, last_sent = ? WHERE row = ?",
                    (now, it.row),
                )
                if self.repeats.sent(it.row):
                    queue_companions(self._db, it.result_id)
                if it.kind == RESULT and state_of(self._db, it.job) is State.QUEUED:
                    move(self.store, it.job, State.SENT, id=it.result_id, sequence=it.sequence)
