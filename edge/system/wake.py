"""A pipe that ends a `select.poll` from another thread or from a signal.

Layer: system; two descriptors of this process.
"""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class WakePipe:
    """Wakes one loop; any thread may call `wake`."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def wake(self) -> None:
        """End the present or the next wait."""
        try:
            os.write(self.write_end, b"\0")
        except BlockingIOError:
            # The pipe is full of wake-ups: one more adds nothing.
            return

    def wait(self, others: Iterable[tuple[int, int] | None], limit_s: float) -> None:
        """Wait for a wake-up, or an event of others (descriptor and `select.poll` events)."""
        waiting = select.poll()
        waiting.register(self.read_end, select.POLLIN)
        for one in others:
            if one is not None:
                waiting.register(*one)
        waiting.poll(limit_s * 1000)
        self.drain()

    def drain(self) -> None:
        """Take in all wake-ups so far."""
        try:
            while os.read(self.read_end, 4096):
                pass
        except BlockingIOError:
            return
