"""Delivery: puts the journal's tables right where its chain and seals prove what they held.

Runs at the start: a bit that a disk has flipped must neither end the appliance nor become a score.
What was put right is written into the chain and told.
"""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import ValidationError

from edge.delivery.clock import steady_unix_s
from edge.delivery.contract import StudyStatus
from edge.delivery.journal import Kind, State, move, told_states
from edge.delivery.message import StoredMessage
from edge.delivery.orders import work_again
from edge.delivery.store import COUNTERS, CUT_FOUND, begin_anew, open_store
from edge.delivery.study import StudyBody, place_of, with_limb

if TYPE_CHECKING:
    from pathlib import Path

    from edge.delivery.store import Store

_ROW_STATES = frozenset({"queued", "waiting", "closed", "set_aside"})


def open_sound(path: Path, key: bytes, *, expected: bool) -> tuple[Store, str]:
    """Open the journal and put it right, or begin it anew; the parameters are `open_store`'s.

    Returns it, and what happened to it in words; empty where it was sound.
    """
    store, rebuilt = open_store(path, key, expected=expected)
    mended: dict[str, int] = {}
    try:
        mended = mend(store)
    except (sqlite3.DatabaseError, TypeError, ValueError, AttributeError):
        # Damage beyond single values; the file is kept beside the new one.
        store.close()
        store, rebuilt = begin_anew(path, key), True
    if rebuilt:
        return store, "it was damaged or gone, and is begun anew"
    told = ", ".join(f"{table} {count}" for table, count in mended.items())
    return store, f"rows that a fault had changed were put right: {told}" if told else ""


def mend(store: Store) -> dict[str, int]:
    """Put right what can be proved; returns how many rows of each table were changed.

    Raises `sqlite3.DatabaseError` where the file itself is damaged.
    """
    whole = store.verify() is None
    with store.transaction():
        _tell_of_cut(store)
        chain = _Chain.of(store) if whole else _Chain()
        done = {
            "meta": sum(_mend_counter(store, name) for name in COUNTERS),
            "job": _restore_jobs(store, chain) + _mend_jobs(store, chain),
            "outbox": sum(_mend_message(store, row, chain) for row in _rows(store, "outbox")),
            "study": sum(_mend_study(store, row) for row in _rows(store, "study")),
        }
        done["job"] += _end_or_work_again(store, chain)
        done = {table: count for table, count in done.items() if count}
        if done:
            store.log("mended", **done)
    return done


@dataclass(frozen=True)
class _Chain:
    """What the chain tells of jobs, their messages, and the ends of these; empty where broken."""

    states: dict[int, tuple[State, str]] = field(default_factory=dict)
    ids: dict[int, frozenset[str]] = field(default_factory=dict)
    closed: frozenset[str] = frozenset()

    @classmethod
    def of(cls, store: Store) -> _Chain:
        """Read it."""
        ids: dict[int, frozenset[str]] = {}
        closed = set()
        for event in store.events():
            if event.kind == "message_closed":
                closed.add(str(event.detail.get("id")))
            elif event.job is not None and event.detail.get("ids"):
                ids[event.job] = frozenset(event.detail["ids"])
        return cls(told_states(store), ids, frozenset(closed))


def _tell_of_cut(store: Store) -> None:
    """Write down that rows were cut off the end: what is written next would hide it."""
    signed = store.signed_head()
    if signed is not None and signed.row > store.head().row:
        store.log(CUT_FOUND, published=signed.row, code=signed.mac)


def _rows(store: Store, table: str) -> list[sqlite3.Row]:
    return store.db.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - our own names


def _mend_counter(store: Store, name: str) -> bool:
    if store.counter_holds(name):
        return False
    # Beyond any number that was given.
    store.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, int(steady_unix_s())))
    return True


def _restore_jobs(store: Store, chain: _Chain) -> int:
    """Write jobs anew that the chain or a sealed message tells of, and the table lacks."""
    there = {row["number"] for row in store.db.execute("SELECT number FROM job")}
    lost = {number: told for number, told in chain.states.items() if number not in there}
    for row in _rows(store, "outbox"):
        stored = _stored(store, row)
        if stored is None or stored.job in there or stored.job in lost:
            continue
        lost[stored.job] = (State.SENT, stored.film_sha256)
        store.log(State.SENT, stored.job, sha256=stored.film_sha256)
    for number, (state, sha256) in lost.items():
        store.db.execute(
            "INSERT INTO job (number, path, sha256, device, inode, size, mtime_ns, state, since, "
            "original) VALUES (?, x'', ?, 0, 0, 0, 0, ?, ?, 'gone')",
            (number, sha256, state, steady_unix_s()),
        )
    return len(lost)


def _mend_jobs(store: Store, chain: _Chain) -> int:
    mended = 0
    for row in _rows(store, "job"):
        state, sha256 = chain.states.get(row["number"], (None, row["sha256"]))
        if state is None:
            state = row["state"] if row["state"] in set(State) else State.SET_ASIDE
        if (row["state"], row["sha256"]) != (state, sha256):
            mended += 1
            store.db.execute(
                "UPDATE job SET state = ?, sha256 = ? WHERE number = ?",
                (state, sha256, row["number"]),
            )
    return mended


