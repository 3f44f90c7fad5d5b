"""Retention: what may go from our own folders and the journal, and when.

Touches pictures, archive, quarantine and journal. Nothing goes whose result still waits for its
receipt, no held film's copy, and no row of a film that still lies in the watched folder: it would
be taken for a new one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from edge.delivery.journal import ENDS, State, told_states
from edge.delivery.store import JournalError
from edge.intake.quarantine import job_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Container, Iterator
    from pathlib import Path

    from edge.delivery.store import Store
    from edge.filing import Places

_DAY_S = 86400.0
_FILES_A_PASS = 500
_ROWS_A_PASS = 20_000


class RetentionSettings(BaseModel):
    """The section ``[retention]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pictures_days: float = Field(default=30.0, gt=0, description="life of labelled pictures")
    pictures_mib: int = Field(default=4096, ge=1, description="most that they take; oldest go")
    archive_days: float = Field(default=90.0, gt=0, description="life of moved films")
    archive_mib: int = Field(default=16384, ge=1, description="most that they take")
    quarantine_days: float = Field(
        default=90.0, gt=0, description="life of copies of rejected and released films"
    )
    quarantine_mib: int = Field(default=8192, ge=1, description="most that they take")
    journal_days: float = Field(
        default=365.0, gt=0, description="life of the rows of films that ended and left the folder"
    )
    journal_mib: int = Field(default=2048, ge=1, description="above it the oldest such rows go")
    min_free_mib: int = Field(
        default=512, ge=1, description="with less free disk no film is taken until there is more"
    )
    reserve_mib: int = Field(
        default=16, ge=0, description="disk kept back for the journal when all else is full"
    )


@dataclass(frozen=True)
class Removed:
    """What one pass removed, in files and rows of the journal's chain."""

    pictures: int = 0
    archive: int = 0
    quarantine: int = 0
    rows: int = 0


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
        Paths that the watched folder holds; None where it cannot be told, and then the journal is
        left alone.
    now_unix_s
        None where the wall clock is not known to be right: then only sizes count, not ages.
    """
    waits = {
        row["id"]: row["job"]
        for row in store.db.execute(
            "SELECT id, job FROM outbox WHERE state IN ('queued', 'waiting')"
        )
    }
    needed = set(waits.values()) | _needed_jobs(store)
    removed = Removed(
        pictures=_shrink(
            places.pictures, lambda path: path.stem not in waits,
            settings.pictures_days, settings.pictures_mib, now_unix_s,
        ),
        archive=_shrink(
            places.archive, lambda path: job_of(path.name) not in needed,
            settings.archive_days, settings.archive_mib, now_unix_s,
            gone=lambda path: _note_gone(store, path),
        ),
        quarantine=_shrink(
            places.quarantine, lambda path: job_of(path.name) not in needed,
            settings.quarantine_days, settings.quarantine_mib, now_unix_s,
            gone=lambda path: _note_gone(store, path),
        ),
    )  # fmt: skip
    rows = 0
    if in_folder is not None:
        rows = _cut(store, settings, in_folder, set(waits.values()), now_unix_s)
    return Removed(removed.pictures, removed.archive, removed.quarantine, rows)


def _needed_jobs(store: Store) -> set[int]:
    """Jobs whose copies are needed: held, in hand, or the source of one that is in hand."""
    needed: set[int] = set()
    query = "SELECT number, previous_job FROM job WHERE state IN (?, ?)"
    for row in store.db.execute(query, (State.HELD, State.CLAIMED)):
        needed |= {row["number"], row["previous_job"] or row["number"]}
    return needed


def _shrink(
    folder: Path,
    may_go: Callable[[Path], bool],
    days: float,
    mib: int,
    now_unix_s: float | None,
    gone: Callable[[Path], None] = lambda _path: None,
) -> int:
    """Remove files that are too old, then the oldest until the rest fits; returns how many."""
    files = sorted(_files(folder), key=lambda it: it[1])
    total = sum(size for _, _, size in files)
    removed = 0
    for path, mtime, size in files:
        if removed >= _FILES_A_PASS:
            break
        old = now_unix_s is not None and now_unix_s - mtime > days * _DAY_S
        if not (old or total > mib << 20) or not may_go(path):
            continue
        gone(path)
        path.unlink(missing_ok=True)
        total -= size
        removed += 1
    return removed


def _files(folder: Path) -> Iterator[tuple[Path, float, int]]:
    for entry in os.scandir(folder):
        found = entry.stat(follow_symlinks=False)
        yield folder / entry.name, found.st_mtime, found.st_size


def _note_gone(store: Store, path: Path) -> None:
    """Write down that a copy goes, before it goes."""
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
    """Cut old rows off the chain with the films that they tell of; returns how many rows."""
    last = _last_old_row(store, settings, now_unix_s)
    first = store.checkpoint().row
    if last - first < 2:
        return 0
    if store.verify(last) is not None:
        raise JournalError("the journal's chain is broken; nothing is cut off it: sharpedge audit")
    with store.transaction():
        told = told_states(store, last)
        later = {
            row["job"]
            for row in store.db.execute(
                "SELECT DISTINCT job FROM event WHERE row > ? AND job IS NOT NULL", (last,)
            )
        }
        for job, (state, sha256) in told.items():
            row = store.db.execute("SELECT * FROM job WHERE number = ?", (job,)).fetchone()
            if row is not None and job not in later and _may_go(row, in_folder, open_jobs):
                _forget(store, job)
                store.db.execute("DELETE FROM carried WHERE job = ?", (job,))
            else:
                store.db.execute(
                    "INSERT OR REPLACE INTO carried VALUES (?, ?, ?)", (job, state, sha256)
                )
        store.cut(last)
    return last - first


def _last_old_row(store: Store, settings: RetentionSettings, now_unix_s: float | None) -> int:
    """Last row that is old enough to go, at most `_ROWS_A_PASS` after the checkpoint."""
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
