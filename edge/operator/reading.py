"""What the journal holds for an operator: held films, last results, decisions.

Layer: operator; reads the journal and the names in the quarantine over a connection that is given.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from pydantic import ValidationError

from edge.delivery.counts import Counts
from edge.errors import REASONS, Reason
from edge.journal.chain import Chain
from edge.journal.copies import job_of
from edge.journal.journal import counts_of
from edge.journal.kinds import LIMB_MESSAGES, PACS, RESULT
from edge.journal.recall import read_only
from edge.journal.records import signature_in
from edge.journal.rows import proves
from edge.journal.states import State
from edge.operator.commands import commands_for
from edge.operator.line import status_line
from edge.operator.protocol import Decision, HeldFilm, LastResult, Refused
from edge.outputs.message import StoredMessage
from edge.outputs.picture import is_kept
from edge.system.clock import steady_unix_s

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from edge.journal.places import Places
    from edge.journal.rows import Depth
    from edge.model import Signature
    from edge.operator.protocol import Live

HELD_SHOWN = 200
RESULTS_SHOWN = 12
_REJECTED_SHOWN = 5
_DECISIONS_SHOWN = 8
_LATE_S = 10.0
_DECISION_ROWS = 5000
"""Newest rows of the chain among which decisions are looked for."""


class ReadOnlyChain(Chain):
    """The journal over a read-only connection. Raises `sqlite3.Error` where it cannot be opened."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._key = key
        self.db = read_only(path)


