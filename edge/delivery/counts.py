"""How many rows of the outbox wait for delivery to a destination, and how many are set aside.

Layer: delivery; reads the outbox.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.journal.kinds import MQTT
from edge.journal.rows import Depth
from edge.journal.schema import OPEN
from edge.system.clock import steady_unix_s

if TYPE_CHECKING:
    import sqlite3


class Counts:
    """Counts of one destination's rows over one connection."""

    def __init__(self, db: sqlite3.Connection, destination: str = MQTT) -> None:
        self._db = db
        self._destination = destination

    def depth(self) -> Depth:
        """How many rows wait, for how long the oldest has, and how many are set aside."""
        query = f"SELECT COUNT(*) AS n FROM outbox WHERE destination = ? AND {OPEN}"  # noqa: S608
        found = self._db.execute(query, (self._destination,))
        return Depth(found.fetchone()["n"], self.oldest_s(), self._set_aside())

    def oldest_s(self) -> float:
        """For how many seconds the oldest row has waited; 0 where none waits."""
        query = f"SELECT MIN(created) AS oldest FROM outbox WHERE destination = ? AND {OPEN}"  # noqa: S608
        oldest = self._db.execute(query, (self._destination,)).fetchone()["oldest"]
        return max(0.0, steady_unix_s() - oldest) if isinstance(oldest, int | float) else 0.0

    def latest_set_aside(self) -> tuple[int, str] | None:
        """How many rows are set aside, and the latest of them as text; None without any."""
        found = self._db.execute(
            "SELECT job, kind, why FROM outbox WHERE state = 'set_aside' AND destination = ? "
            "ORDER BY row DESC LIMIT 1",
            (self._destination,),
        ).fetchone()
        if found is None:
            return None
        return self._set_aside(), f"job {found['job']}: {found['kind']}: {found['why']}"

    def _set_aside(self) -> int:
        found = self._db.execute(
            "SELECT COUNT(*) AS n FROM outbox WHERE state = 'set_aside' AND destination = ?",
            (self._destination,),
        )
        return int(found.fetchone()["n"])
