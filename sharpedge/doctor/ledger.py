"""The journal, opened to read: what has been delivered and who has answered.

Layer: sharpedge; reads the journal's file, writes nothing.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edge.contract.payloads import DeliveryMode
from edge.errors import ConfigError
from edge.journal.recall import read_only
from edge.journal.schema import OPEN
from sharpedge.doctor.finding import Finding, failed, ok, skipped, warning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sharpedge.doctor.box import Box

RECEIPTS = "dashboard, receipts"
SET_ASIDE = "outbox, set aside"
_DAY_S = 86400.0


@contextmanager
def open_read_only(state: Path) -> Iterator[sqlite3.Connection]:
    """Open the journal to read. Raises `ConfigError` where there is none, and `sqlite3.Error`."""
    path = state / "journal.sqlite"
    if not path.exists():
        raise ConfigError(f"{state}: no appliance has run here")
    with contextlib.closing(read_only(path)) as db:
        yield db


def check_ledger(box: Box) -> Iterator[Finding]:
    """Check in the journal whether dashboards answer, and whether messages are set aside."""
    try:
        with open_read_only(box.state) as db:
            yield _receipts(box, db)
            aside = db.execute("SELECT count(*) FROM outbox WHERE state = 'set_aside'").fetchone()
    except ConfigError as error:
        yield skipped(RECEIPTS, str(error))
        return
    except sqlite3.Error as error:
        yield failed(
            RECEIPTS, f"{box.state}/journal.sqlite: cannot be read", str(error),
            "run this as root; where the file is damaged, restart the service",
        )  # fmt: skip
        return
    if aside[0]:
        yield warning(
            SET_ASIDE, f"{aside[0]} messages are not sent any more", "the broker can never pass "
            "them (too large or malformed)", "sharpedge retry lists them with the cause",
        )  # fmt: skip


def _receipts(box: Box, db: sqlite3.Connection) -> Finding:
    it = box.config.delivery
    if it.mode is not DeliveryMode.RECEIPT:
        return skipped(RECEIPTS, 'delivery.mode is "puback": no dashboard has to answer')
    now_s = time.time()
    answers = {
        row["receiver"]: row["at"]
        for row in db.execute("SELECT receiver, max(at) AS at FROM receipt GROUP BY receiver")
    }
    query = f"SELECT count(*) AS n, min(created) AS at FROM outbox WHERE {OPEN}"  # noqa: S608 - ours
    row = db.execute(query).fetchone()
    count, oldest_s = row["n"], now_s - (row["at"] or now_s)
    silent = [name for name in it.receivers if name not in answers]
    fix = "start the dashboard, and let the broker's access list allow it to write receipt"
    if count and oldest_s > it.alert_s:
        who = f"{', '.join(silent)} never answered" if silent else "no receipt arrives"
        return failed(RECEIPTS, f"{count} messages wait, the oldest for {oldest_s:.0f} s", who, fix)
    if silent:
        return warning(RECEIPTS, f"{', '.join(silent)}: never answered",
                       "delivery.receivers names a dashboard that is not there", fix)  # fmt: skip
    if not answers and count:
        return warning(
            RECEIPTS, f"{count} messages wait, and no dashboard has ever answered",
            f"nobody has stored them; they alert after {it.alert_s:g} s", fix,
        )  # fmt: skip
    if not answers:
        return skipped(RECEIPTS, "no result has been sent yet: drop a film and run this again")
    last_s = max(answers.values())
    return ok(RECEIPTS, f"{', '.join(sorted(answers))}; the last {_age(now_s - last_s)} ago")


def _age(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 2 * 3600 else f"{seconds / _DAY_S:.1f} days"
