"""The audit log: who did what, when, from which address.

Layer: dashboard; writes the store and reads it page by page. Nothing ever changes or removes a row.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from dashboard.store.rows import printable
from dashboard.store.tables import AUDIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

ROWS = 100


def note(connection: Connection, person: str, action: str, what: str, address: str) -> None:
    """Note what a person did, in the transaction in which it is done."""
    connection.execute(
        AUDIT.insert().values(
            at_s=time.time(), person=printable(person)[:64], action=action,
            object=printable(what)[:500], address=address[:64],
        )
    )  # fmt: skip


def page_of(connection: Connection, before: int | None) -> Sequence[Any]:
    """Give a page of rows, the latest first, older than the row ``before``."""
    rows = select(AUDIT).order_by(AUDIT.c.pk.desc()).limit(ROWS)
    return connection.execute(rows if before is None else rows.where(AUDIT.c.pk < before)).all()
