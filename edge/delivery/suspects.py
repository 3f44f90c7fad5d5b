"""Delivery: who ends our connections: a message of ours, or another client.

Brokers of MQTT 3.1.1, and some of 5, close the connection for a message that they do not take, or
because another client came with our client id, and give no reason. Pure state, no clock of its own.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

CAREFUL_AFTER = 2
GUILTY_AFTER = 3
_SMALL_BYTES = 16_384
"""No broker in use has a lower limit."""
_AT_ONCE_S = 2.0
_SHORT_S = 30.0
_FLAPS = 3
_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 10.0
"""Of two rivals each then works for as long, and one that is left alone goes on within 15 s."""


class Suspects:
    """Messages that were in flight when connections ended.

    From the second time on they go out one at a time; one that ends the connection alone, at once
    and `GUILTY_AFTER` times in a row is guilty.
    """

    def __init__(self) -> None:
        self._lost: Counter[int] = Counter()
        self._alone: Counter[int] = Counter()
        self._largest_bytes = _SMALL_BYTES

    @property
    def careful(self) -> bool:
        """Whether messages must go out one at a time."""
        return any(count >= CAREFUL_AFTER for count in self._lost.values())

    def is_large(self, size_bytes: int) -> bool:
        """Whether a message is larger than all that the broker has taken."""
        return size_bytes > self._largest_bytes

    def ended(
        self, in_flight: Mapping[int, int], since_sent_s: float, *, too_large: bool = False
    ) -> int | None:
        """Take in the end of a connection; returns the message that is guilty of it, if any.

        ``in_flight`` gives the bytes of each message; ``since_sent_s`` is how long before the end
        the last message went out. ``too_large``: the broker said that one of them is.
        """
        # Of a mapping a Counter would take the values for counts.
        self._lost.update(tuple(in_flight))
        if too_large:
            self._lost.update(tuple(in_flight))
        if len(in_flight) != 1 or since_sent_s > _AT_ONCE_S:
            return None
        (row,) = in_flight
        self._alone[row] += 1
        return row if too_large or self._alone[row] >= GUILTY_AFTER else None

    def taken(self, row: int, size_bytes: int) -> None:
        """The broker took a message."""
        self._largest_bytes = max(self._largest_bytes, size_bytes)
        self.cleared((row,))

    def cleared(self, rows: Collection[int]) -> None:
        """These messages are no longer suspected."""
        for row in rows:
            self._lost.pop(row, None)
            self._alone.pop(row, None)


class Rivalry:
    """Tells another client with our client id from a broker that comes and goes.

    A rival's broker takes us back at the first attempt, and the connection soon ends again.
    """

    def __init__(self) -> None:
        self._flaps = 0
        self._pauses = 0

    @property
    def suspected(self) -> bool:
        """Whether connections have ended as a rival ends them."""
        return self._flaps >= _FLAPS

    def failed(self) -> None:
        """An attempt to connect failed: the broker was away, no rival is needed to explain it."""
        self._flaps = self._pauses = 0

    def ended(self, lasted_s: float, *, taken_over: bool) -> float:
        """Take in the end of a connection; returns the pause in seconds that it calls for.

        While it goes on, the pause lets one of the two work.
        """
        if lasted_s > 2 * max(_SHORT_S, self._pause_s):
            self._flaps = self._pauses = 0
        if taken_over:
            self._flaps = _FLAPS
        elif lasted_s < _SHORT_S:
            self._flaps += 1
        if not self.suspected:
            return 0.0
        self._pauses += 1
        return self._pause_s

    @property
    def _pause_s(self) -> float:
        if not self._pauses:
            return 0.0
        return float(min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (self._pauses - 1)))
