"""The machine below the appliance: disk, reserve for the journal, memory, temperature.

Layer: system; writes one file of its own, and asks the kernel.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import TextIO

from edge.system.files import whole_file

log = logging.getLogger(__name__)

_RESUME = 1.1
"""Films are taken again when so much more than the watermark is free: no flapping."""


_M_ARENA_MAX = -8
"""glibc's number for this setting."""
_ARENAS = 2
RESERVE = "journal.reserve"
_SCARCE_BYTES = 1 << 20


def make_room(folder: Path) -> None:
    """Give the reserve back where the disk is too full for a start."""
    reserve = folder / RESERVE
    if shutil.disk_usage(folder).free < _SCARCE_BYTES and reserve.exists():
        log.warning("the disk is full: the space kept back for the journal is used")
        reserve.unlink()


class DiskGuard:
    """Watches the disk of a state folder.

    Below the watermark `low` is set, and films wait. Where even that is used up, the reserve is
    given back, so that the journal can still write down what was done.
    """

    def __init__(self, folder: Path, *, min_free_mib: int, reserve_mib: int) -> None:
        self._folder = folder
        self._reserve = folder / RESERVE
        self._reserve_bytes = reserve_mib << 20
        self._least_bytes = min_free_mib << 20
        self.low = False

    def look(self) -> bool:
        """Measure; returns whether `low` has changed."""
        free = shutil.disk_usage(self._folder).free
        limit = self._least_bytes * (_RESUME if self.low else 1)
        before, self.low = self.low, free < limit
        if free < self._reserve_bytes // 2:
            self._give()
        elif not self.low and free - self._reserve_bytes > self._least_bytes:
            self._take()
        return self.low != before

    def _give(self) -> None:
        if self._reserve.exists():
            log.warning("the disk is full: the space kept back for the journal is used")
            self._reserve.unlink()

    def _take(self) -> None:
        if not self._reserve_bytes or self._reserve.exists():
            return
        with whole_file(self._reserve, durable=False, mode=0o600) as file:
            os.posix_fallocate(file.fileno(), 0, self._reserve_bytes)


def share_arenas() -> None:
    """Have all threads allocate from two pools of memory, of which each keeps what it has freed.

    glibc gives each thread one of its own, up to eight for each core: a long stream of films then
    leaves memory behind in all of them.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def oom_kills() -> int:
    """Processes of our control group that the kernel ended for want of memory; 0 if not known."""
    try:
        group = Path("/proc/self/cgroup").read_text(encoding="ascii").partition("0::")[2]
        events = Path("/sys/fs/cgroup") / group.splitlines()[0].lstrip("/") / "memory.events"
        counts = dict(line.split() for line in events.read_text(encoding="ascii").splitlines())
        return int(counts.get("oom_kill", 0))
    except (OSError, ValueError, IndexError):
        return 0


def temperature_c() -> float | None:
    """Hottest sensor of the machine, None where there is none."""
    sensors = Path("/sys/class/thermal").glob("thermal_zone*/temp")
    return max(filter(None, map(_reading_c, sensors)), default=None)


def _reading_c(sensor: Path) -> float | None:
    try:
        return int(sensor.read_text(encoding="ascii")) / 1000
    except (OSError, ValueError):
        return None


def let_go_of_streams() -> None:
    """Turn output that nobody takes any more to nowhere, so that it cannot spoil the exit status.

    Python flushes both streams at its end, and makes a failure of that status 120.
    """
    for stream in (sys.stdout, sys.stderr):
        _flush(stream)


def _flush(stream: TextIO) -> None:
    try:
        stream.flush()
    except (OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
