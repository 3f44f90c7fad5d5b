"""The pace of sign-ins: few are allowed in a minute, for one name and from one address.

Layer: dashboard; memory of this process.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_ATTEMPTS, _WINDOW_S = 10, 60.0
_REMEMBERED = 10_000


class Pace:
    """Counts attempts; ``most`` are allowed in a minute, ``clock`` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = _ATTEMPTS) -> None:
        self._clock = clock
        self._most = most
        self._noted: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def allows(self, *whose: str) -> bool:
        """Whether another attempt of all of these is allowed now."""
        now_s = self._clock()
        with self._lock:
            return all(self._recent(one, now_s) < self._most for one in whose)

    def note(self, *whose: str) -> None:
        """Count an attempt of all of these."""
        now_s = self._clock()
        with self._lock:
            for one in whose:
                self._noted.setdefault(one, deque(maxlen=self._most)).append(now_s)
            while len(self._noted) > _REMEMBERED:
                del self._noted[next(iter(self._noted))]

    def _recent(self, one: str, now_s: float) -> int:
        times = self._noted.get(one)
        if times is None:
            return 0
        while times and now_s - times[0] >= _WINDOW_S:
            times.popleft()
        if not times:
            del self._noted[one]
        return len(times)
