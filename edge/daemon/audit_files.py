"""The audit's checks of our own files: copies of films, documents for the PACS.

Layer: daemon; reads quarantine, archive and the folder of documents.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from pydantic import ValidationError

from edge.daemon.audit_finding import Fault, Finding
from edge.journal.orders import UNREAD
from edge.journal.states import State
from edge.outputs.document import StoredDocument

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from edge.journal.spans import Logged


def document_fault(folder: Path, row: sqlite3.Row) -> str:
    """Say what is wrong with the file of a document that waits; empty where nothing is."""
    try:
        document = StoredDocument.model_validate_json(row["payload"])
    except ValidationError:
        return ""
    gone = document.is_written and not (folder / document.file).is_file()
    return "its document is gone" if gone else ""


def copies_faults(
    job: sqlite3.Row, logged: Logged, quarantined: Path | None, archived: Path | None
) -> Iterator[Finding]:
    """Hold a film's copies in quarantine and archive against its row and the log."""
    subject = f"job {job['number']}"
    if quarantined is not None and _digest(quarantined) != job["sha256"]:
        yield Finding(Fault.CHANGED, subject, "its copy in the quarantine is not the film's")
    if archived is not None and _digest(archived) != job["sha256"]:
        yield Finding(Fault.CHANGED, subject, "its file in the archive is not the film's")
    expired = job["copy"] == "expired"
    if expired and not logged.expired:
        yield Finding(Fault.CHANGED, subject, "its copy expired, and the chain lacks it")
    if job["original"] == "moved" and archived is None:
        yield Finding(Fault.MISSING, subject, "its file in the archive is gone")
    kept = job["state"] in {State.HELD, State.QUARANTINED} and job["reason"] not in UNREAD
    if kept and not expired and quarantined is None and not _still_there(job):
        yield Finding(Fault.MISSING, subject, "neither its copy nor the scanner's file is left")
    in_folder = job["state"] == State.CLAIMED and job["origin"] == "folder"
    if in_folder and not _still_there(job):
        yield Finding(Fault.MISSING, subject, "is claimed, and its file is gone or changed")


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
