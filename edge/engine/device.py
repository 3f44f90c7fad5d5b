"""Finds a usable GPU in a child process, or what is missing.

Layer: engine; starts a child process that loads ``libcuda`` and calls ``cuInit``: a driver that is
missing, too old or broken can end the process that uses it, which is then only the child.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from edge.engine.passport import Device

_TIMEOUT_S = 60.0
_COMPUTE_CAPABILITY_MAJOR = 75
_COMPUTE_CAPABILITY_MINOR = 76
_NAME_LENGTH = 128
_FIX_DRIVER = "install NVIDIA's driver (on a Jetson: JetPack), then check with: nvidia-smi"
_FIX_DEVICE = "check that the GPU is present and that this user may use it (group video or render)"
_CUDA_ERRORS = {
    3: ("the driver is not initialised", _FIX_DRIVER),
    34: ("libcuda is the stub of the CUDA toolkit, not a driver", _FIX_DRIVER),
    35: ("the driver is older than the CUDA that this was built for", "update NVIDIA's driver"),
    100: ("the driver sees no GPU", _FIX_DEVICE),
    101: ("the driver refuses the GPU's number", _FIX_DEVICE),
    803: ("driver and libcuda are of different versions", "restart the machine"),
    804: ("the driver does not serve this GPU in a container", "start it with --gpus all"),
}


@dataclass(frozen=True)
class Preflight:
    """The GPU, or what is missing and the fix."""

    device: Device | None
    missing: str = ""
    fix: str = ""


@cache
def preflight() -> Preflight:
    """Look for a usable GPU once; never raises, never ends this process."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "edge.engine.device"],
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Preflight(None, f"the driver did not answer in {_TIMEOUT_S:.0f} s", "restart it")
    except OSError as error:
        return Preflight(None, f"no process could be started: {error.strerror}", "free memory")
    if done.returncode != 0:
        return Preflight(
            None, f"asking the driver ended a process ({done.returncode})", _FIX_DRIVER
        )
    answer: dict[str, Any] = json.loads(done.stdout)
    if "missing" in answer:
        return Preflight(None, answer["missing"], answer["fix"])
    return Preflight(Device.model_validate(answer))


def _ask() -> dict[str, str]:
    """Answer of the child: the device's fields, or ``missing`` and ``fix``."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return {"missing": "libcuda.so.1 is not installed", "fix": _FIX_DRIVER}
    code = cuda.cuInit(0)
    if code:
        return _failed(code, "cuInit")
    count, version = ctypes.c_int(), ctypes.c_int()
    if code := cuda.cuDeviceGetCount(ctypes.byref(count)):
        return _failed(code, "cuDeviceGetCount")
    if not count.value:
        return {"missing": "the driver sees no GPU", "fix": _FIX_DEVICE}
    name = ctypes.create_string_buffer(_NAME_LENGTH)
    major, minor = ctypes.c_int(), ctypes.c_int()
    cuda.cuDeviceGetName(name, _NAME_LENGTH, 0)
    cuda.cuDeviceGetAttribute(ctypes.byref(major), _COMPUTE_CAPABILITY_MAJOR, 0)
    cuda.cuDeviceGetAttribute(ctypes.byref(minor), _COMPUTE_CAPABILITY_MINOR, 0)
    cuda.cuDriverGetVersion(ctypes.byref(version))
    return {
        "gpu": name.value.decode("utf-8", "replace"),
        "compute_capability": f"{major.value}.{minor.value}",
        "driver": _driver(),
        "cuda": f"{version.value // 1000}.{version.value % 1000 // 10}",
    }


def _driver() -> str:
    """Version of the kernel's driver; a Jetson's is that of its BSP."""
    for path in (Path("/sys/module/nvidia/version"), Path("/etc/nv_tegra_release")):
        if path.is_file():
            return path.read_text(encoding="utf-8").partition("\n")[0].strip()
    return "unknown"


def _failed(code: int, call: str) -> dict[str, str]:
    what, fix = _CUDA_ERRORS.get(code, (f"error {code}", _FIX_DRIVER))
    return {"missing": f"{call}: {what}", "fix": fix}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_ask()))
