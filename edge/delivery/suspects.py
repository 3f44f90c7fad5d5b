"""Messages that may be the cause when the broker ends a connection.

Layer: delivery; pure state: times are given.

Brokers of MQTT 3.1.1, and some of 5, end the connection for a message that they do not accept, and
give no reason.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

CAREFUL_AFTER = 2
CAUSE_AFTER = 3
_SMALL_BYTES = 16_384
"""No broker in use has a lower limit."""
_AT_ONCE_S = 2.0


class Suspects:
    """Messages that were in flight when connections ended.

    From the second time on they are sent one at a time. A message is the cause when it was alone in
    flight, and the connection ended at once, `CAUSE_AFTER` times in a row.
    """

    def __init__(self) -> None:
        self._lost: Counter[int] = Counter()
        self._alone: Counter[int] = Counter()
        self._largest_bytes = _SMALL_BYTES

    @property
    def careful(self) -> bool:
        """Whether messages must be sent one at a time."""
        return any(count >= CAREFUL_AFTER for count in self._lost.values())

    def is_large(self, size_bytes: int) -> bool:
        """Whether a message is larger than all that the broker has accepted."""
        return size_bytes > self._largest_bytes

    def ended(
        self, in_flight: Mapping[int, int], since_sent_s: float, *, too_large: bool = False
    ) -> int | None:
        """Take in the end of a connection; returns the message that is its cause, if any.

        ``in_flight`` gives the bytes of each message; ``since_sent_s`` is how long before the end
        the last message was sent. ``too_large``: the broker answered that one of them is.
        """
        # Given a mapping, a Counter would use its values as counts.
        self._lost.update(tuple(in_flight))
        if too_large:
            self._lost.update(tuple(in_flight))
        if len(in_flight) != 1 or since_sent_s > _AT_ONCE_S:
            return None
        (row,) = in_flight
        self._alone[row] += 1
        return row if too_large or self._alone[row] >= CAUSE_AFTER else None

    def taken(self, row: int, size_bytes: int) -> None:
        """Note that the broker accepted a message."""
        self._largest_bytes = max(self._largest_bytes, size_bytes)
        self.cleared((row,))

    def cleared(self, rows: Collection[int]) -> None:
        """Note that these messages are not the cause."""
        for row in rows:
            self._lost.pop(row, None)
            self._alone.pop(row, None)
