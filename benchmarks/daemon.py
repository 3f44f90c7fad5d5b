"""Runs the appliance's daemon on folders of its own, for the benchmarks.

Layer: benchmarks; starts a daemon on this machine, stops it, reads its log and its memory.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.delivery.settings import protocol_of
from edge.delivery.subscriber import serves
from edge.errors import EdgeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.delivery.subscriber import Subscriber
    from edge.system.local_broker import LocalBroker

START_S = 180.0
STOP_S = 20.0


@dataclass(frozen=True)
class Daemon:
    """A running daemon: its process, its drop folder, its state folder and its log."""

    process: subprocess.Popen[bytes]
    drop: Path
    state: Path
    log: Path
    launched_s: float
    """Monotonic time at which its process was made."""

    def wait_until_it_serves(self, subscriber: Subscriber) -> float:
        """Wait until it announces that a film could be scored; returns seconds since its launch.

        Raises `EdgeError` where it does not.
        """
        online = subscriber.wait_for(serves, START_S, lambda: self.process.poll() is None)
        if online is None:
            raise EdgeError(self.with_log(f"the daemon did not come online in {START_S:.0f} s"))
        return time.monotonic() - self.launched_s

    def with_log(self, message: str) -> str:
        """A fault with the daemon's last line: the folder is gone when it is read."""
        lines = self.log.read_text("utf-8", "replace").splitlines()
        return f"{message}; the daemon's last line: {lines[-1] if lines else 'none'}"

    def memory_mib(self) -> dict[str, float]:
        """Proportional set size of the daemon and of its workers together, in MiB."""
        workers = sum(map(_pss_mib, _children(self.process.pid)))
        return {"daemon": _pss_mib(self.process.pid), "workers": workers}


@contextlib.contextmanager
def running(folder: Path, broker: LocalBroker, settings: str = "") -> Iterator[Daemon]:
    """Run a daemon on new folders below ``folder``.

    Everything that ``settings`` (TOML) does not set has its default, but site, folders, port and
    the broker's version of MQTT.
    """
    drop, state, log = folder / "drop", folder / "state", folder / "daemon.log"
    drop.mkdir(parents=True)
    config = folder / "sharpedge.toml"
    config.write_text(
        f"[site]\nname = 'bench'\n[folders]\nwatch = '{drop}'\nstate = '{state}'\n"
        f"[broker]\nport = {broker.port}\nprotocol = '{protocol_of(broker)}'\n{settings}",
        "utf-8",
    )
    command = [sys.executable, "-m", "sharpedge.cli", "run", "--config", str(config)]
    launched_s = time.monotonic()
    with log.open("wb") as written:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=written, stderr=subprocess.STDOUT
        )
        try:
            yield Daemon(process, drop, state, log, launched_s)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _children(number: int) -> list[int]:
    """Numbers of a process's children."""
    found: list[int] = []
    for tasks in Path(f"/proc/{number}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, tasks.read_text("ascii").split())
    return found


def _pss_mib(number: int) -> float:
    """Proportional set size of a process; 0 where it has ended or the system tells none."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{number}/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0
