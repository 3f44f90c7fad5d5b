"""Rows that are sent again on the present connection: which, and when.

Layer: delivery; reads the outbox, keeps times in memory.

Times since a sending are on the monotonic clock: a wall clock that steps neither delays nor hastens
a repeat, and after a restart everything that is not closed is sent again anyway.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edge.contract.payloads import DeliveryMode
from edge.delivery.unanswered import REPEATS_A_PASS, Unanswered
from edge.journal.kinds import MQTT
from edge.outputs.table import OUTPUTS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection

    from edge.journal.store import Store


class Repeats:
    """Rows by number; the parameters are those of `edge.delivery.outbox.Outbox`."""

    def __init__(
        self, store: Store, mode: DeliveryMode, receivers: Collection[str], resend_s: float
    ) -> None:
        self._db = store.db
        self._mode = mode
        self._needs_receivers = bool(receivers)
        self._unanswered = Unanswered(receivers, resend_s, time.monotonic())
        self._again: dict[int, bool] = {}
        """Rows to be sent again; True where one only asks whether a dashboard is there."""
        self._first: set[int] = set()
        """Those of them that are sent before all new rows: the first ones of a new connection."""
        self._bare: set[int] = set()
        """Rows whose latest sending went without the rows that accompany them."""
        self._sweep_after: int | None = None
        """Rows after this one wait from earlier connections and are not chosen yet."""

    def reopen(self) -> None:
        """Begin a new connection: everything without an answer is sent again, before new rows."""
        self._unanswered.reconnected(time.monotonic())
        self._again.clear()
        self._bare.clear()
        self._sweep_after = 0
        self._sweep(REPEATS_A_PASS)
        self._first = set(self._again)

    def chosen(self, kinds: Collection[str], skip: Collection[int]) -> list[int]:
        """Rows of these kinds to be sent again that still wait, oldest first."""
        chosen = []
        for number in sorted(self._again):
            found = self._db.execute(
                "SELECT kind, state FROM outbox WHERE row = ? AND destination = ?", (number, MQTT)
            ).fetchone()
            if found is None or found["state"] != "waiting":
                self._again.pop(number)
            elif found["kind"] in kinds and number not in skip:
                chosen.append(number)
        return chosen

    def is_first(self, number: int) -> bool:
        """Whether a row is sent before all new rows."""
        return number in self._first

    def sent(self, number: int) -> bool:
        """Note a sending; whether the rows that accompany it must be sent again with it."""
        asks = self._again.pop(number, None)
        self._first.discard(number)
        if asks:
            self._bare.add(number)
        elif asks is not None:
            self._bare.discard(number)
        return asks is False

    def acknowledged(self, number: int, result_id: str, sendings: int) -> None:
        """Note that the broker has a row, which now waits for its receipt."""
        answered = self._receivers_of(result_id)
        if not self._unanswered.sent(number, sendings, answered, time.monotonic()):
            # Too many to be remembered: found again in the table.
            before = number - 1
            after = self._sweep_after
            self._sweep_after = before if after is None else min(after, before)

    def answered(self, number: int, receiver: str) -> bool:
        """Note a receipt; whether the rows that accompany this one must be sent now."""
        self._unanswered.answered(number, receiver, time.monotonic())
        if number not in self._bare:
            return False
        # It was sent alone, to ask: now a dashboard is there.
        self._bare.discard(number)
        return True

    def refused(self, number: int) -> None:
        """Note that the broker refused a repeat: it is sent again."""
        found = self._db.execute("SELECT state FROM outbox WHERE row = ?", (number,)).fetchone()
        if found is not None and found["state"] == "waiting":
            self._again[number] = False

    def closed(self, number: int) -> None:
        """Note that a row has reached its end."""
        self._unanswered.closed(number)
        self._again.pop(number, None)
        self._bare.discard(number)

    def choose_overdue(self) -> int:
        """Choose the rows that are to be sent again now, oldest first; returns how many."""
        now_s = time.monotonic()
        left = REPEATS_A_PASS - len(self._again)
        if left <= 0:
            return 0
        repeats = self._unanswered.repeats(left, now_s)
        self._again.update({it.row: it.asks for it in repeats})
        return len(repeats) + self._sweep(left - len(repeats))

    def _sweep(self, limit: int) -> int:
        """Choose among the rows that wait from earlier connections; returns how many."""
        chosen = 0
        while chosen < limit and self._sweep_after is not None:
            found = self._db.execute(
                "SELECT row, id FROM outbox WHERE state = 'waiting' AND destination = ? "
                "AND row > ? ORDER BY row LIMIT 1",
                (MQTT, self._sweep_after),
            ).fetchone()
            if found is None:
                self._sweep_after = None
                break
            if found["row"] not in self._unanswered and found["row"] not in self._again:
                if not self._may_repeat(found["id"]):
                    break
                self._again[found["row"]] = False
                chosen += 1
            self._sweep_after = found["row"]
        return chosen

    def _may_repeat(self, result_id: str) -> bool:
        now_s = time.monotonic()
        if self._mode is DeliveryMode.PUBACK:
            return True
        answered = self._receivers_of(result_id)
        return self._unanswered.is_listening(answered, now_s) or self._unanswered.spend_token(now_s)

    def _receivers_of(self, result_id: str) -> Collection[str]:
        """Dashboards that have answered; empty where the site names none, so that none matters."""
        return receivers_of(self._db, result_id) if self._needs_receivers else ()


def receivers_of(db: sqlite3.Connection, result_id: str) -> set[str]:
    """Dashboards whose receipt for a message is stored."""
    found = db.execute("SELECT receiver FROM receipt WHERE id = ?", (result_id,))
    return {r["receiver"] for r in found}


def queue_companions(db: sqlite3.Connection, result_id: str) -> None:
    """Queue the rows that accompany a message again, e.g. its picture; inside a transaction."""
    kinds = [it.kind for it in OUTPUTS.values() if not it.needs_receipt]
    marks = ",".join("?" * len(kinds))
    db.execute(
        f"UPDATE outbox SET state = 'queued' WHERE id = ? AND kind IN ({marks}) "  # noqa: S608
        "AND state = 'closed'",
        (result_id, *kinds),
    )
