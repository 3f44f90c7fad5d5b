"""The audit: proves that every film is in exactly one state, or names what is missing or changed.

Reads the journal, the watched folder and our own folders; writes nothing. Holds the journal's
tables against its chain, so that an edited table shows even where the chain is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge.delivery.journal import Kind, State, told_states
from edge.delivery.orders import UNREAD
from edge.delivery.store import COUNTERS, CUT_FOUND
from edge.intake.quarantine import job_of
from edge.model import StrEnum
from edge.state_folder import appliance_runs

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge.delivery.store import Head, Store
    from edge.filing import Places
    from edge.intake.watch import Folder

_AGAIN_S = 1.5


class Fault(StrEnum):
    """Kind of a finding."""

    CHANGED = "changed"
    MISSING = "missing"
    OVERDUE = "overdue"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it must be."""

    fault: Fault
    subject: str
    detail: str

    def __str__(self) -> str:
        return f"{self.fault}: {self.subject}: {self.detail}"


@dataclass(frozen=True)
class Report:
    """What an audit found. ``states`` counts films by state, ``seen`` among them."""

    findings: tuple[Finding, ...]
    states: dict[str, int]
    head: Head
    running: bool

    @property
    def exit_status(self) -> int:
        """0 all proved; 1 something is missing or changed; 3 something only waits too long."""
        if any(it.fault is not Fault.OVERDUE for it in self.findings):
            return 1
        return 3 if self.findings else 0


@dataclass(frozen=True)
class Limits:
    """How long a film may wait, in seconds: in the folder, in hand, in the outbox."""

    folder_s: float
    hand_s: float
    outbox_s: float


@dataclass
class _Told:
    """What the chain says."""

    states: dict[int, str] = field(default_factory=dict)
    paths: dict[int, str] = field(default_factory=dict)
    sha256: dict[int, str] = field(default_factory=dict)
    ids: dict[int, tuple[str, ...]] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    replayed: set[str] = field(default_factory=set)
    expired: set[int] = field(default_factory=set)
    """Films whose copies retention has removed."""


def audit(
    store: Store,
    places: Places,
    folder: Folder,
    limits: Limits,
    published: Sequence[Head] = (),
) -> Report:
    """Walk chain, tables, our own folders and the watched one.

    ``published`` are heads that retained messages told: rows that they tell of must be there.
    While the appliance runs a finding counts only if it stays.
    """
    running = appliance_runs(places.pictures.parent)
    report = _once(store, places, folder, limits, published, running=running)
    for _ in range(3 if running else 0):
        if not report.findings:
            break
        time.sleep(_AGAIN_S)
        again = _once(store, places, folder, limits, published, running=running)
        before = {(it.fault, it.subject) for it in report.findings}
        stays = tuple(it for it in again.findings if (it.fault, it.subject) in before)
        report = Report(stays, again.states, again.head, running)
    return report


def _once(
    store: Store,
    places: Places,
    folder: Folder,
    limits: Limits,
    published: Sequence[Head],
    *,
    running: bool,
) -> Report:
    store.db.execute("BEGIN")
    try:
        findings = list(_chain(store, published))
        told = _told(store)
        jobs = {row["number"]: row for row in store.db.execute("SELECT * FROM job")}
        findings += _tables(told, jobs)
        findings += _numbers(store, told, jobs)
        findings += _outbox(store, told, jobs, limits, places)
        findings += _receipts(store, jobs)
        head = store.head()
    finally:
        store.db.execute("ROLLBACK")
    findings += _copies(places, jobs, told)
    states = Counter(str(row["state"]) for row in jobs.values())
    if running:
        findings += _in_hand(jobs, limits)
    seen = list(_unclaimed(folder, jobs))
    states[State.SEEN] += len(seen)
    now = time.time()
    for path, since in seen:
        if path is None:
            findings.append(Finding(Fault.MISSING, "watched folder", "cannot be listed"))
        elif running and now - since > limits.folder_s:
            detail = f"lies in the folder for {now - since:.0f} s and is not in the journal"
            findings.append(Finding(Fault.OVERDUE, ascii(os.fsdecode(path)), detail))
    return Report(tuple(findings), dict(+states), head, running)


def _chain(store: Store, published: Sequence[Head]) -> Iterator[Finding]:
    broken = store.verify()
    if broken is not None and broken.row < broken.expected_row:
        detail = f"rows {broken.row + 1} to {broken.expected_row} were cut off its end"
        yield Finding(Fault.MISSING, "journal", detail)
    elif broken is not None:
        detail = f"row {broken.row} is not the one that was written after row {broken.row - 1}"
        yield Finding(Fault.CHANGED, "journal", detail)
    for event in store.events():
        if event.kind == CUT_FOUND:
            row = event.detail.get("published")
            detail = (
                f"row {row} was missing when row {event.row} was written: "
                "an older journal was put back, or its end was cut off"
            )
            yield Finding(Fault.MISSING, "journal", detail)
    checkpoint = store.checkpoint().row
    for it in published:
        if it.row < checkpoint:
            continue
        code = store.code_of(it.row)
        if code is None:
            detail = f"row {it.row} was published and is not there: the end was cut off"
            yield Finding(Fault.MISSING, "journal", detail)
        elif code != it.mac:
            detail = f"row {it.row} is not the one that was published"
            yield Finding(Fault.CHANGED, "journal", detail)


