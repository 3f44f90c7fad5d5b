"""The journal of films: one state each, written before the work is done.

Layer: journal; reads and writes the table ``job`` and the log through a `Store`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.anatomy import Limb
from edge.journal.kinds import MQTT
from edge.journal.records import ORDERED, Claim, Order, Original, signature_in
from edge.journal.schema import OPEN
from edge.journal.states import ENDS, HAS_RESULT, UNDRAWN, State, move
from edge.model import Laterality, OperatorStatement
from edge.system.clock import steady_unix_s

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Container, Mapping

    from edge.journal.store import Store
    from edge.model import Signature

_PROVISIONAL = frozenset({"truncated", "empty_file", "too_large", "not_a_regular_file"})
"""Reasons of a reject that a later film under the same name replaces."""
_INTERRUPTIONS = 50
"""Tries that ended with the appliance itself (not with its worker) before a film is given up."""


class Journal:
    """States of films, over one connection; the daemon's main thread writes through one."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._db = store.db

    def start_session(self) -> int:
        """Count a start of the appliance; returns its number."""
        with self.store.transaction():
            session = self.store.counter("session")
            self.store.log("session", session=session)
        return session

    def unfinished(self) -> dict[bytes, int]:
        """Jobs by path of the films that were claimed and not finished, e.g. because of a crash."""
        rows = self._db.execute(
            "SELECT path, number FROM job WHERE state = ? AND origin != ? ORDER BY number",
            (State.CLAIMED, ORDERED),
        )
        return {r["path"]: r["number"] for r in rows}

    def counts(self) -> dict[str, int]:
        """Count the files in each state."""
        return counts_of(self._db)

    def claim(self, path: bytes, sha256: str, signature: Signature) -> Claim:
        """Enter a film before any work on it, or give the state in which it is already."""
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
        """Resume the work on bytes that this path had before, or skip them; None for a new job."""
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
            move(self.store, latest["number"], State.SET_ASIDE, why="contents_replaced")
        provisional = latest is not None and latest["reason"] in _PROVISIONAL
        previous = int(latest["number"]) if latest is not None and provisional else None
        marks = ",".join("?" * len(HAS_RESULT))
        # Jobs that gave a result come first, the latest of each group.
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
            move(self.store, first["number"], State.SET_ASIDE, why="same_bytes_again", by=number)
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

    def next_order(self, in_work: Collection[int] = ()) -> Order | None:
        """Oldest film that a person ordered to be worked on again and that is not in work."""
        marks = ",".join("?" * len(in_work))
        it = self._db.execute(
            f"SELECT * FROM job WHERE state = ? AND origin = ? AND number NOT IN ({marks}) "  # noqa: S608
            "ORDER BY number LIMIT 1",
            (State.CLAIMED, ORDERED, *in_work),
        ).fetchone()
        return None if it is None else self._order_of(it)

    def undrawn(self) -> list[Order]:
        """Films whose result is recorded and whose picture is not: a crash came between."""
        jobs = self._db.execute(
            f"SELECT DISTINCT job FROM outbox WHERE destination = ? AND {OPEN} AND state = ?",  # noqa: S608
            (MQTT, UNDRAWN),
        ).fetchall()
        query = "SELECT * FROM job WHERE number = ?"
        rows = [self._db.execute(query, (it["job"],)).fetchone() for it in jobs]
        return [self._order_of(row) for row in rows if row is not None]

    def order_of(self, job: int) -> Order | None:
        """Give what is known of a film that its bytes can be found by; None where it is gone."""
        it = self._db.execute("SELECT * FROM job WHERE number = ?", (job,)).fetchone()
        return None if it is None else self._order_of(it)

    def _order_of(self, it: sqlite3.Row) -> Order:
        stated = OperatorStatement(
            Limb(it["operator_limb"]) if it["operator_limb"] else None,
            Laterality(it["operator_side"]) if it["operator_side"] else None,
        )
        return Order(
            job=it["number"],
            path=it["path"],
            signature=signature_in(it),
            sha256=it["sha256"],
            operator=None if stated == OperatorStatement() else stated,
            deaths=it["deaths"],
            supersedes_job=it["previous_job"],
        )

    def look_again(self) -> list[bytes]:
        """Paths that a person wants to be examined again: they were refused without reading."""
        rows = self._db.execute("SELECT path FROM job WHERE mtime_ns = -1")
        return [r["path"] for r in rows]

    def set_aside(self, job: int, why: str) -> None:
        """End a film that cannot be worked on."""
        with self.store.transaction():
            move(self.store, job, State.SET_ASIDE, why=why)

    def begin_try(self, job: int) -> bool:
        """Count a try before it is made; False when the film has had too many.

        `note_death` counts the worker's deaths. Only tries that ended together with the whole
        appliance count here: a power cut or a kill explains them better than the film.
        """
        with self.store.transaction():
            self._db.execute("UPDATE job SET tries = tries + 1 WHERE number = ?", (job,))
            tries = self._one("SELECT tries FROM job WHERE number = ?", job)
            self.store.log("try", job, tries=tries)
        return tries <= _INTERRUPTIONS

    def note_death(self, job: int, reason: str) -> int:
        """Count a worker that died while scoring this film; returns how many there were."""
        with self.store.transaction():
            self._db.execute("UPDATE job SET deaths = deaths + 1 WHERE number = ?", (job,))
            deaths = self._one("SELECT deaths FROM job WHERE number = ?", job)
            self.store.log("death", job, reason=reason, deaths=deaths)
        return deaths

    def note_kill(self, job: int, cause: str) -> int:
        """Count a worker that was killed from outside while it scored this film; returns how many.

        The try does not count: the film did not cause it.
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
        """Leave the film in work for the next start: its try does not count."""
        with self.store.transaction():
            self._db.execute("UPDATE job SET tries = MAX(tries - 1, 0) WHERE number = ?", (job,))
            self.store.log("given_back", job)

    def set_aside_vanished(self, jobs: Mapping[bytes, int], present: Container[bytes]) -> None:
        """End those of ``jobs`` (by path) that are still unfinished and whose file is gone."""
        still = set(self.unfinished().values())
        with self.store.transaction():
            for path, job in jobs.items():
                if path not in present and job in still:
                    move(self.store, job, State.SET_ASIDE, why="file_vanished")

    def ended_originals(self, limit: int = 100) -> list[Original]:
        """Films in a final state whose original is still where the scanner wrote it."""
        marks = ",".join("?" * len(ENDS))
        rows = self._db.execute(
            f"SELECT * FROM job WHERE state IN ({marks}) AND original = 'there' "  # noqa: S608
            # Its picture would be drawn from it after a crash.
            "AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.job = number AND "
            "outbox.state = ?) LIMIT ?",
            (*ENDS, UNDRAWN, limit),
        )
        return [Original(r["number"], r["path"], signature_in(r), str(r["sha256"])) for r in rows]

    def note_original(self, job: int, became: str) -> None:
        """Record what was done with the scanner's file."""
        with self.store.transaction():
            self._db.execute("UPDATE job SET original = ? WHERE number = ?", (became, job))
            self.store.log("original", job, became=became)

    def _one(self, query: str, job: int) -> int:
        found = self._db.execute(query, (job,)).fetchone()
        # Only a person can have deleted the row of a film in work.
        return 0 if found is None else int(found[0])


def counts_of(db: sqlite3.Connection) -> dict[str, int]:
    """Count the files in each state."""
    rows = db.execute("SELECT state, COUNT(*) AS n FROM job GROUP BY state")
    return {r["state"]: r["n"] for r in rows}


def _name(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]
