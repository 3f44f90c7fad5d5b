"""Orders of a person about films and messages: release, retry, dismiss, replay.

Layer: journal; reads and writes the SQLite file; asks whether a picture's file exists.

An order is one transaction in the journal, from any process. The daemon reads it there, at once
while it runs and otherwise at its next start. ``operator`` names the person in the journal's chain.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.journal.copies import job_of
from edge.journal.film_end import GIVEN_UP, film_waits_for
from edge.journal.first_start import BEFORE_FIRST_START
from edge.journal.kinds import LIMB_MESSAGES, RESULT
from edge.journal.records import ORDERED
from edge.journal.rows import proves
from edge.journal.states import UNDRAWN, State, move
from edge.journal.store import JournalError
from edge.model import OperatorStatement
from edge.system.clock import steady_unix_s

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from edge.journal.store import Store

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_RETRIED = (State.HELD, State.QUARANTINED, State.SET_ASIDE, State.DISMISSED)
_DIGITS = 18
UNREAD = frozenset({"too_large", "not_a_regular_file", BEFORE_FIRST_START})
"""Reasons of films whose bytes were never read: no copy is kept of them."""


@dataclass(frozen=True)
class Done:
    """Result of an order: the job that it was about, and the new one, if any."""

    job: int
    new_job: int | None = None


@dataclass(frozen=True)
class SetAside:
    """A message that is not sent any more, and the cause."""

    row: int
    job: int
    kind: str
    result_id: str
    why: str


def find_job(store: Store, name: str) -> int:
    """Find a film's latest job by job number, result id, path, or the name of its kept copy.

    Raises `JournalError` when there is none, or when a bare name fits several films.
    """
    if name.isascii() and name.isdigit():
        # More digits than SQLite's integers have are the number of no job.
        number = int(name) if len(name) <= _DIGITS else -1
        found = store.db.execute("SELECT number FROM job WHERE number = ?", (number,)).fetchone()
    elif _UUID.fullmatch(name):
        found = store.db.execute(
            "SELECT job AS number FROM outbox WHERE id = ?", (name.lower(),)
        ).fetchone()
    else:
        return _job_of_file(store, os.fsencode(name))
    if found is None:
        raise JournalError(f"{name}: the journal knows no such film; the topic reject gives its id")
    return int(found["number"])


def _job_of_file(store: Store, file: bytes) -> int:
    path = os.path.abspath(file)  # noqa: PTH100 - names that are not UTF-8
    found = store.db.execute(
        "SELECT MAX(number) AS number FROM job WHERE path IN (?, ?)", (path, file)
    ).fetchone()["number"]
    if found is not None:
        return int(found)
    name = os.path.basename(file)  # noqa: PTH119 - as above
    kept = job_of(os.fsdecode(name))
    if kept is not None:
        return find_job(store, str(kept))
    jobs = store.db.execute(
        "SELECT MAX(number) AS number FROM job WHERE substr(path, -?) = ? GROUP BY path",
        (len(name) + 1, b"/" + name),
    ).fetchall()
    if len(jobs) == 1:
        return int(jobs[0]["number"])
    why = "several films have this name: give the whole path or the id" if jobs else (
        "the journal knows no such film; give its path, its id or its job number"
    )  # fmt: skip
    raise JournalError(f"{os.fsdecode(file)!a}: {why}")


def named(person: str | None, account: str) -> str:
    """Name for the journal: the person, with the account that gave the name."""
    return account if person is None or person == account else f"{person} (via {account})"


def release(store: Store, job: int, stated: OperatorStatement, operator: str = "") -> Done:
    """Have a held film scored with the limb and side that a person states.

    Raises `JournalError` where the film is not held, or nothing was stated.
    """
    if stated == OperatorStatement():
        raise JournalError("state what the film shows: --limb hand|foot, --side L|R, or both")
    with store.transaction():
        row = _row_of(store, job)
        if row["state"] != State.HELD:
            raise JournalError(
                f"job {job} is {_state_of(store, row)}, not held: nothing to release"
            )
        limb, side = str(stated.limb or ""), str(stated.laterality or "")
        return Done(job, _order(store, row, limb, side, "released", operator))


def retry(store: Store, job: int, operator: str = "") -> Done:
    """Have a film scored again as it is.

    ``new_job`` is None where its bytes were never read: the file is then read again.
    Raises `JournalError` where the film is not held, quarantined, set aside or dismissed.
    """
    with store.transaction():
        row = _row_of(store, job)
        if row["state"] not in _RETRIED:
            raise JournalError(f"job {job} is {_state_of(store, row)}: there is nothing to retry")
        _refuse_older(store, row)
        if row["reason"] in UNREAD:
            store.db.execute("UPDATE job SET mtime_ns = -1 WHERE number = ?", (job,))
            store.log("look_again", job, **_by(operator))
            return Done(job)
        limb, side = row["operator_limb"], row["operator_side"]
        return Done(job, _order(store, row, limb, side, "retried", operator))


def work_again(store: Store, job: int, why: str) -> int | None:
    """Have a film scored again whose message a fault destroyed; only inside a transaction.

    Returns the new job; None where a job is at work on the film, or the journal has no such film.
    """
    row = store.db.execute("SELECT * FROM job WHERE number = ?", (job,)).fetchone()
    if row is None or _later_claimed(store, row) is not None:
        return None
    number = _order(store, row, row["operator_limb"], row["operator_side"], why)
    if row["state"] in {State.QUEUED, State.SENT}:
        store.db.execute("UPDATE job SET original = 'passed_on' WHERE number = ?", (job,))
        move(store, job, State.SET_ASIDE, why=why, by=number)
    return number


def set_aside(store: Store) -> list[SetAside]:
    """Messages that are set aside, oldest first."""
    found = store.db.execute(
        "SELECT row, job, kind, id, why FROM outbox WHERE state = 'set_aside' ORDER BY row"
    )
    return [SetAside(r["row"], r["job"], r["kind"], r["id"], r["why"] or "") for r in found]


def take_back(store: Store, message: SetAside) -> None:
    """Queue a message that was set aside again, as it was written.

    Raises `JournalError` where it is damaged, or not set aside any more.
    """
    with store.transaction():
        row = store.db.execute(
            "SELECT * FROM outbox WHERE row = ? AND state = 'set_aside'", (message.row,)
        ).fetchone()
        if row is None:
            raise JournalError(f"message {message.result_id}: is not set aside any more")
        if not proves(store, row, row["kind"], row["destination"]):
            raise JournalError(
                f"message {message.result_id}: is damaged; sharpedge retry {message.job} scores "
                "its film again"
            )
        store.db.execute(
            "UPDATE outbox SET state = 'queued', why = NULL, created = ? WHERE row = ?",
            (steady_unix_s(), message.row),
        )
        store.log("taken_back", message.job, id=message.result_id, kind=message.kind)
        job = store.db.execute("SELECT state FROM job WHERE number = ?", (message.job,)).fetchone()
        if job is None or job["state"] != State.SET_ASIDE:
            return
        if message.kind == RESULT or _ended_by(store, row):
            move(store, message.job, State.QUEUED)


def _ended_by(store: Store, row: sqlite3.Row) -> bool:
    """Whether a film was set aside for want of this row.

    A film that goes on as another job is set aside for good.
    """
    if not film_waits_for(row["kind"], row["destination"]):
        return False
    job = _row_of(store, row["job"])
    later = store.db.execute(
        "SELECT 1 FROM job WHERE sha256 = ? AND number > ?", (job["sha256"], row["job"])
    ).fetchone()
    return later is None


def dismiss(store: Store, job: int, operator: str = "") -> Done:
    """Give up a held film, or its messages that are set aside.

    Raises `JournalError` where the film is not held and none of its messages is set aside.
    """
    with store.transaction():
        row = _row_of(store, job)
        aside = [it for it in set_aside(store) if it.job == job]
        if row["state"] != State.HELD and not aside:
            raise JournalError(
                f"job {job} is {_state_of(store, row)}, not held, and none of its messages is set "
                "aside: nothing to dismiss"
            )
        for it in aside:
            store.db.execute(
                "UPDATE outbox SET state = 'closed', why = ? WHERE row = ?",
                (GIVEN_UP if it.kind == RESULT else it.why, it.row),
            )
            # `message_closed` would close the message whose id this one shares.
            kind = "picture_dismissed" if _accompanies(store, it) else "message_closed"
            store.log(kind, job, id=it.result_id, kind=it.kind, why="dismissed", **_by(operator))
        if row["state"] in {State.HELD, State.SET_ASIDE}:
            move(store, job, State.DISMISSED, **_by(operator))
    return Done(job)


def picture(store: Store, result_id: str, pictures: Path) -> Done:
    """Send a message's picture again. Raises `JournalError` where none is kept."""
    result_id = result_id.lower()
    with store.transaction():
        row = store.db.execute(
            "SELECT row, job, payload FROM outbox WHERE id = ? AND kind = 'image'", (result_id,)
        ).fetchone()
        if row is None:
            raise JournalError(f"{result_id}: the journal knows no picture of this message")
        if not (pictures / os.fsdecode(row["payload"])).is_file():
            raise JournalError(f"{result_id}: its picture is not kept any more")
        store.db.execute(
            "UPDATE outbox SET state = 'queued', why = NULL, created = ? WHERE row = ?",
            (steady_unix_s(), row["row"]),
        )
        store.log("picture", row["job"], id=result_id)
    return Done(int(row["job"]))