def _told(store: Store) -> _Told:
    told = _Told()
    for job, (state, sha256) in told_states(store).items():
        told.states[job], told.sha256[job] = state, sha256
    # The row that told of their copies' end may be cut off.
    told.expired |= {row["job"] for row in store.db.execute("SELECT job FROM carried")}
    for event in store.events():
        if event.kind == "message_closed":
            told.closed.add(str(event.detail.get("id")))
        elif event.job is not None and "path" in event.detail:
            told.paths[event.job] = str(event.detail["path"])
        elif event.kind == "replay":
            told.replayed.add(str(event.detail.get("id")))
        elif event.kind == "copy_expired" and event.job is not None:
            told.expired.add(event.job)
        elif event.job is not None and event.detail.get("ids"):
            told.ids[event.job] = tuple(event.detail["ids"])
    return told


def _tables(told: _Told, jobs: dict[int, sqlite3.Row]) -> Iterator[Finding]:
    for number, state in told.states.items():
        job = f"job {number}"
        if number not in jobs:
            yield Finding(
                Fault.MISSING, job, f"the chain tells of it ({state}), the table lacks it"
            )
        elif jobs[number]["state"] != state:
            detail = f"the table says {jobs[number]['state']}, the chain says {state}"
            yield Finding(Fault.CHANGED, job, detail)
        elif jobs[number]["sha256"] != told.sha256.get(number):
            yield Finding(Fault.CHANGED, job, "the film's digest is not the one that was claimed")
    for number in jobs.keys() - told.states.keys():
        yield Finding(Fault.CHANGED, f"job {number}", "the chain does not tell of it")


def _numbers(store: Store, told: _Told, jobs: dict[int, sqlite3.Row]) -> Iterator[Finding]:
    """Paths and counters that were changed in the tables."""
    for number, code in told.paths.items():
        path = jobs[number]["path"] if number in jobs else None
        if isinstance(path, bytes) and path and store.code_of_path(path) != code:
            yield Finding(Fault.CHANGED, f"job {number}", "its path is not the one it was taken at")
    for name in COUNTERS:
        if not store.counter_holds(name):
            detail = "stands below a number that was given: it would be given twice"
            yield Finding(Fault.CHANGED, f"counter {name}", detail)


def _outbox(
    store: Store, told: _Told, jobs: dict[int, sqlite3.Row], limits: Limits, places: Places
) -> Iterator[Finding]:
    rows = store.db.execute("SELECT * FROM outbox").fetchall()
    known = {row["id"] for row in rows if row["kind"] != Kind.IMAGE}
    for number, ids in told.ids.items():
        # A duplicate's message is its first copy's, and goes with that one.
        own = told.states[number] != State.DUPLICATE
        for result_id in sorted(set(ids) - known) if own else ():
            yield Finding(Fault.MISSING, f"job {number}", f"message {result_id} is not kept")
    open_results: set[int] = set()
    now = time.time()
    for row in rows:
        subject = f"job {row['job']}, {row['kind']} {row['id']}"
        waits = row["state"] in {"queued", "waiting"}
        if store.seal(row["id"], row["kind"], row["payload"]) != row["seal"]:
            yield Finding(Fault.CHANGED, subject, "is not what was written")
        if waits and row["kind"] == Kind.RESULT:
            open_results.add(row["job"])
        if waits and now - row["created"] > limits.outbox_s:
            detail = f"undelivered for {now - row['created']:.0f} s"
            yield Finding(Fault.OVERDUE, subject, detail)
        closed = row["state"] == "closed" and row["kind"] != Kind.IMAGE
        # Retention cuts the telling of old messages off the chain, with that of their jobs.
        if closed and row["id"] not in told.closed and row["job"] in told.ids:
            yield Finding(Fault.CHANGED, subject, "is closed, and the chain does not tell of it")
        if waits and row["id"] in told.closed and row["id"] not in told.replayed:
            yield Finding(Fault.CHANGED, subject, "was closed and waits again")
        picture = (
            places.pictures / os.fsdecode(row["payload"]) if row["kind"] == Kind.IMAGE else None
        )
        if waits and picture is not None and not picture.is_file():
            yield Finding(Fault.MISSING, subject, "its picture is gone")
    for number, job in jobs.items():
        if job["state"] in {State.QUEUED, State.SENT} and number not in open_results:
            yield Finding(Fault.MISSING, f"job {number}", f"is {job['state']}, and nothing waits")


