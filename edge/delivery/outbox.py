"""Delivery: what waits to be delivered, over one connection of the sender's thread.

States of a row: ``queued`` (to be sent), ``waiting`` (the broker has it, a dashboard has not
answered), ``closed``, ``set_aside``. What is in flight is not written down: after a crash or a
lost connection everything that is not closed is sent again under the same id.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from edge.delivery.clock import steady_unix_s
from edge.delivery.contract import DeliveryMode, StudyStatus
from edge.delivery.journal import Kind, State, move
from edge.delivery.orders import work_again
from edge.delivery.store import CUT_FOUND
from edge.delivery.study import StudyBody, message_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable

    from edge.delivery.contract import StudyMessage
    from edge.delivery.store import Head, Store

REFUSALS = 5
"""Sendings that a broker may refuse before a row is set aside."""
_REFUSED_S = 1.0
"""Pause after the first refusal; doubles. Rights that were wrong for moments cost no result."""
_DASHBOARDS = 16
"""Dashboards of which receipts of one result are kept, where the site names none."""
RESENDS_A_PASS = 32
_DOUBLINGS = 5
_PROBE_S = 5.0
"""Where no dashboard has answered for long, the oldest row asks so often whether one is back."""
_REORDER_S = 1.0
_QUIET_S = 2.0


class _Sent(NamedTuple):
    """Monotonic time of a sending, and how many there were."""

    at_s: float
    sendings: int


@dataclass(frozen=True)
class Row:
    """One message to be sent."""

    row: int
    kind: Kind
    result_id: str
    job: int
    sequence: int | None
    payload: bytes
    sendings: int
    sound: bool
    """Whether the payload is the one that was written."""


@dataclass(frozen=True)
class StudyRow:
    """A study whose latest body is not with the broker yet; ``message`` None clears its topic."""

    study: str
    version: int
    message: StudyMessage | None


@dataclass(frozen=True)
class Depth:
    """How much waits."""

    rows: int
    oldest_s: float
    set_aside: int


def _row(store: Store, found: sqlite3.Row) -> Row:
    return Row(
        row=found["row"],
        kind=Kind(found["kind"]),
        result_id=found["id"],
        job=found["job"],
        sequence=found["sequence"],
        payload=found["payload"],
        sendings=found["sendings"],
        sound=store.seal(found["id"], found["kind"], found["payload"]) == found["seal"],
    )


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
        Seconds until the first repeat of what no dashboard answered; doubles up to 32 times it.

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
        self._resend_s = resend_s
        self._unanswered: dict[int, _Sent] = {}
        self._refused: dict[int, float] = {}
        """By row that the broker refused, the monotonic time of its next sending."""
        self._silent_since_s = time.monotonic()
        self._heard: dict[str, float] = {}
        """By dashboard, when the latest sending went out that it has answered."""

    def reopen(self) -> None:
        """After a new connection: what nobody answered goes out again, before what is new."""
        self._unanswered.clear()
        self._refused.clear()
        self._heard.clear()
        with self.store.transaction():
            self._db.execute("UPDATE outbox SET state = 'queued' WHERE state = 'waiting'")
        self.republish_studies()

    def republish_studies(self) -> None:
        """Every study's topic is to be written anew."""
        with self.store.transaction():
            self._db.execute("UPDATE study SET published = 0 WHERE cleared = 0 AND published > 0")

    def next_rows(self, limit: int, in_flight: Collection[int]) -> list[Row]:
        """Oldest rows to be sent that are not in flight."""
        now_s = time.monotonic()
        resting = {row for row, at_s in self._refused.items() if at_s > now_s}
        found = self._db.execute(
            "SELECT * FROM outbox WHERE state = 'queued' ORDER BY row LIMIT ?",
            (limit + len(in_flight) + len(resting),),
        )
        passed_over = resting | set(in_flight)
        return [_row(self.store, r) for r in found if r["row"] not in passed_over][:limit]

    def note_sent(self, rows: Iterable[Row]) -> None:
        """Count sendings; a file whose result went out for the first time becomes ``sent``."""
        now = steady_unix_s()
        with self.store.transaction():
            for it in rows:
                self._db.execute(
                    "UPDATE outbox SET sendings = sendings + 1, last_sent = ? WHERE row = ?",
                    (now, it.row),
                )
                if it.kind is Kind.RESULT and self._job_state(it.job) is State.QUEUED:
                    move(self.store, it.job, State.SENT, id=it.result_id, sequence=it.sequence)

    def acknowledged(self, rows: Collection[int]) -> None:
        """Note that the broker has these rows."""
        with self.store.transaction():
            for number in rows:
                of = self._db.execute("SELECT kind FROM outbox WHERE row = ?", (number,)).fetchone()
                if of is None:
                    continue
                if of["kind"] == Kind.IMAGE or self._mode is DeliveryMode.PUBACK:
                    self._close(number, "closed", None)
                else:
                    found = self._db.execute(
                        "UPDATE outbox SET state = 'waiting' WHERE row = ? AND state = 'queued' "
                        "RETURNING sendings",
                        (number,),
                    ).fetchone()
                    if found is not None:
                        if not self._unanswered and found["sendings"] == 1:
                            self._silent_since_s = time.monotonic()
                        self._unanswered[number] = _Sent(time.monotonic(), found["sendings"])

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
        self._silent_since_s = time.monotonic()
        sent = self._unanswered.get(found["row"])
        if sent is not None:
            self._heard[receiver] = max(sent.at_s, self._heard.get(receiver, sent.at_s))
        if found["state"] in {"queued", "waiting"} and self._answered(result_id):
            self._close(found["row"], "closed", None)
        return True

    def _answered(self, result_id: str) -> bool:
        found = self._db.execute("SELECT receiver FROM receipt WHERE id = ?", (result_id,))
        return self._receivers <= {r["receiver"] for r in found}

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

    def refused(self, number: int, why: str) -> bool:
        """Count a refusal by the broker; True when the row is now set aside."""
        with self.store.transaction():
            self._db.execute("UPDATE outbox SET refusals = refusals + 1 WHERE row = ?", (number,))
            found = self._db.execute("SELECT refusals FROM outbox WHERE row = ?", (number,))
            refusals = sum(row["refusals"] for row in found)
            if refusals >= REFUSALS:
                self._close(number, "set_aside", why)
        self._refused[number] = time.monotonic() + _REFUSED_S * 2 ** (refusals - 1)
        return bool(refusals >= REFUSALS)

    def score_again(self, row: Row) -> None:
        """Give up a message that is not what was written, and have its film scored anew."""
        with self.store.transaction():
            self._close(row.row, "set_aside", "damaged")
            work_again(self.store, row.job, "message_lost")

    def set_aside(self, number: int, why: str) -> None:
        """Give a row up, so that the next ones flow."""
        with self.store.transaction():
            self._close(number, "set_aside", why)

    def resend_overdue(self) -> int:
        """Queue again what no dashboard answered in time, oldest first; returns how many.

        What a dashboard passed over goes at once: brokers keep the order, so that an answer to a
        later sending tells that the earlier ones were lost on the way.
        """
        now_s = time.monotonic()
        rows = sorted(self._unanswered)
        due = [row for row in rows if self._is_due(row, now_s)]
        if rows and not due and self._asks(self._unanswered[rows[0]], now_s):
            due = rows[:1]
        chosen = due[:RESENDS_A_PASS]
        if not chosen:
            return 0
        marks = ",".join("?" * len(chosen))
        with self.store.transaction():
            self._db.execute(
                f"UPDATE outbox SET state = 'queued' WHERE state = 'waiting' AND row IN ({marks})",  # noqa: S608 - marks only
                chosen,
            )
        for row in chosen:
            del self._unanswered[row]
        return len(chosen)

    def _asks(self, oldest: _Sent, now_s: float) -> bool:
        """Whether the oldest row asks if a dashboard is there.

        Often where none has answered for long; once where one answered, fell silent, and has
        passed over what was sent before: its answer then brings the rest.
        """
        silent_s = now_s - self._silent_since_s
        if silent_s > self._resend_s and now_s - oldest.at_s > _PROBE_S:
            return True
        passed_over = oldest.at_s < self._silent_since_s - _QUIET_S
        return bool(self._heard) and passed_over and silent_s > _QUIET_S

    def _is_due(self, row: int, now_s: float) -> bool:
        sent = self._unanswered[row]
        doublings = min(_DOUBLINGS, sent.sendings - 1)
        if now_s - sent.at_s > self._resend_s * (1 << doublings):
            return True
        # A dashboard that passes over one and the same message is not asked for ever.
        heard = [name for name, at_s in self._heard.items() if at_s > sent.at_s + _REORDER_S]
        if not heard or sent.sendings > REFUSALS:
            return False
        return not self._receivers or bool(self._receivers & set(heard) - self._receivers_of(row))

    def _receivers_of(self, row: int) -> set[str]:
        found = self._db.execute(
            "SELECT receiver FROM receipt WHERE id = (SELECT id FROM outbox WHERE row = ?)", (row,)
        )
        return {r["receiver"] for r in found}

    def depth(self) -> Depth:
        """How much waits, and for how long the oldest has."""
        found = self._db.execute(
            "SELECT COUNT(*) AS n, MIN(created) AS oldest FROM outbox "
            "WHERE state IN ('queued', 'waiting')"
        ).fetchone()
        aside = self._db.execute("SELECT COUNT(*) AS n FROM outbox WHERE state = 'set_aside'")
        oldest_s = 0.0 if found["oldest"] is None else max(0.0, steady_unix_s() - found["oldest"])
        return Depth(found["n"], oldest_s, aside.fetchone()["n"])

    def expire_studies(self, wait_s: float) -> None:
        """Mark the studies that did not fill within ``wait_s`` as incomplete."""
        with self.store.transaction():
            self._db.execute(
                "UPDATE study SET status = ?, version = version + 1 WHERE status = ? "
                "AND opened < ?",
                (StudyStatus.INCOMPLETE, StudyStatus.FILLING, steady_unix_s() - wait_s),
            )

    def next_study(self, ttl_s: float) -> StudyRow | None:
        """Choose a study to publish: changed, or to be cleared after ``ttl_s``."""
        now = steady_unix_s()
        found = self._db.execute(
            "SELECT * FROM study WHERE (version > published AND cleared = 0) OR "
            "(cleared = 0 AND changed < ?) LIMIT 1",
            (now - ttl_s,),
        ).fetchone()
        if found is None:
            return None
        if found["changed"] < now - ttl_s:
            return StudyRow(found["study"], found["version"], None)
        body = StudyBody.model_validate_json(found["body"])
        status = StudyStatus(found["status"])
        message = message_of(found["study"], body, status, found["changed"])
        return StudyRow(found["study"], found["version"], message)

    def study_published(self, it: StudyRow) -> None:
        """Note that the broker has this version of a study."""
        with self.store.transaction():
            self._db.execute(
                "UPDATE study SET published = MAX(published, ?), cleared = ? WHERE study = ? "
                "AND (? = 0 OR version = ?)",
                (it.version, it.message is None, it.study, it.message is None, it.version),
            )

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
        self._unanswered.pop(number, None)
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