def replay(store: Store, result_id: str) -> Done:
    """Send a message again under its id, with its picture; a dashboard must answer again.

    Raises `JournalError` for an id that is not known.
    """
    with store.transaction():
        rows = store.db.execute(
            "SELECT row, job, kind, state FROM outbox WHERE id = ?", (result_id.lower(),)
        ).fetchall()
        if not rows:
            raise JournalError(f"{result_id}: the journal knows no such message")
        store.db.execute("DELETE FROM receipt WHERE id = ?", (result_id.lower(),))
        for row in rows:
            # A picture that could not be sent is missing or too large: it stays set aside.
            if row["kind"] not in LIMB_MESSAGES and row["state"] in {"set_aside", UNDRAWN}:
                continue
            store.db.execute(
                "UPDATE outbox SET state = 'queued', why = NULL, created = ? WHERE row = ?",
                (steady_unix_s(), row["row"]),
            )
        store.log("replay", rows[0]["job"], id=result_id.lower())
    return Done(int(rows[0]["job"]))


def _accompanies(store: Store, message: SetAside) -> bool:
    """Whether a message shares the id of a limb's message, as a picture does."""
    if message.kind in LIMB_MESSAGES:
        return False
    found = store.db.execute(
        "SELECT 1 FROM outbox WHERE id = ? AND kind IN (?, ?)", (message.result_id, *LIMB_MESSAGES)
    ).fetchone()
    return found is not None


