"""Writes a film's outcome: its messages' ids, its rows in the outbox, its study, its state.

Layer: journal; reads and writes the tables ``job``, ``outbox`` and ``study`` and the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.contract.payloads import StudyStatus
from edge.journal.kinds import LIMB_MESSAGES, MQTT, RESULT
from edge.journal.records import Resolved
from edge.journal.states import UNDRAWN, State, move
from edge.system.clock import steady_unix_s

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from edge.contract.ids import ResultKey
    from edge.journal.records import Finish, Parcel, StudyChange
    from edge.journal.store import Store

_REVISIONS = 1000
"""More revisions of one limb's outcome than any site makes."""


class Outcomes:
    """Outcomes of films, over one connection.

    ``name`` (site, room and device) is kept with every row that is put into the outbox.
    """

    def __init__(self, store: Store, name: str = "") -> None:
        self._store = store
        self._name = name
        self._db = store.db

    def resolve(self, make: Callable[[int], ResultKey], outcome: str) -> Resolved:
        """Find the id for a limb's outcome.

        Parameters
        ----------
        make
            Gives the key for a revision; 0 is tried first.
        outcome
            Status and reason; another outcome under the same key takes the next revision and
            supersedes the one before.
        """
        before = None
        for revision in range(_REVISIONS):
            result_id = make(revision).result_id()
            found = self._db.execute(
                "SELECT outcome FROM outbox WHERE id = ? AND kind IN (?, ?)",
                (result_id, *LIMB_MESSAGES),
            ).fetchone()
            if found is None:
                return Resolved(result_id, before, known=False)
            if found["outcome"] == outcome:
                return Resolved(result_id, before, known=True)
            before = result_id
        raise AssertionError

    def results_of(self, job: int) -> list[bytes]:
        """Payloads of a job's results, as they were put into the outbox."""
        found = self._db.execute(
            "SELECT payload FROM outbox WHERE job = ? AND kind = ?", (job, RESULT)
        )
        return [r["payload"] for r in found]

    def result_id_of(self, job: int, limb_index: int) -> str | None:
        """Id of the message about a job's limb."""
        found = self._db.execute(
            "SELECT id FROM outbox WHERE job = ? AND limb_index = ? AND kind IN (?, ?)",
            (job, limb_index, *LIMB_MESSAGES),
        ).fetchone()
        return None if found is None else str(found["id"])

    def study_body(self, study: str) -> str | None:
        """Body of a study as last written."""
        found = self._db.execute("SELECT body FROM study WHERE study = ?", (study,)).fetchone()
        return None if found is None else str(found["body"])

    def finish(self, job: int, end: Finish, *, keep_original: bool = False) -> State:
        """Write a film's outcome and everything that goes out for it, in one transaction.

        Parameters
        ----------
        keep_original
            Leaves the scanner's file alone whatever the site has set.

        Returns
        -------
        State
            The state reached: ``duplicate`` where the very results are in the outbox already under
            another job (two copies of one film were claimed before either was scored).
        """
        now = steady_unix_s()
        with self._store.transaction():
            state = end.state
            owners = [self._deposit(job, parcel, now) for parcel in end.parcels]
            others = {o for o in owners if o != job}
            if others and state is State.QUEUED and job not in owners:
                state = State.DUPLICATE
                self._db.execute(
                    "UPDATE job SET first_job = ? WHERE number = ?", (min(others), job)
                )
            if state is State.QUEUED:
                self._store.log(State.SCORED, job, stage_ms=end.stage_ms)
            if end.study is not None and state is not State.DUPLICATE:
                self._write_study(end.study, now)
            self._db.execute("UPDATE job SET reason = ? WHERE number = ?", (end.reason, job))
            if keep_original:
                self._db.execute("UPDATE job SET original = 'kept' WHERE number = ?", (job,))
            ids = sorted({parcel.result_id for parcel in end.parcels})
            move(self._store, job, state, reason=end.reason, ids=ids)
        return state

    def undrawn_of(self, job: int) -> list[str]:
        """Ids of a film's messages whose picture is not written yet."""
        found = self._db.execute(
            "SELECT id FROM outbox WHERE job = ? AND state = ? AND destination = ?",
            (job, UNDRAWN, MQTT),
        )
        return [str(it["id"]) for it in found]

    def is_undrawn(self, result_id: str) -> bool:
        """Whether a message's picture is not written yet, whatever film it belongs to."""
        found = self._db.execute(
            "SELECT 1 FROM outbox WHERE id = ? AND state = ? AND destination = ?",
            (result_id, UNDRAWN, MQTT),
        )
        return found.fetchone() is not None

    def drawn(self, job: int, result_ids: Collection[str], why: str) -> list[str]:
        """Queue pictures whose files are written, and set the film's others aside.

        Returns the ids of those that are set aside because of ``why``.
        """
        with self._store.transaction():
            for result_id in result_ids:
                self._db.execute(
                    "UPDATE outbox SET state = 'queued' WHERE id = ? AND state = ?",
                    (result_id, UNDRAWN),
                )
            left = self.undrawn_of(job)
            for result_id in left:
                found = self._db.execute(
                    "UPDATE outbox SET state = 'set_aside', why = ? WHERE id = ? AND state = ? "
                    "RETURNING kind",
                    (why, result_id, UNDRAWN),
                ).fetchone()
                self._store.log("message_set_aside", job, id=result_id, kind=found["kind"], why=why)
        return left

    def _deposit(self, job: int, parcel: Parcel, now: float) -> int:
        """Put one row into the outbox, once; returns the job that owns it."""
        found = self._db.execute(
            "SELECT row, job, state, sendings, payload, seal FROM outbox WHERE id = ? AND kind = ?",
            (parcel.result_id, parcel.kind),
        ).fetchone()
        state = UNDRAWN if parcel.undrawn else "queued"
        seal = self._store.seal(
            parcel.result_id, parcel.kind, parcel.payload, destination=parcel.destination
        )
        if found is None:
            numbered = parcel.kind in LIMB_MESSAGES
            sequence = self._store.counter("sequence") if numbered else None
            self._db.execute(
                "INSERT INTO outbox (id, kind, job, limb_index, outcome, sequence, payload, "
                "created, state, seal, name, destination) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (parcel.result_id, parcel.kind, job, parcel.limb_index, parcel.outcome, sequence,
                 parcel.payload, now, state, seal, self._name, parcel.destination),
            )  # fmt: skip
            return job
        if found["state"] == "set_aside":
            # Written again: it may have been set aside because it was damaged. A document that
            # the PACS was given stays of its class.
            kept = parcel.destination != MQTT and found["sendings"]
            payload, seal = (found["payload"], found["seal"]) if kept else (parcel.payload, seal)
            self._db.execute(
                "UPDATE outbox SET state = ?, why = NULL, job = ?, payload = ?, seal = ?, "
                "name = ?, destination = ? WHERE row = ?",
                (state, job, payload, seal, self._name, parcel.destination, found["row"]),
            )
            return job
        return int(found["job"])

    def _write_study(self, change: StudyChange, now: float) -> None:
        status = StudyStatus.COMPLETE if change.complete else StudyStatus.FILLING
        self._db.execute(
            "INSERT INTO study VALUES (?, ?, ?, ?, ?, 1, 0, 0, ?) "
            "ON CONFLICT (study) DO UPDATE SET body = excluded.body, seal = excluded.seal, "
            "changed = excluded.changed, version = version + 1, cleared = 0, "
            "status = CASE WHEN excluded.status = ? THEN excluded.status ELSE status END",
            (
                change.study,
                change.body,
                status,
                now,
                now,
                self._store.seal(change.study, "study", change.body.encode()),
                StudyStatus.COMPLETE,
            ),
        )
