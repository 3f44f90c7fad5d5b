"""Delivery: the journal of files: one state each, written before the work is done.

States of a file. Waiting: `State.SEEN` and `State.STABLE` (in the folder, no row here yet),
claimed, scored, queued, sent, held. Ends: receipted (acked in the weaker mode), duplicate,
quarantined, set_aside, dismissed.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from edge.contract.payloads import StudyStatus
from edge.intake.settle import unread_digest
from edge.model import Laterality, Limb, OperatorWord, Signature, StrEnum
from edge.system.clock import steady_unix_s

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence
    from pathlib import Path

    from edge.contract.ids import ResultKey
    from edge.journal.store import Store

ORDERED = "order"
"""Origin of a job that a person ordered; all others come from the folder."""
BEFORE_FIRST_START = "before_first_start"
"""Reason of a film that lay in the folder before the appliance was ever started there."""
_BEGUN = "begun"
"""Key of the note that the folder was looked at once."""
_PROVISIONAL = frozenset({"truncated", "empty_file", "too_large", "not_a_regular_file"})
"""Reasons of a reject that a later film under the same name replaces."""
_INTERRUPTIONS = 50
"""Tries that ended with the appliance itself (not with its worker) before a film is given up."""


class State(StrEnum):
    """Where a file stands."""

    SEEN = "seen"
    STABLE = "stable"
    CLAIMED = "claimed"
    SCORED = "scored"
    QUEUED = "queued"
    SENT = "sent"
    HELD = "held"
    RECEIPTED = "receipted"
    ACKED = "acked"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    SET_ASIDE = "set_aside"
    DISMISSED = "dismissed"


HAS_RESULT = (State.QUEUED, State.SENT, State.RECEIPTED, State.ACKED)
ENDS = (
    State.RECEIPTED,
    State.ACKED,
    State.DUPLICATE,
    State.QUARANTINED,
    State.SET_ASIDE,
    State.DISMISSED,
)


class Kind(StrEnum):
    """What a row of the outbox is."""

    RESULT = "result"
    REJECT = "reject"
    IMAGE = "image"


@dataclass(frozen=True)
class Claim:
    """What is to be done with a film that was taken.

    ``job`` is None where the file is known and unchanged in its bytes. ``work`` tells whether it
    must be scored; where not, it has reached ``state``. ``deaths`` counts the workers that it
    has ended. ``supersedes_job`` is an earlier job of the same path whose reject is replaced.
    ``same_as`` is a job that gave a result for the same bytes under another name: the work is
    then to see whether the new name contradicts it.
    """

    job: int | None
    work: bool
    state: State | None = None
    deaths: int = 0
    supersedes_job: int | None = None
    same_as: int | None = None


@dataclass(frozen=True)
class Order:
    """A film that a person ordered to be worked on again; its bytes are kept or still there."""

    job: int
    path: bytes
    signature: Signature
    sha256: str
    word: OperatorWord | None
    deaths: int
    supersedes_job: int | None


@dataclass(frozen=True)
class Resolved:
    """Id of a limb's message; ``known`` when the very outcome is in the outbox already."""

    result_id: str
    supersedes: str | None
    known: bool


@dataclass(frozen=True)
class Parcel:
    """One row for the outbox. ``payload`` is JSON, or the picture's file name."""

    kind: Kind
    result_id: str
    limb_index: int
    outcome: str
    payload: bytes


@dataclass(frozen=True)
class StudyChange:
    """New body of a study, as `edge.outputs.study` made it."""

    study: str
    body: str
    complete: bool


@dataclass(frozen=True)
class Finish:
    """How a film ended: its state and everything that goes out for it."""

    state: State
    reason: str | None = None
    parcels: tuple[Parcel, ...] = ()
    study: StudyChange | None = None
    stage_ms: dict[str, float] = field(default_factory=dict)


class Original(NamedTuple):
    """The scanner's own file of a job."""

    job: int
    path: bytes
    signature: Signature
    sha256: str


