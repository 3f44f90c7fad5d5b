"""Results of an appliance's journal, read without a change to it.

Layer: sharpedge; reads the journal over a read-only connection, also while the appliance runs.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from pydantic import ValidationError

from edge.errors import ConfigError
from edge.journal.kinds import LIMB_MESSAGES, RESULT
from edge.journal.recall import read_only
from edge.journal.schema import SCHEMA
from edge.journal.store import JournalError
from edge.outputs.message import StoredMessage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

JOURNAL = "journal.sqlite"


class SpanError(ConfigError):
    """A date of an option cannot be understood."""


class Span(NamedTuple):
    """From a time to before another, in seconds since 1970; infinite where not bounded."""

    begin_unix_s: float = float("-inf")
    end_unix_s: float = float("inf")

    def holds(self, at_unix_s: float) -> bool:
        """Whether a time lies in it."""
        return self.begin_unix_s <= at_unix_s < self.end_unix_s


@dataclass(frozen=True)
class StoredResult:
    """One result of the journal: what was sent, its id and number."""

    result_id: str
    sequence: int
    message: StoredMessage

    @property
    def arrived(self) -> datetime:
        """When the film's file was closed, UTC."""
        return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(
            seconds=self.message.ledger.closed
        )


@dataclass(frozen=True)
class Found:
    """Results that count, oldest first, and how many rows could not be read.

    ``pseudonym`` is the whole one of the patient or study that was asked for.
    """

    results: tuple[StoredResult, ...]
    damaged: int
    pseudonym: str | None = None


def span_of(begin: str | None, end: str | None) -> Span:
    """Span of two texts such as ``2026-03-01`` or ``2026-03-01T08:30``, UTC.

    A day that ends a span belongs to it. Raises `SpanError`.
    """
    first = float("-inf") if begin is None else _unix_s(begin, "--from", ends=False)
    last = float("inf") if end is None else _unix_s(end, "--to", ends=True)
    if first >= last:
        raise SpanError(f"--from {begin} lies after --to {end} (fix: exchange them)")
    return Span(first, last)


def _unix_s(text: str, option: str, *, ends: bool) -> float:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise SpanError(
            f"{option} {text}: is no date (fix: {option} 2026-03-01 or 2026-03-01T08:30, UTC)"
        ) from None
    at = at if at.tzinfo is not None else at.replace(tzinfo=timezone.utc)
    whole_day = re.fullmatch(r"\d{4}-?\d{2}-?\d{2}", text) is not None
    return at.timestamp() + (86_400 if ends and whole_day else 0)


def results_of(state_folder: Path, span: Span, patient: str | None = None) -> Found:
    """Read the results of films that arrived in a span.

    A result that a later one replaces is left out, also where the later one lies outside the span.

    Parameters
    ----------
    state_folder
        Of the appliance.
    span
        When the films arrived.
    patient
        Pseudonym of a patient, or of the study of a film whose patient is not known; its first
        digits suffice where they are one's alone.

    Raises
    ------
    JournalError
        Where there is no journal, or it cannot be read, or no film has the pseudonym.
    """
    found, damaged = _all_results(state_folder)
    replaced = {it.message.supersedes for _, it in found}
    results = [it for kind, it in found if kind == RESULT and it.result_id not in replaced]
    wanted = None
    if patient is not None:
        wanted = _pseudonym(patient, results)
        results = [it for it in results if wanted in {it.message.patient, it.message.study}]
    kept = [it for it in results if span.holds(it.message.ledger.closed)]
    return Found(tuple(sorted(kept, key=lambda it: (it.arrived, it.sequence))), damaged, wanted)


def _all_results(state_folder: Path) -> tuple[list[tuple[str, StoredResult]], int]:
    path = state_folder / JOURNAL
    found: list[tuple[str, StoredResult]] = []
    damaged = 0
    try:
        if not path.exists():
            raise JournalError(
                f"{state_folder}: no appliance has run here (fix: name its configuration with "
                "--config)"
            )
        with closing(_opened(path)) as db:
            rows = db.execute(
                "SELECT id, kind, sequence, payload FROM outbox WHERE kind IN (?, ?) "
                "ORDER BY sequence",
                LIMB_MESSAGES,
            )
            for row in rows:
                try:
                    message = StoredMessage.model_validate_json(row["payload"])
                    stored = StoredResult(row["id"], int(row["sequence"] or 0), message)
                    _ = stored.arrived
                except (ValidationError, OverflowError, TypeError, ValueError):
                    damaged += 1
                    continue
                found.append((row["kind"], stored))
    except (sqlite3.Error, OSError) as error:
        raise JournalError(
            f"{path}: cannot be read ({error}); fix: run this as the appliance's user"
        ) from error
    return found, damaged


def _opened(path: Path) -> sqlite3.Connection:
    """Open for reading; also where nobody may write beside the file and no appliance runs."""
    db = read_only(path)
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.OperationalError:
        db.close()
        waiting = path.with_name(f"{path.name}-wal")
        if waiting.exists() and waiting.stat().st_size:
            raise
        db = sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)
        db.row_factory = sqlite3.Row
        version = db.execute("PRAGMA user_version").fetchone()[0]
    if version != SCHEMA:
        db.close()
        raise JournalError(
            f"{path}: has schema {version}, this release reads {SCHEMA} (fix: use the release that "
            "runs the appliance)"
        )
    return db


def _pseudonym(wanted: str, results: Iterable[StoredResult]) -> str:
    begins = wanted.strip().lower()
    known = {
        name
        for it in results
        for name in (it.message.patient, it.message.study)
        if name is not None and begins and name.startswith(begins)
    }
    if not known:
        raise JournalError(
            f"{wanted}: no result has this pseudonym (fix: sharpedge results lists them)"
        )
    if len(known) > 1:
        raise JournalError(
            f"{wanted}: {len(known)} pseudonyms begin so (fix: give more digits, up to 32)"
        )
    return known.pop()
