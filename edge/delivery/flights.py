"""Delivery: what is with the broker on one connection and not acknowledged yet.

Every place has a deadline. It counts from the moment when the broker's machine had all bytes, and
again from each acknowledgement of something sent before: a slow line is no lost acknowledgement.
Pure state: times are given, and are monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.journal.journal import Kind
from edge.journal.rows import Row

if TYPE_CHECKING:
    from edge.contract.ids import DeviceName
    from edge.delivery.studies import StudyRow

ACKNOWLEDGED_S = 15.0
HALF_SENT = -1
"""Number of a message that was being written when the connection ended."""


@dataclass(frozen=True)
class Plain:
    """A message that is in no table: ``state`` or ``answer``."""

    word: str


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

    def rows(self) -> dict[int, Flight]:
        """Rows of the outbox that are in flight, by their number there."""
        return {it.what.row: it for it in self._flights.values() if isinstance(it.what, Row)}

    def pictures(self) -> int:
        """How many pictures are among them."""
        rows = [it.what for it in self._flights.values() if isinstance(it.what, Row)]
        return sum(row.kind is Kind.IMAGE for row in rows)

    def take_answered(self, result_ids: set[str]) -> list[int]:
        """Free the places of results and rejects that a dashboard has answered; gives their rows.

        A dashboard has only what the broker has, whether that acknowledged it or not.
        """
        freed = []
        for number, flight in list(self._flights.items()):
            row = flight.what
            if isinstance(row, Row) and row.kind is not Kind.IMAGE and row.result_id in result_ids:
                del self._flights[number]
                freed.append(row.row)
        return freed

    def has(self, kind: type | str) -> bool:
        """Whether a message of a type, or a plain one of that word, is among them."""
        return any(
            it.what == Plain(kind) if isinstance(kind, str) else isinstance(it.what, kind)
            for it in self._flights.values()
        )
