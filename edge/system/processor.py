"""The processor's name, and the cores that this process may run on.

Layer: system; reads the kernel's description of the machine.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")
_NAME_KEYS = ("model name", "hardware", "cpu model", "cpu part")
"""What the kernels of x86, of some ARM boards, of others and of all ARM cores call it."""


def usable_cores() -> int:
    """Cores this process may run on, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_name() -> str:
    """Name of the processor as the kernel has it, ``unknown`` where nothing gives one."""
    try:
        lines = _CPU_INFO.read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    found: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        found.setdefault(key.strip().lower(), value.strip())
    known = (found[key] for key in _NAME_KEYS if found.get(key))
    return next(known, platform.processor() or "unknown")