def _row_of(store: Store, job: int) -> sqlite3.Row:
    found: sqlite3.Row | None = store.db.execute(
        "SELECT * FROM job WHERE number = ?", (job,)
    ).fetchone()
    if found is None:
        raise JournalError(f"job {job}: the journal knows no such film")
    return found


def _state_of(store: Store, row: sqlite3.Row) -> str:
    """State of a job, and the number of the job that followed it."""
    after = store.db.execute(
        "SELECT MAX(number) AS number FROM job WHERE sha256 = ? AND number > ?",
        (row["sha256"], row["number"]),
    ).fetchone()["number"]
    return str(row["state"]) + (f" (and went on as job {after})" if after else "")


def _refuse_older(store: Store, row: sqlite3.Row) -> None:
    later = _later_claimed(store, row)
    if later is not None:
        raise JournalError(f"job {row['number']}: job {later} works on this film already")


def _later_claimed(store: Store, row: sqlite3.Row) -> int | None:
    later = store.db.execute(
        "SELECT number FROM job WHERE sha256 = ? AND number > ? AND state = ?",
        (row["sha256"], row["number"], State.CLAIMED),
    ).fetchone()
    return None if later is None else int(later["number"])


def _by(operator: str) -> dict[str, str]:
    """Detail of a row of the chain that names the person, where one is known."""
    return {"operator": operator} if operator else {}


def _order(
    store: Store, row: sqlite3.Row, limb: str, side: str, why: str, operator: str = ""
) -> int:
    number = store.db.execute(
        "INSERT INTO job (path, sha256, device, inode, size, mtime_ns, state, since, previous_job,"
        " original, operator_limb, operator_side, origin)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (row["path"], row["sha256"], row["device"], row["inode"], row["size"], row["mtime_ns"],
         State.CLAIMED, steady_unix_s(), row["number"], row["original"], limb, side, ORDERED),
    ).lastrowid  # fmt: skip
    assert number is not None  # noqa: S101 - an INSERT that did not raise has a row
    path = store.code_of_path(row["path"])
    said = {"order": why, "limb": limb, "side": side, **_by(operator)}
    store.log(State.CLAIMED, number, sha256=row["sha256"], path=path, **said)
    if row["state"] == State.HELD:
        # The new job moves or deletes the scanner's file.
        store.db.execute("UPDATE job SET original = 'passed_on' WHERE number = ?", (row["number"],))
        move(store, row["number"], State.SET_ASIDE, why=why, by=number)
    return int(number)
