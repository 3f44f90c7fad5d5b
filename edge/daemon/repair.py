"""Repairs the journal's tables where its log and seals prove what they held.

Layer: daemon; reads and writes the journal.

A bit that a disk has flipped must neither end the appliance nor become a score. At the start a
journal of moderate size is repaired as a whole; of a large one only what the start needs, and the
rest by `edge.daemon.inspection`. Repairs are recorded in the log and reported.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from edge.contract.payloads import StudyStatus
from edge.journal.chain import COUNTERS, CUT_FOUND
from edge.journal.film_end import film_waits_for
from edge.journal.kinds import LIMB_MESSAGES, REJECT, RESULT
from edge.journal.opening import is_machine_fault, open_store, replace_store
from edge.journal.orders import work_again
from edge.journal.rows import proves
from edge.journal.spans import Logged, Span, read, spans, strays
from edge.journal.states import UNDRAWN, State, move
from edge.journal.store import JournalError
from edge.outputs.message import StoredMessage
from edge.outputs.study import StudyBody, place_of, text_of, with_limb
from edge.outputs.table import OUTPUTS, has_own_id, needs_receipt
from edge.system.clock import steady_unix_s

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.journal.chain import BrokenChain
    from edge.journal.store import Store

_ROW_STATES = frozenset({"queued", "waiting", "closed", "set_aside", UNDRAWN})
_WHOLE_EVENTS = 20_000
_WHOLE_MESSAGES = 5_000
"""A journal with more is not repaired as a whole at the start."""
_SPAN = 200
_NOT_LOGGED = Logged()


def open_sound(
    path: Path, key: bytes, *, expected: bool, busy: Callable[[], None] | None = None
) -> tuple[Store, str]:
    """Open the journal and repair or replace it; the parameters are `open_store`'s.

    Returns it, and a text that says what was done; empty where it was sound.
    """
    store, rebuilt = open_store(path, key, expected=expected, busy=busy)
    repaired: dict[str, int] = {}
    broken: BrokenChain | None = None
    try:
        broken = store.verify() if is_moderate(store) else store.verify_end(_WHOLE_EVENTS)
        repaired = repair(store) if is_moderate(store) else repair_end(store)
        if broken is None:
            store.mark_clean()
    except (sqlite3.DatabaseError, TypeError, ValueError, AttributeError) as error:
        store.close()
        if isinstance(error, sqlite3.DatabaseError) and is_machine_fault(error):
            raise JournalError(f"{path}: {error}; free the disk or end its other user") from error
        # Damage beyond single values; the file is kept beside the new one.
        store, rebuilt = replace_store(path, key), True
    store.end_opening()
    if rebuilt:
        return store, "it was damaged or gone, and a new one is in use"
    texts = [chain_text(broken) if broken is not None else "", repair_text(repaired)]
    return store, "; ".join(filter(None, texts))


def chain_text(broken: BrokenChain) -> str:
    """Text that says where the chain is broken."""
    if broken.row < broken.expected_row:
        rows = f"rows {broken.row + 1} to {broken.expected_row} were cut off the journal's end"
        return f"{rows}: sharpedge audit"
    row = f"row {broken.row} of the journal is not the one that was written after the row before"
    return f"{row}: sharpedge audit"


def repair_text(repaired: dict[str, int]) -> str:
    """Text that says how many rows of each table were repaired; empty where none were."""
    counts = ", ".join(f"{table} {count}" for table, count in repaired.items())
    return f"rows that a fault had changed were put right: {counts}" if counts else ""


def is_moderate(store: Store) -> bool:
    """Whether the whole journal can be read without delaying the start."""
    if store.head().row - store.checkpoint().row > _WHOLE_EVENTS:
        return False
    query = "SELECT COUNT(*) FROM (SELECT 1 FROM outbox LIMIT ?)"
    return bool(store.db.execute(query, (_WHOLE_MESSAGES + 1,)).fetchone()[0] <= _WHOLE_MESSAGES)


def repair(store: Store) -> dict[str, int]:
    """Repair what can be proved; returns how many rows of each table were changed.

    Raises `sqlite3.DatabaseError` where the file itself is damaged.
    """
    whole = store.verify() is None
    with store.transaction():
        done = _repair_counters(store)
        for first, last in spans(store, _SPAN):
            done += _repair_span(store, read(store, first, last), whole=whole)
        done += repair_strays(store)
        for row in store.db.execute("SELECT * FROM study").fetchall():
            done["study"] += repair_study(store, row)
        return _noted(store, done)


def repair_end(store: Store) -> dict[str, int]:
    """Repair what the start needs: the log's end and the counters."""
    with store.transaction():
        return _noted(store, _repair_counters(store))


