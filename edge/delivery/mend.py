"""Delivery: puts the journal's tables right where its chain and seals prove what they held.

Runs at the start: a bit that a disk has flipped must neither end the appliance nor become a score.
What was put right is written into the chain and told.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

from pydantic import ValidationError

from edge.delivery.clock import steady_unix_s
from edge.delivery.contract import StudyStatus
from edge.delivery.journal import Kind, State, told_states
from edge.delivery.message import StoredMessage
from edge.delivery.store import begin_anew, open_store
from edge.delivery.study import StudyBody, place_of, with_limb

if TYPE_CHECKING:
    from pathlib import Path

    from edge.delivery.store import Store

_ROW_STATES = frozenset({"queued", "waiting", "closed", "set_aside"})
_COUNTERS = ("session", "sequence")


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
        done = {
            "meta": sum(_mend_counter(store, name) for name in _COUNTERS),
            "job": _mend_jobs(store, chain_is_whole=whole),
            "outbox": sum(_mend_message(store, row) for row in _rows(store, "outbox")),
            "study": sum(_mend_study(store, row) for row in _rows(store, "study")),
        }
        done = {table: count for table, count in done.items() if count}
        if done:
            store.log("mended", **done)
    return done


def _rows(store: Store, table: str) -> list[sqlite3.Row]:
    return store.db.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - our own names


def _mend_counter(store: Store, name: str) -> bool:
    found = store.db.execute("SELECT value FROM meta WHERE key = ?", (name,)).fetchone()
    if found is None or isinstance(found["value"], int):
        return False
    # Beyond any number that was given.
    store.db.execute("UPDATE meta SET value = ? WHERE key = ?", (int(steady_unix_s()), name))
    return True


def _mend_jobs(store: Store, *, chain_is_whole: bool) -> int:
    told = told_states(store) if chain_is_whole else {}
    mended = 0
    for row in _rows(store, "job"):
        state, sha256 = told.get(row["number"], (None, row["sha256"]))
        if state is None:
            state = row["state"] if row["state"] in set(State) else State.SET_ASIDE
        if (row["state"], row["sha256"]) != (state, sha256):
            mended += 1
            store.db.execute(
                "UPDATE job SET state = ?, sha256 = ? WHERE number = ?",
                (state, sha256, row["number"]),
            )
    return mended


def _mend_message(store: Store, row: sqlite3.Row) -> bool:
    """Find the kind that the seal proves; what none proves is set aside, never sent."""
    changed: dict[str, object] = {}
    if not _proves(store, row, row["kind"]):
        kind = next((kind for kind in Kind if _proves(store, row, kind)), None)
        if kind is not None:
            changed["kind"] = kind
        elif row["kind"] not in set(Kind):
            changed |= {"kind": Kind.REJECT, "state": "set_aside", "why": "damaged"}
    if "state" not in changed and row["state"] not in _ROW_STATES:
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
        if study.encode() not in row["payload"] or not _proves(store, row, Kind.RESULT):
            continue
        with contextlib.suppress(ValidationError):
            stored = StoredMessage.model_validate_json(row["payload"])
            place = place_of(stored.body)
            if stored.study == study and place is not None:
                body = with_limb(body, place, stored.body, row["id"])
                body = body.model_copy(update={"patient": stored.patient})
    return body
