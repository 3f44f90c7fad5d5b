"""The checks of the audit; each examines one part and may be repeated.

Holds the journal's tables against its chain, so that an edited table shows even where the chain is
whole, and our own files against both.

Layer: daemon; reads journal and folders, writes nothing.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from edge.daemon.audit_files import copies_faults, document_fault
from edge.daemon.audit_finding import Fault, Finding
from edge.intake.settings import IGNORED
from edge.intake.watch import Entry, Folder
from edge.journal.chain import COUNTERS
from edge.journal.copies import job_of
from edge.journal.film_end import film_waits_for
from edge.journal.kinds import PACS, RESULT
from edge.journal.rows import proves
from edge.journal.spans import Logged, read, spans, strays
from edge.journal.states import UNDRAWN, State
from edge.outputs.table import has_own_id, holds_file_name, needs_receipt

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from edge.journal.chain import Head
    from edge.journal.places import Places
    from edge.journal.spans import Span
    from edge.journal.store import Store

_SPAN = 200
_UNREADABLE = (TypeError, ValueError, AttributeError)
"""What values that a fault has changed beyond recognition raise."""


Check = Callable[[], Iterator[Finding]]


@dataclass(frozen=True)
class Limits:
    """How long a film may wait, in seconds: in the folder, in hand, in the outbox, held."""

    folder_s: float
    hand_s: float
    outbox_s: float
    held_s: float


class Checks:
    """The checks over one journal and its folders; ``running``: the appliance is at work."""

    def __init__(
        self, store: Store, places: Places, folder: Folder, limits: Limits, *, running: bool
    ) -> None:
        self._store = store
        self._places = places
        self._folder = folder
        self._limits = limits
        self._running = running
        self._counts: Counter[str] = Counter()
        self._listings: dict[Path, dict[int, Path]] = {}

    def take_counts(self) -> Counter[str]:
        """Films by state that the latest check saw."""
        counts, self._counts = self._counts, Counter()
        return counts

    def refresh(self) -> None:
        """List our own folders again at the next check."""
        self._listings.clear()

    def all(self) -> Iterator[Check]:
        """All checks; those of films a few films at a time."""
        yield self._chain
        yield self._counters
        yield self._strange_copies
        for first, last in spans(self._store, _SPAN):
            yield partial(self._films, first, last)
        yield self._strange_rows
        yield self._refusals
        if self._running:
            yield self._in_hand
        yield self._unclaimed

    def published(self, heads: Sequence[Head]) -> Iterator[Finding]:
        """Hold the journal against heads that were published."""
        checkpoint = self._store.checkpoint().row
        for it in heads:
            code = self._store.code_of(it.row)
            if it.row < checkpoint or code == it.mac:
                continue
            if code is None:
                detail = f"row {it.row} was published and is not there: the end was cut off"
                yield Finding(Fault.MISSING, "journal", detail)
            else:
                detail = f"row {it.row} is not the one that was published"
                yield Finding(Fault.CHANGED, "journal", detail)

    def _chain(self) -> Iterator[Finding]:
        self._store.db.execute("BEGIN")
        try:
            broken = self._store.verify()
            cuts = self._store.cuts_found()
        finally:
            self._store.db.execute("ROLLBACK")
        if broken is not None and broken.row < broken.expected_row:
            detail = f"rows {broken.row + 1} to {broken.expected_row} were cut off its end"
            yield Finding(Fault.MISSING, "journal", detail)
        elif broken is not None:
            detail = f"row {broken.row} is not the one that was written after row {broken.row - 1}"
            yield Finding(Fault.CHANGED, "journal", detail)
        for event in cuts:
            row = event.detail.get("published")
            detail = (
                f"row {row} was missing when row {event.row} was written: "
                "an older journal was put back, or its end was cut off"
            )
            yield Finding(Fault.MISSING, "journal", detail)

    def _counters(self) -> Iterator[Finding]:
        for name in COUNTERS:
            if not self._store.counter_holds(name):
                detail = "stands below a number that was given: it would be given twice"
                yield Finding(Fault.CHANGED, f"counter {name}", detail)

    def _films(self, first: int, last: int) -> Iterator[Finding]:
        self._store.db.execute("BEGIN")
        try:
            span = read(self._store, first, last)
            found = [*_tables(self._store, span), *self._outbox(span), *self._receipts(span)]
        except _UNREADABLE:
            yield Finding(Fault.CHANGED, f"jobs {first} to {last}", "their rows cannot be read")
            return
        finally:
            self._store.db.execute("ROLLBACK")
        yield from found
        quarantine, archive = self._copies_of(span)
        now = time.time()
        for number, job in span.jobs.items():
            self._counts[str(job["state"])] += 1
            logged = span.logged.get(number, Logged())
            yield from copies_faults(job, logged, quarantine.get(number), archive.get(number))
            waited_s = _since(now, job["since"])
            if job["state"] == State.HELD and waited_s > self._limits.held_s:
                detail = f"held for {waited_s / 3600:.0f} h; fix: sharpedge release or dismiss"
                yield Finding(Fault.OVERDUE, f"job {number}", detail)

    def _copies_of(self, span: Span) -> tuple[dict[int, Path], dict[int, Path]]:
        """Files in quarantine and archive that belong to films of a span."""
        found: list[dict[int, Path]] = []
        for folder in (self._places.quarantine, self._places.archive):
            names = self._listings.setdefault(folder, _own_files(folder))
            found.append({number: names[number] for number in span.jobs if number in names})
        return found[0], found[1]

    def _outbox(self, span: Span) -> Iterator[Finding]:
        now = time.time()
        for number, rows in span.messages.items():
            logged = span.logged.get(number, Logged())
            for row in rows:
                yield from self._message(row, logged, now)
        for number, job in span.jobs.items():
            if job["state"] in {State.QUEUED, State.SENT}:
                rows = span.messages.get(number, [])
                if not any(_keeps_open(row) for row in rows):
                    detail = f"is {job['state']}, and nothing waits"
                    yield Finding(Fault.MISSING, f"job {number}", detail)

    def _message(self, row: sqlite3.Row, logged: Logged, now: float) -> Iterator[Finding]:
        subject = f"job {row['job']}, {row['kind']} {row['id']}"
        kind = str(row["kind"])
        awaits_receipt = needs_receipt(kind)
        payload = row["payload"] if isinstance(row["payload"], bytes) else b""
        if not proves(self._store, row, kind, str(row["destination"])):
            yield Finding(Fault.CHANGED, subject, "is not what was written")
        if row["state"] == "set_aside":
            detail = f"was given up ({row['why']}); fix: sharpedge retry, or dismiss {row['job']}"
            yield Finding(Fault.SET_ASIDE, subject, detail)
        # Retention cuts the telling of old messages off the chain, with that of their jobs.
        closed = row["state"] == "closed" and awaits_receipt
        if closed and logged.ids and row["id"] not in logged.closed:
            yield Finding(Fault.CHANGED, subject, "is closed, and the chain does not record it")
        if not _waits(row):
            return
        waited_s = _since(now, row["created"])
        if waited_s > self._limits.outbox_s:
            detail = f"undelivered for {waited_s:.0f} s"
            yield Finding(Fault.OVERDUE, subject, detail)
        if holds_file_name(kind):
            # One that is sent again may have been removed with age meanwhile.
            kept = (self._places.pictures / os.fsdecode(payload)).is_file()
            if not kept and not row["sendings"] and row["state"] != UNDRAWN:
                yield Finding(Fault.MISSING, subject, "its picture is gone")
        if row["destination"] == PACS and (why := document_fault(self._places.pacs, row)):
            yield Finding(Fault.MISSING, subject, why)
        if awaits_receipt and row["id"] in logged.closed and row["id"] not in logged.replayed:
            yield Finding(Fault.CHANGED, subject, "was closed and waits again")

    def _receipts(self, span: Span) -> Iterator[Finding]:
        for number, rows in span.messages.items():
            job = span.jobs.get(number)
            if job is None or job["state"] != State.RECEIPTED:
                continue
            for row in rows:
                if row["kind"] == RESULT and row["state"] == "closed":
                    query = "SELECT 1 FROM receipt WHERE id = ? LIMIT 1"
                    if self._store.db.execute(query, (row["id"],)).fetchone() is None:
                        yield Finding(Fault.MISSING, f"job {number}", f"receipt of {row['id']}")

    def _strange_rows(self) -> Iterator[Finding]:
        for row in strays(self._store):
            subject = f"{row['kind']} {row['id']}"
            yield Finding(Fault.CHANGED, subject, "its job is no number")

    def _strange_copies(self) -> Iterator[Finding]:
        places = (("quarantine", self._places.quarantine), ("archive", self._places.archive))
        for place, folder in places:
            for number, path in _own_files(folder).items():
                query = "SELECT 1 FROM job WHERE number = ?"
                if self._store.db.execute(query, (number,)).fetchone() is None:
                    yield Finding(Fault.CHANGED, f"{place}/{path.name}", "belongs to no film")

    def _refusals(self) -> Iterator[Finding]:
        for row in self._store.db.execute("SELECT kind, why, since FROM refusal ORDER BY kind"):
            detail = (
                f"the broker has refused them for {_since(time.time(), row['since']):.0f} s "
                f"({row['why']}): they wait; fix: let the appliance publish them"
            )
            yield Finding(Fault.REFUSED, f"{row['kind']} messages", detail)

    def _in_hand(self) -> Iterator[Finding]:
        # Orders wait for one another; only the oldest is in hand.
        job = self._store.db.execute(
            "SELECT number, since FROM job WHERE state = ? ORDER BY number LIMIT 1",
            (State.CLAIMED,),
        ).fetchone()
        waited_s = 0.0 if job is None else _since(time.time(), job["since"])
        if waited_s > self._limits.hand_s:
            yield Finding(Fault.OVERDUE, f"job {job['number']}", f"claimed for {waited_s:.0f} s")

    def _unclaimed(self) -> Iterator[Finding]:
        """Files of the watched folder and of the inbox that no job holds."""
        now = time.time()
        try:
            for entry in (*self._folder.entries(), *self._received()):
                since = self._lies_since(entry.path, regular=entry.regular)
                if since is None:
                    continue
                self._counts[State.SEEN] += 1
                if self._running and now - since > self._limits.folder_s:
                    detail = f"lies in the folder for {now - since:.0f} s, not in the journal"
                    yield Finding(Fault.OVERDUE, ascii(os.fsdecode(entry.path)), detail)
        except OSError:
            yield Finding(Fault.MISSING, "watched folder", "cannot be listed")

    def _received(self) -> Iterator[Entry]:
        inbox = self._places.inbox.absolute()
        return Folder(inbox, IGNORED).entries() if inbox.is_dir() else iter(())

    def _lies_since(self, path: bytes, *, regular: bool) -> float | None:
        """Since when a file lies there; None where it is gone or a job holds it."""
        try:
            found = os.lstat(path)
        except OSError:
            return None
        query = "SELECT size, mtime_ns FROM job WHERE path = ?"
        jobs = [tuple(row) for row in self._store.db.execute(query, (path,))]
        if (found.st_size, found.st_mtime_ns) in jobs or (jobs and not regular):
            return None
        return max(found.st_mtime, found.st_ctime)


def _own_files(folder: Path) -> dict[int, Path]:
    """Files that we named after a job's number; none where the folder is missing."""
    found = {}
    try:
        for path in sorted(folder.iterdir()):
            number = job_of(path.name)
            if number is not None:
                found[number] = path
    except OSError:
        return {}
    return found


