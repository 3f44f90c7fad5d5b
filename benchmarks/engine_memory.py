"""Memory that one engine adds to a process: ``python -m benchmarks.engine_memory PASSPORT``.

Layer: benchmarks; loads one installed engine in a process of its own and reads ``/proc/self``. In
the caller's process the memory of engines that were loaded before would serve again.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

from edge.engine.backend_table import BACKENDS
from edge.engine.key import device_key
from edge.engine.loader import open_backend
from edge.engine.passport import open_engine
from export.acceptance.latency import typical_inputs

_RUNS = 3
_LIMIT_S = 120.0
_ROLLUP = Path("/proc/self/smaps_rollup")
_STATUS = Path("/proc/self/status")


def added_mib(passport: Path, batch: int) -> dict[str, float]:
    """MiB that an engine adds once it has run: ``pss`` and ``rss``; empty where not measured."""
    command = [sys.executable, "-m", "benchmarks.engine_memory", str(passport), str(batch)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=_LIMIT_S,
            check=False,
            cwd=Path(__file__).resolve().parents[1],
        )
        found = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return {}
    return {str(name): float(value) for name, value in found.items()}


def resident_mib() -> dict[str, float]:
    """PSS and RSS of this process in MiB, as far as the kernel tells them."""
    found = {}
    for name, path, key in (("pss", _ROLLUP, "Pss"), ("rss", _STATUS, "VmRSS")):
        try:
            text = path.read_text("ascii", "replace")
        except OSError:
            continue
        value = re.search(rf"^{key}:\s+(\d+) kB", text, re.MULTILINE)
        if value:
            found[name] = int(value.group(1)) / 1024
    return found


def main() -> int:
    """Load the engine, run it and print what it added."""
    parser = argparse.ArgumentParser()
    parser.add_argument("passport", type=Path)
    parser.add_argument("batch", type=int)
    given = parser.parse_args()
    verified = open_engine(given.passport, device_key())
    # The library itself is not the engine's: it is there once for all engines.
    importlib.import_module(BACKENDS[verified.passport.backend].module)
    before = resident_mib()
    engine = open_backend(verified)
    inputs = typical_inputs(engine, given.batch)
    for _ in range(_RUNS):
        engine.run(inputs)
    after = resident_mib()
    print(json.dumps({name: round(after[name] - before[name], 1) for name in before}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
