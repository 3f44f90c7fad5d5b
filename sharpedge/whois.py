"""What ``sharpedge whois`` does: asks the running appliance, or lists who has asked.

Layer: sharpedge; asks at the operator socket, reads the journal for the list.
"""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from edge import config
from edge.errors import ConfigError, EdgeError
from edge.journal.recall import read_only
from edge.model import DISCLAIMER, Identifier
from edge.operator.client import NotRunningError, OperatorError
from edge.operator.protocol import Ask, Request
from edge.system.terminal import complain, say
from sharpedge.operator import journal_file, unusable, where

if TYPE_CHECKING:
    from pathlib import Path

    from edge.outputs.whois import Known

_NOTICE = f"{DISCLAIMER.capitalize()}."
_PSEUDONYM = re.compile(r"[0-9a-f]{32}")
_LABELS = {
    Identifier.ACCESSION_NUMBER: "Accession Number",
    Identifier.STUDY_INSTANCE_UID: "Study Instance UID",
    Identifier.PATIENT_ID: "Patient ID",
}


def whois(config_path: Path | None, pseudonym: str, *, machine: bool) -> int:
    """Print what a pseudonym stands for; 1 where it is not known.

    Raises `ConfigError` for what is no pseudonym, `OperatorError` where the appliance does not
    run, refuses this user, or has the table switched off.
    """
    wanted = pseudonym.strip().lower()
    if _PSEUDONYM.fullmatch(wanted) is None:
        raise ConfigError(
            f"{pseudonym!a}: is no pseudonym; fix: give all 32 digits of study or patient"
        )
    try:
        answer = where(config_path).tell(Request(ask=Ask.WHOIS, pseudonym=wanted)).answer
    except NotRunningError as error:
        raise OperatorError(f"{error}; fix: start the appliance, which alone may answer") from error
    known = answer.known
    at = None if answer.known_at is None else _utc(answer.known_at)
    if machine:
        body = None if known is None else known.model_dump(mode="json")
        found = {"pseudonym": wanted, "known": body, "last_film": at, "notice": DISCLAIMER}
        say(json.dumps(found))
    elif known is None:
        complain(
            f"{wanted}: is not known: no film of it came while whois was on, or its time is over"
        )
    else:
        say("\n".join([f"{wanted}: a {known.kind}", *_lines(known, at or ""), _NOTICE]))
    return int(known is None)


def _lines(known: Known, at: str) -> list[str]:
    rows = [("stands for", known.stands_for)]
    if known.identifiers is not None:
        stated = ((label, getattr(known.identifiers, one)) for one, label in _LABELS.items())
        rows += [(label, value) for label, value in stated if value is not None]
    return [f"  {label:<20}{value}" for label, value in [*rows, ("latest film", at)]]


def asked(config_path: Path | None, *, machine: bool) -> int:
    """Print who has asked what and when, the latest last; returns 0.

    Raises `edge.journal.store.JournalError` where the journal cannot be read.
    """
    path = journal_file(config.load(config_path).state_folder)
    try:
        with closing(read_only(path)) as db:
            rows = db.execute(
                "SELECT at, detail FROM event WHERE kind = 'whois' ORDER BY row"
            ).fetchall()
    except sqlite3.Error as error:
        raise UnreadableError(unusable(path, str(error))) from error
    questions = [{"at": _utc(row["at"]), **json.loads(row["detail"])} for row in rows]
    if machine:
        say(json.dumps({"questions": questions, "notice": DISCLAIMER}))
        return 0
    for it in questions:
        answered = "answered" if it["known"] else "not known"
        say(f"{it['at']}  {it['asked_by']} (uid {it['uid']})  {it['pseudonym']}  {answered}")
    say(f"{len(questions)} questions. {_NOTICE}")
    return 0


class UnreadableError(EdgeError):
    """The journal cannot be read; the message gives the cause and the fix."""


def _utc(unix_s: float) -> str:
    return f"{datetime.fromtimestamp(unix_s, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
