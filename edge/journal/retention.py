"""Retention: deletes old files of the appliance's own folders and old rows of the journal.

Layer: journal; deletes pictures, archived films, quarantined copies and rows.

Kept, also beyond the limits: everything whose result or document still waits, with the copy of the
film that it was released from; the copies of held films; and the rows of films that are still in
the watched folder, which would otherwise be taken for new ones.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from edge.journal.copies import job_of
from edge.journal.schema import OPEN
from edge.journal.spans import Logged, carried_of
from edge.journal.states import ENDS, State
from edge.journal.store import JournalError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Container, Iterator
    from pathlib import Path

    from edge.journal.places import Places
    from edge.journal.settings import RetentionSettings
    from edge.journal.store import Store

_DAY_S = 86400.0
_FILES_A_PASS = 500
_ROWS_A_PASS = 20_000
_CARRIED_A_PASS = 2_000
_CARRIED = "carried_looked_at"
"""Key of the last job that the check of earlier films has reached."""


@dataclass(frozen=True)
class Removed:
    """What one pass deleted: files, and rows of the journal's log.

    ``beyond`` names the limits that are exceeded by what is kept because it is needed.
    """

    pictures: int = 0
    archive: int = 0
    quarantine: int = 0
    rows: int = 0
    beyond: tuple[str, ...] = ()

    @property
    def anything(self) -> bool:
        """Whether anything was deleted."""
        return bool(self.pictures or self.archive or self.quarantine or self.rows)


def tidy(
    store: Store,
    places: Places,
    settings: RetentionSettings,
    *,
    in_folder: Container[bytes] | None,
    now_unix_s: float | None,
) -> Removed:
    """Do one bounded pass.

    Parameters
    ----------
    in_folder
        Paths in the watched folder; None where it cannot be listed: no row is then deleted.
    now_unix_s
        None where the wall clock is not known to be right: then only sizes count, not ages.
    """
    waits = {
        row["id"]: row["job"]
        for row in store.db.execute(
            f"SELECT id, job FROM outbox WHERE {OPEN}"  # noqa: S608 - our own condition
        )
    }
    needed = _needed_jobs(store, set(waits.values()))
    pictures = _shrink(
        places.pictures, lambda path: path.stem not in waits,
        settings.pictures_days, settings.pictures_mib, now_unix_s,
    )  # fmt: skip
    archive = _shrink(
        places.archive, lambda path: job_of(path.name) not in needed,
        settings.archive_days, settings.archive_mib, now_unix_s,
        gone=lambda path: _note_gone(store, path),
    )  # fmt: skip
    quarantine = _shrink(
        places.quarantine, lambda path: job_of(path.name) not in needed,
        settings.quarantine_days, settings.quarantine_mib, now_unix_s,
        gone=lambda path: _note_gone(store, path),
    )  # fmt: skip
    rows = 0
    if in_folder is not None:
        rows = _cut(store, settings, in_folder, set(waits.values()), now_unix_s)
    shrunk = {"pictures_mib": pictures, "archive_mib": archive, "quarantine_mib": quarantine}
    beyond = tuple(name for name, it in shrunk.items() if it.beyond)
    return Removed(pictures.removed, archive.removed, quarantine.removed, rows, beyond)


def _needed_jobs(store: Store, waiting: set[int]) -> set[int]:
    """Jobs whose copies are needed: held, in work or ``waiting``, or the source of one of these.

    Work on a film that was released, and its documents, read the copy of the job before.
    """
    needed = set(waiting)
    query = "SELECT number, previous_job FROM job WHERE state IN (?, ?)"
    for row in store.db.execute(query, (State.HELD, State.CLAIMED)):
        needed |= {row["number"], row["previous_job"] or row["number"]}
    query = (
        "SELECT previous_job FROM job WHERE previous_job IS NOT NULL AND number IN "  # noqa: S608 - our own condition
        f"(SELECT job FROM outbox WHERE {OPEN})"
    )
    return needed | {row["previous_job"] for row in store.db.execute(query)}


class _Shrunk(NamedTuple):
    """How many files of a folder were deleted, and whether those needed are more than may stay."""

    removed: int
    beyond: bool


def _shrink(
    folder: Path,
    may_go: Callable[[Path], bool],
    days: float,
    mib: int,
    now_unix_s: float | None,
    gone: Callable[[Path], None] = lambda _path: None,
) -> _Shrunk:
    """Delete files that are too old, then the oldest until the rest fits."""
    files = sorted(_files(folder), key=lambda it: it[1])
    not_needed = [it for it in files if may_go(it[0])]
    total = sum(size for _, _, size in files)
    beyond = total - sum(size for _, _, size in not_needed) > mib << 20
    removed = 0
    for path, mtime, size in not_needed:
        if removed >= _FILES_A_PASS:
            # The next pass goes on.
            break
        old = now_unix_s is not None and now_unix_s - mtime > days * _DAY_S
        if not (old or total > mib << 20):
            continue
        gone(path)
        path.unlink(missing_ok=True)
        total -= size
        removed += 1
    return _Shrunk(removed, beyond)


def _files(folder: Path) -> Iterator[tuple[Path, float, int]]:
    """Files with their times and sizes; another thread may add, rename and delete some."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    now = time.time()
    for entry in entries:
        with contextlib.suppress(FileNotFoundError):
            found = entry.stat(follow_symlinks=False)
            # A file that is being written has a name with a leading dot.
            if not entry.name.startswith(".") or abs(now - found.st_mtime) > _DAY_S:
                yield folder / entry.name, found.st_mtime, found.st_size


