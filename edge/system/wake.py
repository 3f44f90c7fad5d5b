"""A pipe that ends a `select.poll` from another thread or from a signal.

Layer: system; two descriptors of this process.
"""

from __future__ import annotations

import os


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

    def drain(self) -> None:
        """Take in all wake-ups so far."""
        try:
            while os.read(self.read_end, 4096):
                pass
        except BlockingIOError:
            return
