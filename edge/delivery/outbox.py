"""Delivery: what waits to be delivered, over one connection of the sender's thread.

States of a row: ``queued`` (the broker does not have it), ``waiting`` (the broker has it, a
dashboard has not answered), ``closed``, ``set_aside``. What is in flight or to be sent again is not
written down: after a crash or a lost connection everything that is not closed is sent again under
the same id.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edge.contract.payloads import DeliveryMode
from edge.delivery.studies import Studies, StudyRow
from edge.delivery.unanswered import REPEATS_A_PASS, Unanswered
from edge.journal.chain import CUT_FOUND
from edge.journal.journal import Kind, State, move
from edge.journal.orders import work_again
from edge.journal.rows import Depth, Row, number_of, row_of
from edge.journal.schema import OPEN
from edge.system.clock import steady_unix_s

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from edge.journal.chain import Head
    from edge.journal.store import Store

_DASHBOARDS = 16
"""Dashboards of which receipts of one result are kept, where the site names none."""


class Outbox:
    """Rows and their ends.

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

    Times since a sending are kept in memory, on the monotonic clock: a wall clock that steps
    neither delays nor hastens a repeat, and after a restart everything goes out again anyway.
    """

    def __init__(
        self, store: Store, mode: DeliveryMode, receivers: Collection[str], resend_s: float
    ) -> None:
        self.store = store
        self._db = store.db
        self._mode = mode
        self._receivers = frozenset(receivers)
        self._unanswered = Unanswered(receivers, resend_s, time.monotonic())
        self._again: dict[int, bool] = {}
        """Rows to be sent again; True where one only asks whether a dashboard is there."""
        self._first: set[int] = set()
        """Those of them that go before all that is new: a new connection's first."""
        self._bare: set[int] = set()
        """Rows whose latest sending went without their picture."""
        self._sweep_after: int | None = None
        """Rows beyond this one wait from earlier connections and are yet to be sent again."""
        self._studies = Studies(store)

    def reopen(self) -> None:
        """After a new connection: what nobody answered goes out again, before what is new."""
        self._unanswered.reconnected(time.monotonic())
        self._again.clear()
        self._bare.clear()
        self._sweep_after = 0
        self._sweep(REPEATS_A_PASS)
        self._first = set(self._again)
        self.republish_studies()

    def next_rows(
        self,
        limit: int,
        in_flight: Collection[int],
        kinds: Collection[Kind] = tuple(Kind),
        resting: Collection[int] = (),
    ) -> list[Row]:
        """Rows to be sent that are neither in flight nor ``resting``, oldest first.

        Half of the places are for rows that have never been sent: they wait for no answer to
        others.
        """
        skip = {*in_flight, *resting}
        new: list[int] = []
        for kind in kinds:
            found = self._db.execute(
                "SELECT row FROM outbox WHERE state = 'queued' AND kind = ? ORDER BY row LIMIT ?",
                (kind, limit + len(skip)),
            )
            new += [r["row"] for r in found if r["row"] not in skip]
        again = self._repeats(kinds, skip)
        first = [row for row in again if row in self._first][:limit]
        other = [row for row in again if row not in self._first]
        left = limit - len(first)
        share = max(left - len(new), (left + 1) // 2)
        chosen = [*first, *other[:share]]
        chosen += sorted(new)[: limit - len(chosen)]
        return [row for row in map(self.row, sorted(chosen)) if row is not None]

    def _repeats(self, kinds: Collection[Kind], skip: Collection[int]) -> list[int]:
        """Rows to be sent again that still wait."""
        chosen = []
        for number in sorted(self._again):
            found = self._db.execute(
                "SELECT kind, state FROM outbox WHERE row = ?", (number,)
            ).fetchone()
            if found is None or found["state"] != "waiting":
                self._again.pop(number)
            elif found["kind"] in kinds and number not in skip:
                chosen.append(number)
        return chosen

    def row(self, number: int) -> Row | None:
        """Read one row; None where it is gone."""
        found = self._db.execute("SELECT * FROM outbox WHERE row = ?", (number,)).fetchone()
        return None if found is None else row_of(self.store, found)

    def note_sent(self, rows: Iterable[Row]) -> None:
        """Count sendings; a file whose result went out for the first time becomes ``sent``.

        What is sent again takes its picture along, unless it only asks for a dashboard.
        """
        now = steady_unix_s()
        with self.store.transaction():
            for it in rows:
                self._db.execute(
                    "UPDATE outbox SET sendings = sendings + 1, last_sent = ? WHERE row = ?",
                    (now, it.row),
                )
                asks = self._again.pop(it.row, None)
                self._first.discard(it.row)
                if asks:
                    self._bare.add(it.row)
                elif asks is not None:
                    self._bare.discard(it.row)
                    self.send_picture(it.result_id)
                if it.kind is Kind.RESULT and self._job_state(it.job) is State.QUEUED:
                    move(self.store, it.job, State.SENT, id=it.result_id, sequence=it.sequence)

    def send_picture(self, result_id: str) -> None:
        """Queue the picture of a message again; inside a transaction."""
        self._db.execute(
            "UPDATE outbox SET state = 'queued' WHERE id = ? AND kind = 'image' "
            "AND state = 'closed'",
            (result_id,),
        )

    def acknowledged(self, rows: Collection[int]) -> None:
        """Note that the broker has these rows."""
        with self.store.transaction():
            for number in rows:
                of = self._db.execute(
                    "SELECT id, kind, state, sendings FROM outbox WHERE row = ?", (number,)
                ).fetchone()
                if of is None:
                    continue
                if of["kind"] == Kind.IMAGE or self._mode is DeliveryMode.PUBACK:
                    self._close(number, "closed", None)
                    continue
                if of["state"] == "queued":
                    self._db.execute("UPDATE outbox SET state = 'waiting' WHERE row = ?", (number,))
                if of["state"] in {"queued", "waiting"}:
                    self._wait_for_answer(number, of["id"], number_of(of["sendings"]))

    def _wait_for_answer(self, number: int, result_id: str, sendings: int) -> None:
        answered = self._receivers_of(result_id) if self._receivers else ()
        if not self._unanswered.sent(number, sendings, answered, time.monotonic()):
            # Too many to be remembered: found again in the table.
            before = number - 1
            after = self._sweep_after
            self._sweep_after = before if after is None else min(after, before)

    def receipts(self, given: Collection[tuple[str, str]]) -> int:
        """Note receipts (result id, dashboard); returns how many are for nothing that was sent.

        Those of dashboards that the site does not name count among them, where it names some.
        """
        with self.store.transaction():
            return sum(not self._receipt(result_id, receiver) for result_id, receiver in given)

    def _receipt(self, result_id: str, receiver: str) -> bool:
        found = self._db.execute(
            "SELECT row, job, state, sendings FROM outbox WHERE id = ? AND kind != ?",
            (result_id, Kind.IMAGE),
        ).fetchone()
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
            self.store.log("receipt", found["job"], id=result_id, receiver=receiver)
        self._unanswered.answered(found["row"], receiver, time.monotonic())
        if found["row"] in self._bare:
            # It came alone, to ask: now a dashboard is there that takes its picture.
            self._bare.discard(found["row"])
            self.send_picture(result_id)
        if found["state"] in {"queued", "waiting"} and self._answered(result_id):
            self._close(found["row"], "closed", None)
        return True

    def _answered(self, result_id: str) -> bool:
        return self._receivers <= self._receivers_of(result_id)

    def _receivers_of(self, result_id: str) -> set[str]:
        found = self._db.execute("SELECT receiver FROM receipt WHERE id = ?", (result_id,))
        return {r["receiver"] for r in found}

    def note_published(self, head: Head, *, first_start: bool = False) -> bool:
        """Hold a head that was published earlier against the chain; whether its row is missing.

        A missing one is written into the chain, once, and numbers go on beyond those that may
        have been given. At the ``first_start`` of a journal it was another's, and is not missing.
        """
        if head.row <= self.store.checkpoint().row or self.store.code_of(head.row) == head.mac:
            return False
        with self.store.transaction():
            if self.store.begun_anew():
                return True
            if first_start:
                self.store.skip_numbers()
                return False
            if not self.store.told_of_cut(head):
                self.store.skip_numbers()
                self.store.log(CUT_FOUND, published=head.row, code=head.mac)
        return True

    def refused(self, number: int) -> None:
        """Note that the broker refused a row: it waits to be sent again."""
        found = self._db.execute("SELECT state FROM outbox WHERE row = ?", (number,)).fetchone()
        if found is not None and found["state"] == "waiting":
            self._again[number] = False

    def latest_set_aside(self) -> tuple[int, str] | None:
        """How many messages are set aside, and the latest of them in words."""
        found = self._db.execute(
            "SELECT job, kind, why FROM outbox WHERE state = 'set_aside' ORDER BY row DESC LIMIT 1"
        ).fetchone()
        if found is None:
            return None
        count = self._set_aside_count()
        return count, f"job {found['job']}: {found['kind']}: {found['why']}"

    def _set_aside_count(self) -> int:
        found = self._db.execute("SELECT COUNT(*) AS n FROM outbox WHERE state = 'set_aside'")
        return int(found.fetchone()["n"])

    def score_again(self, row: Row) -> None:
        """Give up a message that is not what was written, and have its film scored anew."""
        with self.store.transaction():
            self._close(row.row, "set_aside", "damaged")
            work_again(self.store, row.job, "message_lost")

    def set_aside(self, number: int, why: str) -> None:
        """Give a row up, so that the next ones flow."""
        with self.store.transaction():
            self._close(number, "set_aside", why)

    def drop_picture(self, number: int) -> None:
        """End a picture that was sent before and is not kept any more."""
        with self.store.transaction():
            self._close(number, "closed", "not_kept")

    def resend_overdue(self) -> int:
        """Choose what is to be sent again now, oldest first; returns how many."""
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
                "SELECT row, id FROM outbox WHERE state = 'waiting' AND row > ? ORDER BY row "
                "LIMIT 1",
                (self._sweep_after,),
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
        answered = self._receivers_of(result_id) if self._receivers else ()
        return self._unanswered.is_listening(answered, now_s) or self._unanswered.spend_token(now_s)

    def depth(self) -> Depth:
        """How much waits, and for how long the oldest has."""
        found = self._db.execute(f"SELECT COUNT(*) AS n FROM outbox WHERE {OPEN}")  # noqa: S608
        return Depth(found.fetchone()["n"], self.oldest_s(), self._set_aside_count())

    def oldest_s(self) -> float:
        """For how long the oldest message has waited; 0 where none waits."""
        query = f"SELECT MIN(created) AS oldest FROM outbox WHERE {OPEN}"  # noqa: S608
        oldest = self._db.execute(query).fetchone()["oldest"]
        return max(0.0, steady_unix_s() - oldest) if isinstance(oldest, int | float) else 0.0

    def republish_studies(self) -> None:
        """Every study's topic is to be written again, the latest first."""
        self._studies.republish()

    def expire_studies(self, wait_s: float) -> None:
        """Mark the studies that did not fill within ``wait_s`` as incomplete."""
        self._studies.expire(wait_s)

    def next_study(self, ttl_s: float) -> StudyRow | None:
        """Choose a study to publish: to be cleared after ``ttl_s``, changed, or to be repeated."""
        return self._studies.next(ttl_s)

    def study_published(self, it: StudyRow) -> None:
        """Note that the broker has this version of a study; one whose topic is clear is over."""
        self._studies.published(it)

    def studies(self, after: str, limit: int) -> list[str]:
        """Pseudonyms of studies in their order, those that follow ``after``."""
        return self._studies.after(after, limit)

    def _job_state(self, job: int) -> State | None:
        """State of a film; None where a fault took or changed its row, which the audit tells."""
        found = self._db.execute("SELECT state FROM job WHERE number = ?", (job,)).fetchone()
        return State(found["state"]) if found and found["state"] in set(State) else None

    def _close(self, number: int, state: str, why: str | None) -> None:
        found = self._db.execute(
            "UPDATE outbox SET state = ?, why = ? WHERE row = ? AND state IN ('queued', 'waiting') "
            "RETURNING id, kind, job",
            (state, why, number),
        ).fetchone()
        if found is None:
            return
        self._unanswered.closed(number)
        self._again.pop(number, None)
        self._bare.discard(number)
        if state == "set_aside" or found["kind"] != Kind.IMAGE:
            self.store.log(f"message_{state}", found["job"], id=found["id"], kind=found["kind"],
                           why=why)  # fmt: skip
        if found["kind"] == Kind.RESULT:
            self._end_job(found["job"])

    def _end_job(self, job: int) -> None:
        """Bring a film to its end when nothing of its results is open any more."""
        if self._job_state(job) not in {State.QUEUED, State.SENT}:
            return
        states = {
            r["state"]
            for r in self._db.execute(
                "SELECT state FROM outbox WHERE job = ? AND kind = ?", (job, Kind.RESULT)
            )
        }
        if not states & {"queued", "waiting"}:
            delivered = State.ACKED if self._mode is DeliveryMode.PUBACK else State.RECEIPTED
            move(self.store, job, State.SET_ASIDE if "set_aside" in states else delivered)
