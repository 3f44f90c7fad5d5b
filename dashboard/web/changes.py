"""Tells open pages that something has changed.

Layer: dashboard; from the writer's thread to the pages' loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading


class Changes:
    """A number that grows; pages wait until it does."""

    def __init__(self) -> None:
        self._number = 0
        self._closed = False
        self._lock = threading.Lock()
        self.streams = 0
        """Pages that are open, as their loop counts them."""
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    @property
    def number(self) -> int:
        """How often something has changed."""
        return self._number

    @property
    def is_closed(self) -> bool:
        """Whether the dashboard is about to end."""
        return self._closed

    def tell(self) -> None:
        """Something has changed; from any thread."""
        with self._lock:
            self._number += 1
            waiting = list(self._waiting)
        for loop, event in waiting:
            # A loop that has ended waits for nothing any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(event.set)

    def close(self) -> None:
        """Let every page end."""
        self._closed = True
        self.tell()

    async def after(self, number: int, longest_s: float) -> int:
        """Wait until the number is another one, or for so long; gives the number."""
        event = asyncio.Event()
        mine = (asyncio.get_running_loop(), event)
        with self._lock:
            self._waiting.add(mine)
        try:
            if self._number == number and not self._closed:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(event.wait(), longest_s)
        finally:
            with self._lock:
                self._waiting.discard(mine)
        return self._number
