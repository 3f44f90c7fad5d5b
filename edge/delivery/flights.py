"""Messages that were sent on one connection and are not acknowledged yet.

Layer: delivery; pure state: times are given, and are monotonic seconds.

Each has a deadline. It counts from the moment when the broker's machine had all bytes, and again
from each acknowledgement of a message that was sent before: a slow line is no lost acknowledgement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.journal.rows import Row
from edge.outputs.table import needs_receipt

if TYPE_CHECKING:
    from edge.contract.ids import DeviceName
    from edge.delivery.studies import StudyRow

ACKNOWLEDGED_S = 15.0
HALF_SENT = -1
"""Number of a message that was being written when the connection ended."""


@dataclass(frozen=True)
class Plain:
    """A message that is in no table: ``state`` or ``answer``."""

    kind: str


@dataclass(frozen=True)
class Cleared:
    """A retained topic of an old name that is cleared."""

    name: DeviceName


@dataclass
class Flight:
    """One message; ``since_s`` is where its deadline counts from."""

    what: Row | StudyRow | Plain | Cleared
    size_bytes: int
    since_s: float


class Flights:
    """Messages by the number under which the broker acknowledges them, in order of sending."""

    def __init__(self) -> None:
        self._flights: dict[int, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def clear(self) -> None:
        """Forget them: the connection is gone."""
        self._flights.clear()

    def add(self, number: int, flight: Flight) -> None:
        """Note a sending."""
        self._flights[number] = flight

    def answered(self, number: int, now_s: float) -> Flight | None:
        """Take the message that was acknowledged or refused; None where it is not known."""
        found = self._flights.pop(number, None)
        if found is not None:
            for flight in self._flights.values():
                if flight.since_s >= found.since_s:
                    flight.since_s = now_s
        return found

    def touch(self, now_s: float) -> None:
        """Let every deadline count from now."""
        for flight in self._flights.values():
            flight.since_s = now_s

    def overdue(self, now_s: float) -> int:
        """How many have waited too long for an acknowledgement."""
        return sum(now_s - it.since_s > ACKNOWLEDGED_S for it in self._flights.values())

    def rows(self) -> dict[int, tuple[Row, int]]:
        """Rows of the outbox that are in flight, by their number there, each with its bytes."""
        flights = self._flights.values()
        return {it.what.row: (it.what, it.size_bytes) for it in flights if isinstance(it.what, Row)}

    def without_receipt(self) -> int:
        """How many rows are among them for which no dashboard gives a receipt."""
        rows = [it.what for it in self._flights.values() if isinstance(it.what, Row)]
        return sum(not needs_receipt(row.kind) for row in rows)

    def take_answered(self, result_ids: set[str]) -> list[Row]:
        """Remove the rows that a dashboard has answered; returns them.

        A dashboard has only what the broker has, whether that acknowledged it or not.
        """
        freed = []
        for number, flight in list(self._flights.items()):
            row = flight.what
            if isinstance(row, Row) and needs_receipt(row.kind) and row.result_id in result_ids:
                del self._flights[number]
                freed.append(row)
        return freed

    def has(self, kind: type | str) -> bool:
        """Whether a message of a type, or a plain one of that kind, is among them."""
        return any(
            it.what == Plain(kind) if isinstance(kind, str) else isinstance(it.what, kind)
            for it in self._flights.values()
        )