def _mend_message(store: Store, row: sqlite3.Row, chain: _Chain) -> bool:
    """Find the kind that the seal proves; what none proves is set aside, never sent."""
    changed: dict[str, object] = {}
    if not _proves(store, row, row["kind"]):
        kind = next((kind for kind in Kind if _proves(store, row, kind)), None)
        if kind is not None:
            changed["kind"] = kind
        elif row["state"] != "set_aside":
            kind = row["kind"] if row["kind"] in set(Kind) else Kind.REJECT
            changed |= {"kind": kind, "state": "set_aside", "why": "damaged"}
    stored = _stored(store, row)
    if stored is not None and stored.job != row["job"]:
        changed["job"] = stored.job
    untold = row["job"] in chain.ids and row["id"] not in chain.closed
    by_hand = row["state"] == "closed" and row["kind"] != Kind.IMAGE and untold
    if "state" not in changed and (row["state"] not in _ROW_STATES or by_hand):
        # Sent once more rather than not at all: subscribers know the id.
        changed["state"] = "queued"
    for column in ("created", "sendings", "refusals"):
        if not isinstance(row[column], int | float):
            changed[column] = 0
    for column, value in changed.items():
        store.db.execute(
            f"UPDATE outbox SET {column} = ? WHERE row = ?",  # noqa: S608 - our own names
            (value, row["row"]),
        )
    return bool(changed)


def _end_or_work_again(store: Store, chain: _Chain) -> int:
    """End the films of which nothing waits any more, and score anew those whose message is lost."""
    messages: dict[int, list[sqlite3.Row]] = {}
    for row in store.db.execute("SELECT job, id, state, why, kind FROM outbox"):
        messages.setdefault(row["job"], []).append(row)
    mended = 0
    waiting = (State.QUEUED, State.SENT, State.HELD, State.QUARANTINED)
    for job in _rows(store, "job"):
        if job["state"] not in waiting:
            continue
        number, own = job["number"], messages.get(job["number"], [])
        results = [row for row in own if row["kind"] == Kind.RESULT]
        missing = chain.ids.get(number, frozenset()) - {row["id"] for row in own} - chain.closed
        sent = job["state"] in {State.QUEUED, State.SENT}
        damaged = any(row["why"] == "damaged" and row["kind"] != Kind.IMAGE for row in own)
        if damaged or missing or (sent and not results):
            mended += work_again(store, number, "message_lost") is not None
        elif sent and all(row["state"] in {"closed", "set_aside"} for row in results):
            _end(store, number, {row["state"] for row in results})
            mended += 1
    return mended


def _end(store: Store, job: int, states: set[str]) -> None:
    """End a film whose results have reached ``states``."""
    answered = store.db.execute(
        "SELECT 1 FROM receipt WHERE id IN (SELECT id FROM outbox WHERE job = ?) LIMIT 1", (job,)
    ).fetchone()
    delivered = State.ACKED if answered is None else State.RECEIPTED
    move(store, job, State.SET_ASIDE if "set_aside" in states else delivered)


def _stored(store: Store, row: sqlite3.Row) -> StoredMessage | None:
    """Read a result or reject whose seal holds."""
    if row["kind"] == Kind.IMAGE or not _proves(store, row, row["kind"]):
        return None
    with contextlib.suppress(ValidationError):
        return StoredMessage.model_validate_json(row["payload"])
    return None


def _proves(store: Store, row: sqlite3.Row, kind: str) -> bool:
    payload = row["payload"]
    return isinstance(payload, bytes) and store.seal(row["id"], kind, payload) == row["seal"]


def _mend_study(store: Store, row: sqlite3.Row) -> bool:
    body = str(row["body"])
    status = row["status"] if row["status"] in set(StudyStatus) else StudyStatus.FILLING
    sound = store.seal(str(row["study"]), "study", body.encode()) == row["seal"]
    numbers = ("opened", "changed", "version", "published", "cleared")
    counted = all(isinstance(row[column], int | float) for column in numbers)
    if sound and counted and status == row["status"]:
        return False
    if not sound:
        body = _from_results(store, str(row["study"])).model_dump_json()
    now = steady_unix_s()
    store.db.execute(
        "UPDATE study SET body = ?, seal = ?, status = ?, opened = ?, changed = ?, version = 1, "
        "published = 0, cleared = 0 WHERE study = ?",
        (body, store.seal(str(row["study"]), "study", body.encode()), status, now, now,
         row["study"]),
    )  # fmt: skip
    return True


def _from_results(store: Store, study: str) -> StudyBody:
    """Build a study anew from the results that were sent for it."""
    body = StudyBody()
    found = store.db.execute("SELECT * FROM outbox WHERE kind = ? ORDER BY row", (Kind.RESULT,))
    for row in found:
        if not isinstance(row["payload"], bytes) or study.encode() not in row["payload"]:
            continue
        stored = _stored(store, row)
        place = None if stored is None else place_of(stored.body)
        if stored is not None and stored.study == study and place is not None:
            body = with_limb(body, place, stored.body, row["id"])
            body = body.model_copy(update={"patient": stored.patient})
    return body
