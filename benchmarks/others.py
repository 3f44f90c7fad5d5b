"""How much of the machine other processes took while we measured.

Layer: benchmarks; reads ``/proc/stat`` and the clocks of this process and its children.

All time in which the usable cores were busy, less the time of this process and of its children
that have ended, is the others' time. A child that is still alive counts as another's until it was
waited for, so a section ends when its children have ended.
"""

from __future__ import annotations

import contextlib
import os
import resource
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.machine_state import ROOT, usable_cores

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_IDLE_FIELDS = (3, 4)
"""Columns of ``/proc/stat``: idle, and idle while a disk works."""
_STEAL_FIELD = 7
_OWN_FIELDS = 8
"""Guest time, which follows, is part of user time already."""


class CpuClock(NamedTuple):
    """Seconds since some past: the cores' busy time, what the hypervisor kept, our own."""

    wall_s: float
    busy_s: float | None
    stolen_s: float
    own_s: float


@dataclass(frozen=True)
class Section:
    """Shares of the usable cores' time during one part of the run, 0 to 1.

    ``others`` and ``stolen`` are None where ``/proc/stat`` tells nothing.
    """

    name: str
    seconds: float
    own: float
    others: float | None
    stolen: float | None


def read_clock(root: Path = ROOT) -> CpuClock:
    """Read the clocks now."""
    busy, stolen = _busy(root)
    own = resource.getrusage(resource.RUSAGE_SELF)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    own_s = own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime
    return CpuClock(time.monotonic(), busy, stolen, own_s)


def between(name: str, begun: CpuClock, ended: CpuClock, cores: int) -> Section:
    """Shares between two readings of the clocks on ``cores`` cores."""
    wall_s = max(ended.wall_s - begun.wall_s, 1e-9)
    whole_s = cores * wall_s
    own = (ended.own_s - begun.own_s) / whole_s
    if begun.busy_s is None or ended.busy_s is None:
        return Section(name, wall_s, own, None, None)
    stolen = (ended.stolen_s - begun.stolen_s) / whole_s
    # Ticks of 10 ms round: a short section can come out a little outside.
    others = min(1.0, max(0.0, (ended.busy_s - begun.busy_s) / whole_s - own))
    return Section(name, wall_s, own, others, stolen)


@contextlib.contextmanager
def section(name: str, into: list[Section], root: Path = ROOT) -> Iterator[None]:
    """Append the `Section` of the block to ``into`` when the block ends."""
    begun = read_clock(root)
    yield
    into.append(between(name, begun, read_clock(root), len(usable_cores())))


def at_rest(name: str, seconds: float = 1.0) -> Section:
    """What the machine does while we sleep for ``seconds``."""
    found: list[Section] = []
    with section(name, found):
        time.sleep(seconds)
    return found[0]


def _busy(root: Path) -> tuple[float | None, float]:
    """Busy and stolen seconds of the usable cores; None where the kernel tells no time at all."""
    cores = {f"cpu{number}" for number in usable_cores()}
    try:
        lines = (root / "proc/stat").read_text("ascii", "replace").splitlines()
    except OSError:
        return None, 0.0
    rows = [line.split() for line in lines if line.startswith("cpu")]
    ticks = [[int(field) for field in row[1:]] for row in rows if row[0] in cores]
    if not ticks or not any(map(any, ticks)):
        return None, 0.0
    busy = sum(
        value
        for row in ticks
        for place, value in enumerate(row[:_OWN_FIELDS])
        if place not in _IDLE_FIELDS
    )
    stolen = sum(row[_STEAL_FIELD] for row in ticks if len(row) > _STEAL_FIELD)
    return busy / _TICKS_PER_S, stolen / _TICKS_PER_S