class JournalView:
    """Reads one journal; ``places`` are the appliance's own folders."""

    def __init__(self, chain: Chain, places: Places) -> None:
        self._chain = chain
        self._db = chain.db
        self._places = places

    def held_reasons(self) -> dict[str, int]:
        """How many films are held, by reason; the commonest first."""
        rows = self._db.execute(
            "SELECT reason, COUNT(*) AS n FROM job WHERE state = ? GROUP BY reason ORDER BY n DESC",
            (State.HELD,),
        )
        return {str(row["reason"]): row["n"] for row in rows}

    def films(self) -> dict[str, int]:
        """Films by state."""
        return counts_of(self._db)

    def outbox(self) -> Depth:
        """Messages that wait for delivery."""
        return Counts(self._db).depth()

    def pacs(self) -> Depth:
        """Documents that wait for the PACS."""
        return Counts(self._db, PACS).depth()

    def line(self, live: Live | None) -> str:
        """The appliance's condition in one line."""
        depth = self.outbox()
        # A message that was just sent waits for its answer: that is no news.
        late = depth.oldest_s > _LATE_S
        return status_line(live, self.held_reasons(), depth.rows if late else 0)

    def held(self, limit: int = HELD_SHOWN) -> tuple[HeldFilm, ...]:
        """Films that are held, the oldest first."""
        rows = self._db.execute(
            "SELECT number, path, reason, since FROM job WHERE state = ? ORDER BY number LIMIT ?",
            (State.HELD, limit),
        ).fetchall()
        copies = self._copies()
        return tuple(self._held_film(row, copies.get(row["number"])) for row in rows)

    def _held_film(self, row: sqlite3.Row, copy: Path | None) -> HeldFilm:
        job, reason = int(row["number"]), str(row["reason"])
        message = next((it for it in self._messages(job) if it.body.reason == reason), None)
        body = None if message is None else message.body
        meaning, advice = _words(reason)
        return HeldFilm(
            job=job,
            file=shown_name(row["path"]),
            copy_path=None if copy is None else str(copy),
            reason=reason,
            meaning=meaning,
            advice=advice,
            since=float(row["since"]),
            age_s=max(0.0, steady_unix_s() - float(row["since"])),
            limb=None if body is None else body.limb,
            side=None if body is None else body.laterality,
            side_source=None if body is None else body.laterality_source,
            n_joints=0 if body is None else len(body.joints),
            flags=() if body is None else body.flags,
            commands=commands_for(job, reason, body),
        )

    def _messages(self, job: int) -> Iterator[StoredMessage]:
        """A film's messages that can be read and were not changed.

        The same bytes under another name, or worked on again, give the same message, which stays
        with the job that came first.
        """
        rows = self._db.execute(
            "SELECT * FROM outbox WHERE job = ? AND kind IN (?, ?)", (job, *LIMB_MESSAGES)
        ).fetchall()
        if not rows:
            rows = self._db.execute(
                "SELECT outbox.* FROM job AS this JOIN job AS other ON other.sha256 = this.sha256 "
                "JOIN outbox ON outbox.job = other.number "
                "WHERE this.number = ? AND outbox.kind IN (?, ?) ORDER BY outbox.row DESC",
                (job, *LIMB_MESSAGES),
            ).fetchall()
        for row in rows:
            found = self._message(row)
            if found is not None:
                yield found

    def _message(self, row: sqlite3.Row) -> StoredMessage | None:
        """A row's message; None where a fault has changed it: it must not be shown as a score."""
        if not proves(self._chain, row, str(row["kind"]), str(row["destination"])):
            return None
        try:
            return StoredMessage.model_validate_json(row["payload"])
        except ValidationError:
            return None

    def messages_of(self, job: int) -> tuple[StoredMessage, ...]:
        """Messages about a film's limbs, as far as they can be read and were not changed."""
        return tuple(self._messages(job))

    def message_of(self, result_id: str) -> tuple[int, StoredMessage] | None:
        """Job and message of a result; None where there is none, or it was changed."""
        row = self._db.execute(
            "SELECT * FROM outbox WHERE id = ? AND kind = ?", (result_id, RESULT)
        ).fetchone()
        message = None if row is None else self._message(row)
        return None if message is None else (int(row["job"]), message)

    def copies_of(self, job: int) -> list[Path]:
        """Copies of a film in the appliance's own folders."""
        folders = (self._places.quarantine, self._places.archive)
        return [path for folder in folders for path in sorted(folder.glob(f"{job:08d}[-.]*"))]

    def original_of(self, job: int) -> tuple[bytes, Signature] | None:
        """The scanner's file, and what it must be like to be the film that was scored."""
        row = self._db.execute("SELECT * FROM job WHERE number = ?", (job,)).fetchone()
        if row is None or not isinstance(row["path"], bytes):
            return None
        return row["path"], signature_in(row)

    def copy_of(self, job: int) -> Path | None:
        """The copy of a film in the quarantine."""
        return self._copies().get(job)

    def _copies(self) -> dict[int, Path]:
        """All copies in the quarantine by job; none where it cannot be listed."""
        found: dict[int, Path] = {}
        with contextlib.suppress(OSError), os.scandir(self._places.quarantine) as entries:
            for entry in entries:
                job = job_of(entry.name)
                if job is not None:
                    found[job] = Path(entry.path)
        return found

    def results(self, limit: int = RESULTS_SHOWN) -> tuple[LastResult, ...]:
        """The latest results, the newest first."""
        rows = self._db.execute(
            "SELECT outbox.*, job.path AS path FROM outbox LEFT JOIN job ON job.number = "
            "outbox.job WHERE outbox.kind = ? ORDER BY outbox.row DESC LIMIT ?",
            (RESULT, limit),
        ).fetchall()
        return tuple(it for row in rows if (it := self._last_result(row)) is not None)

    def _last_result(self, row: sqlite3.Row) -> LastResult | None:
        message = self._message(row)
        if message is None:
            return None
        body, ledger = message.body, message.ledger
        states = {"closed": "delivered", "set_aside": "set aside"}
        return LastResult(
            id=row["id"],
            job=row["job"],
            at=ledger.queued,
            file=shown_name(row["path"]) if isinstance(row["path"], bytes) else body.file,
            status=str(body.status),
            limb=body.limb,
            side=body.laterality,
            side_source=body.laterality_source,
            subtotals=body.subtotals,
            n_scored=body.n_scored,
            n_expected=body.n_expected,
            flags=body.flags,
            reason=body.reason,
            machine_ms=round((ledger.queued - ledger.picked_up) * 1e3, 1),
            delivery=states.get(str(row["state"]), "waits"),  # type: ignore[arg-type]
            has_picture=is_kept(self._places.pictures, row["id"]),
        )

    def rejected(self) -> tuple[Refused, ...]:
        """The latest films that were rejected, the newest first."""
        rows = self._db.execute(
            "SELECT number, path, reason, since FROM job WHERE state = ? "
            "ORDER BY number DESC LIMIT ?",
            (State.QUARANTINED, _REJECTED_SHOWN),
        )
        return tuple(
            Refused(
                job=row["number"],
                file=shown_name(row["path"]),
                reason=str(row["reason"]),
                meaning=_words(str(row["reason"]))[0],
                advice=_words(str(row["reason"]))[1],
                at=row["since"],
            )
            for row in rows
        )

    def decisions(self) -> tuple[Decision, ...]:
        """What operators ordered lately, the newest first."""
        rows = self._db.execute(
            "SELECT at, job, kind, detail FROM event WHERE row > ? AND detail LIKE ? "
            "ORDER BY row DESC LIMIT ?",
            (self._chain.head().row - _DECISION_ROWS, '%"operator":%', _DECISIONS_SHOWN),
        )
        return tuple(it for row in rows if (it := _decision(row)) is not None)


def machine_median_ms(results: tuple[LastResult, ...]) -> float | None:
    """Median of the machine's time over these results."""
    values = [it.machine_ms for it in results if it.machine_ms is not None]
    return median(values) if values else None


def shown_name(path: bytes) -> str:
    """The last part of a path, with what no terminal can show written as escapes."""
    name = os.path.basename(path).decode("utf-8", "backslashreplace")  # noqa: PTH119 - bytes
    return "".join(it if it.isprintable() else ascii(it)[1:-1] for it in name)


def _words(reason: str) -> tuple[str, str]:
    """Meaning and advice of a reason."""
    try:
        text = REASONS[Reason(reason)]
    except ValueError:
        return reason.replace("_", " "), "sharpedge retry"
    return text.meaning, text.advice


def _decision(row: sqlite3.Row) -> Decision | None:
    try:
        detail = json.loads(row["detail"])
        what = str(detail.get("order") or detail.get("why") or row["kind"])
        said = " ".join(it for it in (detail.get("side"), detail.get("limb")) if it)
        return Decision(
            at=row["at"],
            job=row["job"],
            operator=str(detail["operator"]),
            what=f"{what} as {said}" if said else what.replace("_", " "),
        )
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
