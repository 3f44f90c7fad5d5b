"""Rows of documents in the outbox before they are sent: what is to be made, and what became of it.

Layer: outputs; reads and writes the outbox and the log through a `Store`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from edge.contract.ids import output_id
from edge.journal.film_end import end_film
from edge.journal.kinds import DICOM_SR, LIMB_MESSAGES, PACS
from edge.journal.rows import row_of
from edge.journal.schema import OPEN
from edge.journal.states import UNDRAWN
from edge.outputs.document import StoredDocument
from edge.outputs.message import StoredMessage

if TYPE_CHECKING:
    from edge.journal.rows import Row
    from edge.journal.states import State
    from edge.journal.store import Store
    from edge.model import SrClass

_LONGEST_CHAIN = 1000
"""More results of one limb than any site makes."""
_UID = re.compile(r"[0-9.]{1,64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class NotYetError(Exception):
    """A document cannot be made now; it is tried again."""


class Given(NamedTuple):
    """A result whose report the PACS was given, and the class of that report."""

    result_id: str
    sr_class: SrClass


class DocumentRow(NamedTuple):
    """One row that is to be made."""

    row: int
    kind: str
    stored: StoredDocument


class DocumentRows:
    """Rows over the daemon's connection.

    ``delivered`` is the state of a film that is delivered, ``sr_class`` the class of reports that
    the PACS was not given yet.
    """

    def __init__(self, store: Store, delivered: State, sr_class: SrClass) -> None:
        self._store = store
        self._db = store.db
        self._delivered = delivered
        self._sr_class = sr_class

    def jobs(self) -> list[int]:
        """Films with documents that are to be made, oldest first."""
        found = self._db.execute(
            f"SELECT DISTINCT job FROM outbox WHERE destination = ? AND {OPEN} AND state = ? "  # noqa: S608 - our own condition
            "ORDER BY job",
            (PACS, UNDRAWN),
        )
        return [row["job"] for row in found]

    def wanted(self, job: int) -> list[DocumentRow]:
        """Documents of a film that are to be made. Raises `NotYetError` where a row is damaged."""
        found = self._db.execute(
            "SELECT * FROM outbox WHERE job = ? AND destination = ? AND state = ? ORDER BY row",
            (job, PACS, UNDRAWN),
        ).fetchall()
        rows = [row_of(self._store, it) for it in found]
        if not all(row.sound for row in rows):
            raise NotYetError("a row is damaged")
        return [DocumentRow(row.row, row.kind, self._in_class(row)) for row in rows]

    def _in_class(self, row: Row) -> StoredDocument:
        """What is stored of a document, a report in the class that the site wants now.

        One that the PACS was given keeps its class: its UIDs are known there.
        """
        stored = StoredDocument.model_validate_json(row.payload)
        if stored.sr_class is None or row.sendings:
            return stored
        return stored.model_copy(update={"sr_class": self._sr_class})

    def message(self, result_id: str) -> StoredMessage:
        """Read the message about a limb. Raises `NotYetError` where it is damaged or gone."""
        row = self._message(result_id)
        if row is None:
            raise NotYetError("its message is gone")
        return row

    def _message(self, result_id: str) -> StoredMessage | None:
        found = self._db.execute(
            "SELECT * FROM outbox WHERE id = ? AND kind IN (?, ?)", (result_id, *LIMB_MESSAGES)
        ).fetchone()
        if found is None:
            return None
        row = row_of(self._store, found)
        try:
            return StoredMessage.model_validate_json(row.payload) if row.sound else None
        except ValidationError:
            return None

    def predecessor(self, message: StoredMessage) -> Given | None:
        """Find the latest earlier result whose report the PACS was given; None without one.

        Raises `NotYetError` where the report of one is still to be sent.
        """
        before = message.supersedes
        for _ in range(_LONGEST_CHAIN):
            if before is None:
                break
            given = self._given(before)
            if given is not None:
                return given
            earlier = self._message(before)
            before = None if earlier is None else earlier.supersedes
        return None

    def _given(self, result_id: str) -> Given | None:
        found = self._db.execute(
            "SELECT * FROM outbox WHERE id = ? AND kind = ?",
            (output_id(result_id, DICOM_SR), DICOM_SR),
        ).fetchone()
        if found is None:
            return None
        row = row_of(self._store, found)
        if row.sendings and row.sound:
            sr_class = StoredDocument.model_validate_json(row.payload).sr_class
            return None if sr_class is None else Given(result_id, sr_class)
        if found["state"] in {"queued", UNDRAWN}:
            raise NotYetError("the report that it replaces is not sent yet")
        return None

    def written(self, row: DocumentRow, sop_class: str, sop_instance: str, sha256: str) -> bool:
        """Queue a document whose file is written; False where what is told of it is none."""
        uids = _UID.fullmatch(sop_class) and _UID.fullmatch(sop_instance)
        if uids is None or _SHA256.fullmatch(sha256) is None:
            return False
        stored = row.stored.model_copy(
            update={"sop_class": sop_class, "sop_instance": sop_instance, "sha256": sha256}
        )
        with self._store.transaction():
            rewrite(self._store, row.row, stored, UNDRAWN, "queued")
        return True

    def end(self, row: DocumentRow, state: str, why: str) -> None:
        """Close or set aside a document that is not made."""
        with self._store.transaction():
            found = self._db.execute(
                "UPDATE outbox SET state = ?, why = ? WHERE row = ? AND state = ? "
                "RETURNING id, kind, job",
                (state, why, row.row, UNDRAWN),
            ).fetchone()
            if found is None:
                return
            self._store.log(
                f"message_{state}", found["job"], id=found["id"], kind=found["kind"], why=why
            )
            end_film(self._store, found["job"], self._delivered)


def document_of(row: Row) -> StoredDocument | None:
    """Read what a row says of its document; None where it is damaged."""
    try:
        return StoredDocument.model_validate_json(row.payload) if row.sound else None
    except ValidationError:
        return None


def rewrite(store: Store, row: int, stored: StoredDocument, before: str, after: str) -> None:
    """Store what is known of a document and change its row's state; only inside a transaction."""
    payload = stored.model_dump_json().encode()
    found = store.db.execute("SELECT id, kind FROM outbox WHERE row = ?", (row,)).fetchone()
    if found is not None:
        seal = store.seal(found["id"], found["kind"], payload, destination=PACS)
        store.db.execute(
            "UPDATE outbox SET payload = ?, seal = ?, state = ? WHERE row = ? AND state = ?",
            (payload, seal, after, row, before),
        )