def signature_in(row: sqlite3.Row) -> Signature:
    """Signature of a job's file as its row holds it."""
    return Signature(row["device"], row["inode"], row["size"], row["mtime_ns"], row["ctime_ns"])


class Recall:
    """Latest signatures of paths, for the intake's thread: it opens a connection of its own."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._db: sqlite3.Connection | None = None

    def __call__(self, path: bytes) -> Signature | None:
        """Signature of a path whose job needs no further work on the file, None for a new one.

        None too where the journal cannot be asked: the film is then read once more, and the
        journal tells that it is known.
        """
        try:
            if self._db is None:
                self._db = sqlite3.connect(f"file:{quote(str(self._journal))}?mode=ro", uri=True)
                self._db.row_factory = sqlite3.Row
            row = self._db.execute(
                "SELECT * FROM job WHERE path = ? ORDER BY number DESC LIMIT 1", (path,)
            ).fetchone()
        except sqlite3.Error:
            return None
        if row is None or (row["state"] == State.CLAIMED and row["origin"] != ORDERED):
            return None
        return signature_in(row)


class Journal:
    """States of files, over one connection; the daemon's main thread writes through one.

    ``name`` (site, room and device) is kept with every message that is deposited.
    """

    def __init__(self, store: Store, name: str = "") -> None:
        self.store = store
        self._name = name
        self._db = store.db

    def start_session(self) -> int:
        """Count a start of the appliance; returns its number."""
        with self.store.transaction():
            session = self.store.counter("session")
            self.store.log("session", session=session)
        return session

    def was_begun(self) -> bool:
        """Whether the folder was looked at in an earlier run, whatever lay in it."""
        if self.store.note(_BEGUN) is not None:
            return True
        return self._db.execute("SELECT 1 FROM job LIMIT 1").fetchone() is not None

    def begin(self) -> None:
        """Note that the folder is looked at: no later start is the first one."""
        if self.store.note(_BEGUN) is None:
            with self.store.transaction():
                self.store.set_note(_BEGUN, "1")

    def pass_over(self, files: Sequence[tuple[bytes, Signature]]) -> None:
        """Write down files that the site does not want to be scored, in one transaction."""
        now = steady_unix_s()
        with self.store.transaction():
            self.store.set_note(_BEGUN, "1")
            for path, signature in files:
                digest = unread_digest(path, signature.size)
                number = self._insert(path, digest, signature, State.DISMISSED, now)
                self._db.execute(
                    "UPDATE job SET reason = ?, original = 'kept' WHERE number = ?",
                    (BEFORE_FIRST_START, number),
                )
                self.store.log(
                    State.DISMISSED,
                    number,
                    sha256=digest,
                    path=self.store.code_of_path(path),
                    reason=BEFORE_FIRST_START,
                )

    def unfinished(self) -> dict[bytes, int]:
        """Path to job of the films that were claimed and not finished, e.g. in a crash."""
        rows = self._db.execute(
            "SELECT path, number FROM job WHERE state = ? AND origin != ? ORDER BY number",
            (State.CLAIMED, ORDERED),
        )
        return {r["path"]: r["number"] for r in rows}

    def counts(self) -> dict[str, int]:
        """Count the files in each state."""
        rows = self._db.execute("SELECT state, COUNT(*) AS n FROM job GROUP BY state")
        return {r["state"]: r["n"] for r in rows}

    def claim(self, path: bytes, sha256: str, signature: Signature) -> Claim:
        """Take a film into the journal before any work on it, or tell why there is none."""
        with self.store.transaction():
            latest = self._db.execute(
                "SELECT * FROM job WHERE path = ? ORDER BY number DESC LIMIT 1", (path,)
            ).fetchone()
            if latest is not None and latest["sha256"] == sha256:
                resumed = self._same_bytes(latest, signature)
                if resumed is not None:
                    return resumed
            return self._new_job(path, sha256, signature, latest)

    def _same_bytes(self, latest: sqlite3.Row, signature: Signature) -> Claim | None:
        """Handle the bytes that this path had before: resume, pass over, or None for a new job."""
        state, number = State(latest["state"]), int(latest["number"])
        again = state in {State.HELD, State.QUARANTINED, State.DISMISSED, State.SET_ASIDE}
        if again and latest["inode"] != signature.inode:
            return None
        self._db.execute(
            "UPDATE job SET device = ?, inode = ?, size = ?, mtime_ns = ?, ctime_ns = ? "
            "WHERE number = ?",
            (*signature, number),
        )
        if state is not State.CLAIMED or latest["origin"] == ORDERED:
            return Claim(None, work=False, state=state)
        return Claim(
            number,
            work=True,
            deaths=latest["deaths"],
            supersedes_job=latest["previous_job"],
            same_as=latest["first_job"],
        )

    def _new_job(
        self, path: bytes, sha256: str, signature: Signature, latest: sqlite3.Row | None
    ) -> Claim:
        unfinished = latest is not None and latest["state"] == State.CLAIMED
        if latest is not None and unfinished and latest["origin"] != ORDERED:
            self._move(latest["number"], State.SET_ASIDE, why="contents_replaced")
        provisional = latest is not None and latest["reason"] in _PROVISIONAL
        previous = int(latest["number"]) if latest is not None and provisional else None
        marks = ",".join("?" * len(HAS_RESULT))
        # A job that gave a result before one that did not, the latest of each.
        first = self._db.execute(
            "SELECT number, state, path FROM job WHERE sha256 = ? AND state != ? "  # noqa: S608 - marks only
            f"ORDER BY state IN ({marks}) DESC, number DESC LIMIT 1",
            (sha256, State.DUPLICATE, *HAS_RESULT),
        ).fetchone()
        duplicate = first is not None and first["state"] in HAS_RESULT
        same_name = duplicate and _name(first["path"]) == _name(path)
        state = State.DUPLICATE if same_name else State.CLAIMED
        number = self._insert(path, sha256, signature, state, steady_unix_s())
        self._db.execute(
            "UPDATE job SET first_job = ?, previous_job = ?, deaths = COALESCE((SELECT deaths "
            "FROM job WHERE sha256 = ? AND number < ? ORDER BY number DESC LIMIT 1), 0) "
            "WHERE number = ?",
            (first["number"] if duplicate else None, previous, sha256, number, number),
        )
        self.store.log(state, number, sha256=sha256, path=self.store.code_of_path(path))
        if same_name:
            return Claim(number, work=False, state=state)
        deaths = self._one("SELECT deaths FROM job WHERE number = ?", number)
        if duplicate:
            return Claim(number, work=True, deaths=deaths, same_as=int(first["number"]))
        if first is not None and first["state"] == State.HELD:
            self._move(first["number"], State.SET_ASIDE, why="same_bytes_again", by=number)
        return Claim(number, work=True, deaths=deaths, supersedes_job=previous)

    def _insert(
        self, path: bytes, sha256: str, signature: Signature, state: State, now: float
    ) -> int:
        number = self._db.execute(
            "INSERT INTO job (path, sha256, device, inode, size, mtime_ns, ctime_ns, state, since) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (path, sha256, *signature, state, now),
        ).lastrowid
        assert number is not None  # noqa: S101 - an INSERT that did not raise has a row
        return number

    def next_order(self) -> Order | None:
        """Oldest film that a person ordered to be worked on again."""
        it = self._db.execute(
            "SELECT * FROM job WHERE state = ? AND origin = ? ORDER BY number LIMIT 1",
            (State.CLAIMED, ORDERED),
        ).fetchone()
        if it is None:
            return None
        word = OperatorWord(
            Limb(it["operator_limb"]) if it["operator_limb"] else None,
            Laterality(it["operator_side"]) if it["operator_side"] else None,
        )
        return Order(
            job=it["number"],
            path=it["path"],
            signature=signature_in(it),
            sha256=it["sha256"],
            word=None if word == OperatorWord() else word,
            deaths=it["deaths"],
            supersedes_job=it["previous_job"],
        )

    def look_again(self) -> list[bytes]:
        """Paths that a person wants to be looked at again: they were refused without reading."""
        rows = self._db.execute("SELECT path FROM job WHERE mtime_ns = -1")
        return [r["path"] for r in rows]

    def set_aside(self, job: int, why: str) -> None:
        """End a film that cannot be worked on."""
        with self.store.transaction():
            self._move(job, State.SET_ASIDE, why=why)

    def begin_try(self, job: int) -> bool:
        """Count a try before it is made; False when the film has had too many.

        A worker's death is counted by `note_death`; here only tries that ended with the whole
        appliance, which a power cut or a kill explains better than the film.
        """
        with self.store.transaction():
            self._db.execute("UPDATE job SET tries = tries + 1 WHERE number = ?", (job,))
            tries = self._one("SELECT tries FROM job WHERE number = ?", job)
            self.store.log("try", job, tries=tries)
        return tries <= _INTERRUPTIONS

    def note_death(self, job: int, reason: str) -> int:
        """Count a worker that this film ended; returns how many there were."""
        with self.store.transaction():
            self._db.execute("UPDATE job SET deaths = deaths + 1 WHERE number = ?", (job,))
            deaths = self._one("SELECT deaths FROM job WHERE number = ?", job)
            self.store.log("death", job, reason=reason, deaths=deaths)
        return deaths

    def note_kill(self, job: int, cause: str) -> int:
        """Count a worker that was ended from outside while it scored this film; returns how many.

        The try does not count: it says nothing of the film.
        """
        with self.store.transaction():
            self._db.execute(
                "UPDATE job SET kills = kills + 1, tries = MAX(tries - 1, 0) WHERE number = ?",
                (job,),
            )
            kills = self._one("SELECT kills FROM job WHERE number = ?", job)
            self.store.log("kill", job, cause=cause, kills=kills)
        return kills

    def give_back(self, job: int) -> None:
        """Leave a film in hand for the next start: its try does not count."""
        with self.store.transaction():
            self._db.execute("UPDATE job SET tries = MAX(tries - 1, 0) WHERE number = ?", (job,))
            self.store.log("given_back", job)

    def set_aside_vanished(self, jobs: Mapping[bytes, int], present: Container[bytes]) -> None:
        """End those of ``jobs`` (by path) that are still unfinished and whose file is gone."""
        still = set(self.unfinished().values())
        with self.store.transaction():
            for path, job in jobs.items():
                if path not in present and job in still:
                    self._move(job, State.SET_ASIDE, why="file_vanished")

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
        for revision in range(1000):
            result_id = make(revision).result_id()
            found = self._db.execute(
                "SELECT outcome FROM outbox WHERE id = ? AND kind != ?", (result_id, Kind.IMAGE)
            ).fetchone()
            if found is None:
                return Resolved(result_id, before, known=False)
            if found["outcome"] == outcome:
                return Resolved(result_id, before, known=True)
            before = result_id
        raise AssertionError

    def results_of(self, job: int) -> list[bytes]:
        """Payloads of the results that a job gave, as they were put into the outbox."""
        found = self._db.execute(
            "SELECT payload FROM outbox WHERE job = ? AND kind = ?", (job, Kind.RESULT)
        )
        return [r["payload"] for r in found]

    def result_id_of(self, job: int, limb_index: int) -> str | None:
        """Id under which a job's limb went out."""
        found = self._db.execute(
            "SELECT id FROM outbox WHERE job = ? AND limb_index = ? AND kind != ?",
            (job, limb_index, Kind.IMAGE),
        ).fetchone()
        return None if found is None else str(found["id"])

    def study_body(self, study: str) -> str | None:
        """Body of a study as last written."""
        found = self._db.execute("SELECT body FROM study WHERE study = ?", (study,)).fetchone()
        return None if found is None else str(found["body"])

    def finish(self, job: int, end: Finish, *, keep_original: bool = False) -> State:
        """Write a film's outcome and everything that goes out for it, in one transaction.

        ``keep_original`` leaves the scanner's file alone whatever the site has set.
        Returns the state reached: ``duplicate`` where the very results are in the outbox already
        under another job (two copies of one film were claimed before either was scored).
        """
        now = steady_unix_s()
        with self.store.transaction():
            state = end.state
            owners = [self._deposit(job, parcel, now) for parcel in end.parcels]
            others = {o for o in owners if o != job}
            if others and state is State.QUEUED and job not in owners:
                state = State.DUPLICATE
                self._db.execute(
                    "UPDATE job SET first_job = ? WHERE number = ?", (min(others), job)
                )
            if state is State.QUEUED:
                self.store.log(State.SCORED, job, stage_ms=end.stage_ms)
            if end.study is not None and state is not State.DUPLICATE:
                self._write_study(end.study, now)
            self._db.execute("UPDATE job SET reason = ? WHERE number = ?", (end.reason, job))
            if keep_original:
                self._db.execute("UPDATE job SET original = 'kept' WHERE number = ?", (job,))
            ids = sorted({parcel.result_id for parcel in end.parcels})
            self._move(job, state, reason=end.reason, ids=ids)
        return state

    def _deposit(self, job: int, parcel: Parcel, now: float) -> int:
        """Put one row into the outbox, once; returns the job that owns it."""
        found = self._db.execute(
            "SELECT row, job, state FROM outbox WHERE id = ? AND kind = ?",
            (parcel.result_id, parcel.kind),
        ).fetchone()
        if found is None:
            sequence = None if parcel.kind is Kind.IMAGE else self.store.counter("sequence")
            self._db.execute(
                "INSERT INTO outbox (id, kind, job, limb_index, outcome, sequence, payload, "
                "created, state, seal, name) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'queued', ?, ?)",
                (parcel.result_id, parcel.kind, job, parcel.limb_index, parcel.outcome, sequence,
                 parcel.payload, now,
                 self.store.seal(parcel.result_id, parcel.kind, parcel.payload), self._name),
            )  # fmt: skip
            return job
        if found["state"] == "set_aside":
            # Written anew: it may have been set aside because it was damaged.
            seal = self.store.seal(parcel.result_id, parcel.kind, parcel.payload)
            self._db.execute(
                "UPDATE outbox SET state = 'queued', why = NULL, job = ?, payload = ?, seal = ?, "
                "name = ? WHERE row = ?",
                (job, parcel.payload, seal, self._name, found["row"]),
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
                self.store.seal(change.study, "study", change.body.encode()),
                StudyStatus.COMPLETE,
            ),
        )

    def ended_originals(self, limit: int = 100) -> list[Original]:
        """Files that reached their end and whose original still lies where the scanner left it."""
        marks = ",".join("?" * len(ENDS))
        rows = self._db.execute(
            f"SELECT * FROM job WHERE state IN ({marks}) AND original = 'there' LIMIT ?",  # noqa: S608
            (*ENDS, limit),
        )
        return [Original(r["number"], r["path"], signature_in(r), str(r["sha256"])) for r in rows]

    def note_original(self, job: int, became: str) -> None:
        """Remember what became of the scanner's file."""
        with self.store.transaction():
            self._db.execute("UPDATE job SET original = ? WHERE number = ?", (became, job))
            self.store.log("original", job, became=became)

    def _one(self, query: str, job: int) -> int:
        found = self._db.execute(query, (job,)).fetchone()
        # The row of a film in hand can only have been deleted by hand.
        return 0 if found is None else int(found[0])

    def _move(self, job: int, state: State, **detail: object) -> None:
        move(self.store, job, state, **detail)


def _name(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]


def move(store: Store, job: int, state: State, **detail: object) -> None:
    """Bring a file into a state, in the table and in the chain; inside a transaction."""
    store.db.execute(
        "UPDATE job SET state = ?, since = ? WHERE number = ?", (state, steady_unix_s(), job)
    )
    store.log(state, job, **{k: v for k, v in detail.items() if v is not None})
