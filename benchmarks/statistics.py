"""Percentiles, and the machine that they were measured on.

Layer: benchmarks; reads the machine's own description, changes nothing.
"""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

PACKAGES = ("sharpedge", "numpy", "opencv-python-headless", "onnxruntime", "paho-mqtt")


def summary(values_ms: Iterable[float]) -> dict[str, float]:
    """n, p50, p90, p99 and coefficient of variation of some milliseconds."""
    values = np.asarray(list(values_ms), dtype=np.float64)
    p50, p90, p99 = np.percentile(values, [50, 90, 99])
    return {
        "n": float(len(values)),
        "p50_ms": round(float(p50), 2),
        "p90_ms": round(float(p90), 2),
        "p99_ms": round(float(p99), 2),
        "variation": round(float(values.std() / max(values.mean(), 1e-9)), 3),
    }


def machine() -> dict[str, Any]:
    """Processor, cores, memory, load and versions."""
    memory_kib = 0
    info = Path("/proc/meminfo")
    if info.exists():
        memory_kib = int(info.read_text("utf-8").split("MemTotal:")[1].split()[0])
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": memory_kib // 1024,
        "load_before": [round(value, 2) for value in os.getloadavg()],
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text("utf-8").splitlines():
            if line.lower().startswith(("model name", "hardware")):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
