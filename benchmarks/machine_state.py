"""What the machine is and how it stands: clocks, governor, power mode, temperature, throttling.

Layer: benchmarks; reads ``/proc`` and ``/sys``, and runs ``nvpmodel`` where it is installed;
changes nothing. What a machine does not tell is None, or missing from a mapping.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from edge.model import Record

ROOT = Path("/")
_THROTTLE_COUNTERS = (
    "sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count",
    "sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/package_throttle_count",
    # Over-current events of Jetson's power monitor.
    "sys/class/hwmon/hwmon*/oc*_event_cnt",
)
_CPU_STATS = ("sys/fs/cgroup/cpu.stat", "sys/fs/cgroup/cpu/cpu.stat")
_POWER_MODE_STATUS = Path("var/lib/nvpmodel/status")
_TOOL_S = 5.0


class MachineState(Record):
    """How the machine stands at one moment.

    Attributes
    ----------
    mhz : tuple of float
        Clock of each usable core.
    limit_mhz : tuple of float
        Highest clock that the governor may choose, of each usable core.
    governors : tuple of str
        Frequency governors in use.
    power_mode, fixed_clocks : str or None
        Jetson's power mode, and what ``jetson_clocks --show`` says of the cores.
    celsius : mapping of str to float
        Thermal zone to its temperature.
    throttled : mapping of str to int
        Counter of throttling events, as the kernel counts them since the start.
    load : tuple of float
        Load averages over 1, 5 and 15 minutes.
    pressure : mapping of str to float
        Share of time in which something waited for a core (PSI): over 10 s, 60 s, 300 s.
    """

    mhz: tuple[float, ...] = ()
    limit_mhz: tuple[float, ...] = ()
    governors: tuple[str, ...] = ()
    power_mode: str | None = None
    fixed_clocks: str | None = None
    celsius: dict[str, float] = Field(default_factory=dict)
    throttled: dict[str, int] = Field(default_factory=dict)
    load: tuple[float, ...] = ()
    pressure: dict[str, float] = Field(default_factory=dict)


def read_state(root: Path = ROOT) -> MachineState:
    """Read the state of the machine whose files lie under ``root``."""
    cores = [f"cpu{number}" for number in usable_cores()]
    folder = root / "sys/devices/system/cpu"
    khz = [_number(folder / core / "cpufreq/scaling_cur_freq") for core in cores]
    limits = [_number(folder / core / "cpufreq/scaling_max_freq") for core in cores]
    governors = {_text(folder / core / "cpufreq/scaling_governor") for core in cores} - {None}
    mhz = [value / 1000 for value in khz if value is not None] or _cpuinfo_mhz(root)
    return MachineState(
        mhz=tuple(round(value, 1) for value in mhz),
        limit_mhz=tuple(round(value / 1000, 1) for value in limits if value is not None),
        governors=tuple(sorted(str(name) for name in governors)),
        power_mode=_power_mode(root),
        fixed_clocks=_fixed_clocks(root),
        celsius=_celsius(root),
        throttled=_throttled(root),
        load=_load(root),
        pressure=_pressure(root),
    )


def usable_cores() -> tuple[int, ...]:
    """Numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", "replace").strip() or None
    except OSError:
        return None


def _number(path: Path) -> float | None:
    text = _text(path)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _cpuinfo_mhz(root: Path) -> list[float]:
    text = _text(root / "proc/cpuinfo") or ""
    return [float(value) for value in re.findall(r"cpu MHz\s*:\s*([\d.]+)", text)]


def _power_mode(root: Path) -> str | None:
    stored = _text(root / _POWER_MODE_STATUS)
    told = _tool("nvpmodel", "-q") if root == ROOT else None
    named = re.search(r"NV Power Mode:\s*(\S+)", told or "")
    return named.group(1) if named else stored


def _fixed_clocks(root: Path) -> str | None:
    told = _tool("jetson_clocks", "--show") if root == ROOT else None
    lines = [line.strip() for line in (told or "").splitlines() if line.startswith("cpu")]
    return "; ".join(lines) or None


def _tool(*command: str) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(command, capture_output=True, timeout=_TOOL_S, check=False)
        return done.stdout.decode("utf-8", "replace")
    return None


def _celsius(root: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        degrees = _number(zone / "temp")
        if degrees is not None:
            found[f"{zone.name} {_text(zone / 'type') or ''}".strip()] = degrees / 1000
    return found


def _throttled(root: Path) -> dict[str, int]:
    found = {}
    for pattern in _THROTTLE_COUNTERS:
        for path in sorted(root.glob(pattern)):
            count = _number(path)
            if count is not None:
                found[str(path.relative_to(root / "sys"))] = int(count)
    for name in _CPU_STATS:
        counted = re.search(r"^nr_throttled (\d+)", _text(root / name) or "", re.MULTILINE)
        if counted:
            found["cgroup nr_throttled"] = int(counted.group(1))
    return found


def _load(root: Path) -> tuple[float, ...]:
    parts = (_text(root / "proc/loadavg") or "").split()[:3]
    with suppress(ValueError):
        return tuple(float(part) for part in parts)
    return ()


def _pressure(root: Path) -> dict[str, float]:
    text = _text(root / "proc/pressure/cpu") or ""
    first = next((line for line in text.splitlines() if line.startswith("some ")), "")
    return {
        f"avg{span}": float(share) / 100
        for span, share in re.findall(r"avg(10|60|300)=([\d.]+)", first)
    }


def mean_mhz(state: MachineState) -> float | None:
    """Mean clock of the usable cores, None where it is not told."""
    return float(np.mean(state.mhz)) if state.mhz else None


def as_rows(state: MachineState) -> dict[str, Any]:
    """The state as short texts, for tables; what is not told is ``unknown``."""
    mhz = mean_mhz(state)
    hottest = max(state.celsius.values(), default=None)
    return {
        "clock (MHz)": "unknown" if mhz is None else f"{mhz:.0f}",
        "governor": ", ".join(state.governors) or "unknown",
        "power mode": state.power_mode or "unknown",
        "hottest zone (°C)": "unknown" if hottest is None else f"{hottest:.0f}",
        "throttling events": sum(state.throttled.values()) if state.throttled else "unknown",
        "load average (1 min)": f"{state.load[0]:.2f}" if state.load else "unknown",
    }