def _since(now: float, then: object) -> float:
    """Seconds since a moment; 0 where a fault has changed it, or the clock was set back."""
    return max(0.0, now - then) if isinstance(then, int | float) else 0.0


def _waits(row: sqlite3.Row) -> bool:
    return row["state"] in {"queued", "waiting"}


def _keeps_open(row: sqlite3.Row) -> bool:
    waits = _waits(row) or row["state"] == UNDRAWN
    return waits and film_waits_for(str(row["kind"]), str(row["destination"]))


def _tables(store: Store, span: Span) -> Iterator[Finding]:
    for number, logged in span.logged.items():
        if logged.state is not None:
            yield from _job(store, number, logged, span)
    for number in span.jobs:
        if span.logged.get(number, Logged()).state is None:
            yield Finding(Fault.CHANGED, f"job {number}", "the chain does not record it")


def _job(store: Store, number: int, logged: Logged, span: Span) -> Iterator[Finding]:
    """Hold one film against the chain."""
    subject, job = f"job {number}", span.jobs.get(number)
    if job is None:
        detail = f"the chain records it ({logged.state}), the table lacks it"
        yield Finding(Fault.MISSING, subject, detail)
    elif job["state"] != logged.state:
        detail = f"the table says {job['state']}, the chain says {logged.state}"
        yield Finding(Fault.CHANGED, subject, detail)
    elif job["sha256"] != logged.sha256:
        yield Finding(Fault.CHANGED, subject, "the film's digest is not the one that was claimed")
    path = None if job is None else job["path"]
    code = store.code_of_path(path) if isinstance(path, bytes) and path else None
    if code is not None and logged.path_code not in {None, code}:
        yield Finding(Fault.CHANGED, subject, "its path is not the one it was taken at")
    own = {row["id"] for row in span.messages.get(number, []) if has_own_id(str(row["kind"]))}
    # A duplicate's message is its first copy's, and goes with that one.
    missing = logged.ids - own if logged.state != State.DUPLICATE else frozenset()
    for result_id in sorted(missing):
        query = "SELECT kind FROM outbox WHERE id = ?"
        rows = store.db.execute(query, (result_id,))
        if not any(has_own_id(str(row["kind"])) for row in rows):
            yield Finding(Fault.MISSING, subject, f"message {result_id} is not kept")
