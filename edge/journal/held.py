"""Films that are held for long.

Layer: journal; reads the table ``job``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.journal.states import State
from edge.system.clock import steady_unix_s

if TYPE_CHECKING:
    import sqlite3


def held_longer_than(db: sqlite3.Connection, seconds: float) -> dict[str, int]:
    """Count the films that have been held for longer, by reason, the commonest first."""
    rows = db.execute(
        "SELECT reason, COUNT(*) AS n FROM job WHERE state = ? AND since < ? "
        "GROUP BY reason ORDER BY n DESC, reason",
        (State.HELD, steady_unix_s() - seconds),
    )
    return {str(row["reason"]): row["n"] for row in rows}
