"""How SQLite carries out a statement on the journal, for tests."""

from __future__ import annotations

import re

BIG = ("event", "job", "outbox", "receipt", "study")
PARTIAL = {
    "outbox_open", "outbox_name", "outbox_aside", "outbox_ready", "outbox_waiting", "study_open",
    "job_look_again", "job_there", "study_filling",
}  # fmt: skip


def scans(db, statement):
    """Steps of a statement's plan that read a whole big table."""
    found = []
    for row in db.execute("EXPLAIN QUERY PLAN " + statement):
        step = row[3]
        table = re.match(r"SCAN (\w+)", step)
        index = re.search(r"INDEX (\w+)", step)
        if table and table[1] in BIG and not (index and index[1] in PARTIAL):
            found.append(step)
    return found