def repair_span(store: Store, first: int, last: int, *, whole: bool) -> dict[str, int]:
    """Repair the films of one span, in a transaction of its own.

    ``whole`` says whether the chain is intact; where not, nothing is concluded from the log.
    """
    store.db.execute("BEGIN IMMEDIATE")
    done: dict[str, int] = {}
    try:
        done = _noted(store, _repair_span(store, read(store, first, last), whole=whole))
    finally:
        store.db.execute("COMMIT" if done else "ROLLBACK")
    return done


def _noted(store: Store, counts: Counter[str]) -> dict[str, int]:
    done = {table: count for table, count in counts.items() if count}
    if done:
        store.log("mended", **done)
    return done


def _repair_counters(store: Store) -> Counter[str]:
    _record_cut(store)
    return Counter(meta=sum(_repair_counter(store, name) for name in COUNTERS))


def repair_strays(store: Store) -> Counter[str]:
    """Repair messages whose job a fault has changed into no number; only inside a transaction."""
    return Counter(outbox=sum(_repair_message(store, row, _NOT_LOGGED) for row in strays(store)))


def _repair_span(store: Store, span: Span, *, whole: bool) -> Counter[str]:
    if not whole:
        span = Span(span.first, span.last, span.jobs, {}, span.messages)
    restored = _restore_jobs(store, span)
    done = Counter(job=restored)
    if restored:
        again = read(store, span.first, span.last)
        span = Span(span.first, span.last, again.jobs, span.logged, again.messages)
    for row in span.jobs.values():
        done["job"] += _repair_job(store, row, span.logged.get(row["number"], _NOT_LOGGED))
    messages = [row for rows in span.messages.values() for row in rows]
    for row in messages:
        done["outbox"] += _repair_message(store, row, span.logged.get(row["job"], _NOT_LOGGED))
    if done["job"] or done["outbox"]:
        again = read(store, span.first, span.last)
        span = Span(span.first, span.last, again.jobs, span.logged, again.messages)
    for row in span.jobs.values():
        done["job"] += _end_or_work_again(store, row, span)
    return done


def _record_cut(store: Store) -> None:
    """Record that the newest rows were deleted: the next row would hide it."""
    signed = store.signed_head()
    if signed is not None and signed.row > store.head().row:
        store.log(CUT_FOUND, published=signed.row, code=signed.mac)


@dataclass(frozen=True)
class _Origin:
    """Film of a sealed message."""

    job: int
    sha256: str


def _repair_counter(store: Store, name: str) -> bool:
    if store.counter_holds(name):
        return False
    # Beyond any number that was given.
    store.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, int(steady_unix_s())))
    return True


def _restore_jobs(store: Store, span: Span) -> int:
    """Restore jobs that are in the log or in a sealed message and not in the table."""
    lost = {
        number: (logged.state, logged.sha256)
        for number, logged in span.logged.items()
        if logged.state is not None and number not in span.jobs
    }
    for rows in span.messages.values():
        for row in rows:
            if row["job"] in span.jobs or row["job"] in lost:
                continue
            origin = _origin(store, row)
            if origin is None or origin.job in lost or _has_job(store, origin.job):
                continue
            lost[origin.job] = (State.SENT, origin.sha256)
            store.log(State.SENT, origin.job, sha256=origin.sha256)
    for number, (state, sha256) in lost.items():
        store.db.execute(
            "INSERT INTO job (number, path, sha256, device, inode, size, mtime_ns, state, since, "
            "original) VALUES (?, x'', ?, 0, 0, 0, 0, ?, ?, 'gone')",
            (number, sha256, state, steady_unix_s()),
        )
    return len(lost)


def _has_job(store: Store, number: int) -> bool:
    found = store.db.execute("SELECT 1 FROM job WHERE number = ?", (number,)).fetchone()
    return found is not None


def _repair_job(store: Store, row: sqlite3.Row, logged: Logged) -> bool:
    state, sha256 = logged.state, logged.sha256
    if state is None:
        state = row["state"] if row["state"] in set(State) else State.SET_ASIDE
        sha256 = row["sha256"]
    if (row["state"], row["sha256"]) == (state, sha256):
        return False
    store.db.execute(
        "UPDATE job SET state = ?, sha256 = ? WHERE number = ?", (state, sha256, row["number"])
    )
    return True


def _sealed_columns(store: Store, row: sqlite3.Row) -> dict[str, object]:
    """Changes that make kind and destination of a row those that its seal proves."""
    kind, destination = str(row["kind"]), str(row["destination"])
    if proves(store, row, kind, destination):
        return {}
    for it in OUTPUTS.values():
        if proves(store, row, it.kind, it.destination):
            return {"kind": it.kind, "destination": it.destination}
    if row["state"] == "set_aside":
        return {}
    output = OUTPUTS.get(kind, OUTPUTS[REJECT])
    return {
        "kind": output.kind, "destination": output.destination, "state": "set_aside",
        "why": "damaged",
    }  # fmt: skip


