"""Times on the monotonic clock, converted with one reading of the wall clock.

Layer: system; reads the clocks, the boot id, and whether the wall clock is synchronised.
"""

from __future__ import annotations

import ctypes
import time
from datetime import datetime, timezone
from functools import cache
from pathlib import Path

from edge.model import Record

_TIME_ERROR = 5
_STEP_S = 2.0


@cache
def boot_id() -> str:
    """Identity of this boot of the machine: monotonic times compare only inside one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def wall_clock_is_set() -> bool:
    """Whether the wall clock is known to be synchronised.

    From the kernel; where a hardened service may not call it, from systemd's time service.
    """
    try:
        state = int(_libc().adjtimex(ctypes.create_string_buffer(512)))
    except (OSError, AttributeError):
        state = -1
    if state < 0:
        return Path("/run/systemd/timesync/synchronized").exists()
    return state < _TIME_ERROR


def arrival_in_words(unix_s: float | None) -> str:
    """``arrived 2026-11-30 05:13:25 UTC``; nothing where no calendar has the time."""
    try:
        at = datetime.fromtimestamp(unix_s or 0, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return ""
    return "" if unix_s is None else f"arrived {at:%Y-%m-%d %H:%M:%S} UTC"


class SteadyClock:
    """Wall seconds that do not step: read once, then advanced by the monotonic clock.

    After the wall clock was set, its time is used once it is known to be synchronised.
    """

    def __init__(self) -> None:
        self._anchor = (time.monotonic(), time.time())

    def __call__(self) -> float:
        """Seconds since 1970."""
        monotonic_s, wall_s = self._anchor
        now_s = wall_s + time.monotonic() - monotonic_s
        if abs(time.time() - now_s) > _STEP_S and wall_clock_is_set():
            self._anchor = (time.monotonic(), time.time())
            return self._anchor[1]
        return now_s


steady_unix_s = SteadyClock()
"""The clock of this process; ages in the journal are measured with it."""


class Anchor(Record):
    """A monotonic and a wall reading in seconds, of one moment in one boot."""

    boot: str
    monotonic_s: float
    unix_s: float

    @classmethod
    def at(cls, monotonic_s: float, unix_s: float) -> Anchor:
        """Anchor a moment of this boot."""
        return cls(boot=boot_id(), monotonic_s=monotonic_s, unix_s=unix_s)

    def unix_of(self, monotonic_s: float) -> float:
        """Wall seconds of another moment of the same boot."""
        return self.unix_s + (monotonic_s - self.monotonic_s)

    def now_unix_s(self) -> float:
        """Wall seconds now; within one boot, exact relative to this anchor."""
        return self.unix_of(time.monotonic()) if self.boot == boot_id() else time.time()
