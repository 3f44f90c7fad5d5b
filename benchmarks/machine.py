"""Describes the machine that figures were measured on.

Layer: benchmarks; reads the machine's own description, changes nothing.
"""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from edge.system.processor import processor_name, usable_cores

PACKAGES = (
    "sharpedge", "numpy", "opencv-python-headless", "scikit-image", "onnxruntime", "openvino",
    "torch", "tensorrt", "paho-mqtt",
)  # fmt: skip


def machine() -> dict[str, Any]:
    """Processor, cores, memory, load and versions."""
    memory_kib = 0
    info = Path("/proc/meminfo")
    if info.exists():
        memory_kib = int(info.read_text("utf-8").split("MemTotal:")[1].split()[0])
    return {
        "processor": processor_name(),
        "architecture": platform.machine(),
        "cores": usable_cores(),
        "memory_mib": memory_kib // 1024,
        "load_before": [round(value, 2) for value in os.getloadavg()],
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