def _repair_message(store: Store, row: sqlite3.Row, logged: Logged) -> bool:
    """Restore kind and destination that the seal proves; a row that it does not is set aside."""
    changed = _sealed_columns(store, row)
    origin = None if row["id"] in logged.ids else _origin(store, row)
    if origin is not None and origin.job != row["job"]:
        changed["job"] = origin.job
    not_closed = row["id"] in logged.ids and row["id"] not in logged.closed
    by_hand = row["state"] == "closed" and not_closed and needs_receipt(str(row["kind"]))
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


def _end_or_work_again(store: Store, job: sqlite3.Row, span: Span) -> bool:
    """End a film of which no message waits, or have it scored again where a message is lost."""
    if job["state"] not in (State.QUEUED, State.SENT, State.HELD, State.QUARANTINED):
        return False
    number = job["number"]
    logged, own = span.logged.get(number, _NOT_LOGGED), span.messages.get(number, [])
    waited_for = [row for row in own if film_waits_for(row["kind"], row["destination"])]
    missing = [it for it in logged.ids - logged.closed if not _is_kept(store, it)]
    sent = job["state"] in {State.QUEUED, State.SENT}
    damaged = any(row["why"] == "damaged" and needs_receipt(str(row["kind"])) for row in own)
    # A film that was scored again may wait for a document alone: its result was delivered before.
    if damaged or missing or (sent and not waited_for):
        return work_again(store, number, "message_lost") is not None
    if sent and all(row["state"] in {"closed", "set_aside"} for row in waited_for):
        _end(store, number, {row["state"] for row in waited_for})
        return True
    return False


def _is_kept(store: Store, result_id: str) -> bool:
    """Whether a message is in the outbox, under whatever job."""
    rows = store.db.execute("SELECT kind FROM outbox WHERE id = ?", (result_id,))
    return any(has_own_id(str(row["kind"])) for row in rows)


def _end(store: Store, job: int, states: set[str]) -> None:
    """End a film whose results have reached ``states``."""
    answered = store.db.execute(
        "SELECT 1 FROM receipt WHERE id IN (SELECT id FROM outbox WHERE job = ?) LIMIT 1", (job,)
    ).fetchone()
    delivered = State.ACKED if answered is None else State.RECEIPTED
    move(store, job, State.SET_ASIDE if "set_aside" in states else delivered)


def _stored(store: Store, row: sqlite3.Row) -> StoredMessage | None:
    """Parse a result or reject whose seal is valid."""
    if not _is_sealed_limb_message(store, row):
        return None
    with contextlib.suppress(ValidationError):
        return StoredMessage.model_validate_json(row["payload"])
    return None


def _origin(store: Store, row: sqlite3.Row) -> _Origin | None:
    """Film of a result or reject whose seal is valid."""
    if not _is_sealed_limb_message(store, row):
        return None
    with contextlib.suppress(ValueError):
        body = json.loads(row["payload"])
        if isinstance(body, dict) and isinstance(body.get("job"), int):
            return _Origin(body["job"], str(body.get("film_sha256", "")))
    return None


def _is_sealed_limb_message(store: Store, row: sqlite3.Row) -> bool:
    return row["kind"] in LIMB_MESSAGES and proves(store, row, row["kind"], row["destination"])


def repair_study(store: Store, row: sqlite3.Row) -> bool:
    """Repair one study, only inside a transaction; whether it had been changed."""
    body = str(row["body"])
    status = row["status"] if row["status"] in set(StudyStatus) else StudyStatus.FILLING
    sound = store.seal(str(row["study"]), "study", body.encode()) == row["seal"]
    numbers = ("opened", "changed", "version", "published", "cleared")
    counted = all(isinstance(row[column], int | float) for column in numbers)
    if sound and counted and status == row["status"]:
        return False
    if not sound:
        body = text_of(_from_results(store, str(row["study"])))
    now = steady_unix_s()
    store.db.execute(
        "UPDATE study SET body = ?, seal = ?, status = ?, opened = ?, changed = ?, version = 1, "
        "published = 0, cleared = 0 WHERE study = ?",
        (body, store.seal(str(row["study"]), "study", body.encode()), status, now, now,
         row["study"]),
    )  # fmt: skip
    return True


def _from_results(store: Store, study: str) -> StudyBody:
    """Build a study again from the results that are in the outbox."""
    body = StudyBody()
    for row in store.db.execute("SELECT * FROM outbox WHERE kind = ? ORDER BY row", (RESULT,)):
        if not isinstance(row["payload"], bytes) or study.encode() not in row["payload"]:
            continue
        stored = _stored(store, row)
        place = None if stored is None else place_of(stored.body)
        if stored is not None and stored.study == study and place is not None:
            body = with_limb(body, place, stored.body, row["id"])
            body = body.model_copy(update={"patient": stored.patient})
    return body