def _note_gone(store: Store, path: Path) -> None:
    """Record that a copy is deleted, before it is."""
    job = job_of(path.name)
    with store.transaction():
        known = store.db.execute(
            "UPDATE job SET copy = 'expired', "
            "original = CASE original WHEN 'moved' THEN 'expired' ELSE original END "
            "WHERE number = ?",
            (job,),
        ).rowcount
        store.log("copy_expired", job if known else None)


def _cut(
    store: Store,
    settings: RetentionSettings,
    in_folder: Container[bytes],
    open_jobs: set[int],
    now_unix_s: float | None,
) -> int:
    """Delete old rows of the log with the films that they concern; returns how many rows."""
    last = _last_old_row(store, settings, now_unix_s)
    first = store.checkpoint().row
    if last - first < 2:
        return 0
    if store.verify(last) is not None:
        raise JournalError("the journal's chain is broken; nothing is cut off it: sharpedge audit")
    with store.transaction():
        for job, logged in _logged_before(store, last).items():
            if (
                not _was_forgotten(store, job, last, in_folder, open_jobs)
                and logged.state is not None
            ):
                store.db.execute(
                    "INSERT OR REPLACE INTO carried VALUES (?, ?, ?)",
                    (job, logged.state, logged.sha256),
                )
        _check_carried(store, last, in_folder, open_jobs)
        store.cut(last)
    return last - first


def _logged_before(store: Store, last: int) -> dict[int, Logged]:
    """What checkpoint and log record, up to row ``last``, of the films of those rows."""
    logged: dict[int, Logged] = {}
    for event in store.events(last):
        if event.job is None:
            continue
        if event.job not in logged:
            logged.update(carried_of(store, event.job, event.job))
        logged.setdefault(event.job, Logged()).add(event)
    return logged


def _check_carried(
    store: Store, last: int, in_folder: Container[bytes], open_jobs: set[int]
) -> None:
    """Delete some of the films whose log rows were deleted earlier, in turns."""
    after = int(store.note(_CARRIED) or -1)
    query = "SELECT job FROM carried WHERE job > ? ORDER BY job LIMIT ?"
    found = [row["job"] for row in store.db.execute(query, (after, _CARRIED_A_PASS))]
    for job in found:
        _was_forgotten(store, job, last, in_folder, open_jobs)
    store.set_note(_CARRIED, str(found[-1] if len(found) == _CARRIED_A_PASS else -1))


def _was_forgotten(
    store: Store, job: int, last: int, in_folder: Container[bytes], open_jobs: set[int]
) -> bool:
    """Delete a film's rows where it may go and no later log row concerns it; whether done."""
    row = store.db.execute("SELECT * FROM job WHERE number = ?", (job,)).fetchone()
    if row is None or not _may_go(row, in_folder, open_jobs):
        return False
    query = "SELECT 1 FROM event WHERE job = ? AND row > ? LIMIT 1"
    if store.db.execute(query, (job, last)).fetchone() is not None:
        return False
    _forget(store, job)
    store.db.execute("DELETE FROM carried WHERE job = ?", (job,))
    return True


def _last_old_row(store: Store, settings: RetentionSettings, now_unix_s: float | None) -> int:
    """Last row that is old enough to be deleted, at most `_ROWS_A_PASS` after the checkpoint."""
    first = store.checkpoint().row
    ends = [first]
    if now_unix_s is not None:
        until = now_unix_s - settings.journal_days * _DAY_S
        found = store.db.execute("SELECT MIN(row) FROM event WHERE at >= ?", (until,)).fetchone()[0]
        ends.append(store.head().row if found is None else found - 1)
    pages, free, size = (
        store.db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    if (pages - free) * size > settings.journal_mib << 20:
        ends.append(first + _ROWS_A_PASS)
    return min(max(ends), first + _ROWS_A_PASS, store.head().row - 1)


def _may_go(row: sqlite3.Row, in_folder: Container[bytes], open_jobs: set[int]) -> bool:
    ended = row["state"] in ENDS and row["number"] not in open_jobs
    return ended and row["path"] not in in_folder


def _forget(store: Store, job: int) -> None:
    store.db.execute(
        "DELETE FROM receipt WHERE id IN (SELECT id FROM outbox WHERE job = ?)", (job,)
    )
    store.db.execute("DELETE FROM outbox WHERE job = ?", (job,))
    store.db.execute("DELETE FROM job WHERE number = ?", (job,))