def _receipts(store: Store, jobs: dict[int, sqlite3.Row]) -> Iterator[Finding]:
    answered = {row["id"] for row in store.db.execute("SELECT id FROM receipt")}
    query = "SELECT id, job FROM outbox WHERE kind = ? AND state = 'closed'"
    for row in store.db.execute(query, (Kind.RESULT,)):
        job = jobs.get(row["job"])
        if job is not None and job["state"] == State.RECEIPTED and row["id"] not in answered:
            yield Finding(Fault.MISSING, f"job {row['job']}", f"receipt of {row['id']}")


def _in_hand(jobs: dict[int, sqlite3.Row], limits: Limits) -> Iterator[Finding]:
    now = time.time()
    waiting = [number for number, job in jobs.items() if job["state"] == State.CLAIMED]
    # Orders wait for one another; only the oldest is in hand.
    for number in sorted(waiting)[:1]:
        waited_s = now - jobs[number]["since"]
        if waited_s > limits.hand_s:
            yield Finding(Fault.OVERDUE, f"job {number}", f"claimed for {waited_s:.0f} s")


def _copies(places: Places, jobs: dict[int, sqlite3.Row], told: _Told) -> Iterator[Finding]:
    quarantine, archive = _own_files(places.quarantine), _own_files(places.archive)
    for place, files in (("quarantine", quarantine), ("archive", archive)):
        for number in sorted(files.keys() - jobs.keys()):
            yield Finding(Fault.CHANGED, f"{place}/{files[number].name}", "belongs to no film")
    for number, job in jobs.items():
        subject = f"job {number}"
        if number in quarantine and _digest(quarantine[number]) != job["sha256"]:
            yield Finding(Fault.CHANGED, subject, "its copy in the quarantine is not the film's")
        if number in archive and _digest(archive[number]) != job["sha256"]:
            yield Finding(Fault.CHANGED, subject, "its file in the archive is not the film's")
        expired = job["copy"] == "expired"
        if expired and number not in told.expired:
            yield Finding(Fault.CHANGED, subject, "its copy expired, and the chain lacks it")
        if job["original"] == "moved" and number not in archive:
            yield Finding(Fault.MISSING, subject, "its file in the archive is gone")
        kept = job["state"] in {State.HELD, State.QUARANTINED} and job["reason"] not in UNREAD
        if kept and not expired and number not in quarantine and not _still_there(job):
            yield Finding(Fault.MISSING, subject, "neither its copy nor the scanner's file is left")
        in_folder = job["state"] == State.CLAIMED and job["origin"] == "folder"
        if in_folder and not _still_there(job):
            yield Finding(Fault.MISSING, subject, "is claimed, and its file is gone or changed")


def _own_files(folder: Path) -> dict[int, Path]:
    """Files that we named after a job's number."""
    found = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        number = job_of(path.name)
        if number is not None:
            found[number] = path
    return found


def _digest(path: Path) -> str | None:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    except OSError:
        return None
    return digest.hexdigest()


def _still_there(job: sqlite3.Row) -> bool:
    try:
        found = os.lstat(job["path"])
    except OSError:
        return False
    return (found.st_size, found.st_mtime_ns) == (job["size"], job["mtime_ns"])


def _unclaimed(
    folder: Folder, jobs: dict[int, sqlite3.Row]
) -> Iterator[tuple[bytes | None, float]]:
    """Files of the watched folder that no job tells of, and since when they lie there."""
    known = {(row["path"], row["size"], row["mtime_ns"]) for row in jobs.values()}
    paths = {row["path"] for row in jobs.values()}
    try:
        entries = list(folder.entries())
    except OSError:
        yield None, 0.0
        return
    for entry in entries:
        try:
            found = os.lstat(entry.path)
        except OSError:
            continue
        if (entry.path, found.st_size, found.st_mtime_ns) in known:
            continue
        if not entry.regular and entry.path in paths:
            continue
        yield entry.path, max(found.st_mtime, found.st_ctime)


def as_text(report: Report, notice: str) -> str:
    """Lines for a person."""
    told = ", ".join(f"{n} {state}" for state, n in sorted(report.states.items())) or "none"
    verdict = "every film is in exactly one state" if not report.findings else (
        f"{len(report.findings)} findings"
    )  # fmt: skip
    lines = [
        *map(str, report.findings),
        f"films: {told}",
        f"journal: row {report.head.row}, head {report.head.mac[:16]}",
        f"appliance: {'runs' if report.running else 'does not run'}",
        f"audit: {verdict}. {notice}",
    ]
    return "\n".join(lines)


def as_json(report: Report) -> str:
    """One JSON object for a script."""
    return json.dumps(
        {
            "findings": [vars(it) for it in report.findings],
            "states": report.states,
            "journal_row": report.head.row,
            "journal_head": report.head.mac,
            "running": report.running,
            "exit_status": report.exit_status,
        }
    )
