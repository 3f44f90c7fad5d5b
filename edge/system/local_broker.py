"""Starts a broker on a free loopback port, for the demo and the benchmarks.

Mosquitto where it is installed; else the library amqtt in a process of its own, which speaks MQTT
3.1.1 only. A site runs its own broker.

Layer: system; starts one child process.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edge.errors import EdgeError

if TYPE_CHECKING:
    from collections.abc import Iterator

BrokerChoice = Literal["auto", "mosquitto", "amqtt"]
START_S = 15.0
_TRIES = 3
"""A port that was free may be taken by somebody else before the broker has it."""

_AMQTT = """
import asyncio, logging, sys, warnings
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
from amqtt.broker import Broker
async def serve():
    broker = Broker({
        "listeners": {"default": {"type": "tcp", "bind": "127.0.0.1:" + sys.argv[1]}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    })
    await broker.start()
    await asyncio.Event().wait()
asyncio.run(serve())
"""


@dataclass(frozen=True)
class LocalBroker:
    """A running broker: its program, its port on the loopback interface, its MQTT version.

    amqtt does not answer a CONNECT of MQTT 5, so that a client must be set to 3.1.1.
    """

    name: str
    port: int
    speaks_mqtt5: bool


def _mosquitto() -> str | None:
    # Debian puts daemons where an ordinary user's PATH does not look.
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def local_broker(choice: BrokerChoice = "auto") -> Iterator[LocalBroker]:
    """Run a broker while the block lasts.

    ``auto`` takes Mosquitto where it is installed, else amqtt. Raises `EdgeError` when the broker
    cannot be started, with what to install.
    """
    binary = None if choice == "amqtt" else _mosquitto()
    if choice == "mosquitto" and binary is None:
        raise EdgeError("no mosquitto on this machine; install it, or take the broker amqtt")
    with tempfile.TemporaryDirectory(prefix="sharpedge-broker-") as folder:
        process, broker = _start(binary, Path(folder))
        try:
            yield broker
        finally:
            _stop(process)


def _start(binary: str | None, folder: Path) -> tuple[subprocess.Popen[bytes], LocalBroker]:
    for _ in range(_TRIES):
        port = _free_port()
        if binary is not None:
            config = folder / "mosquitto.conf"
            config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n", "utf-8")
            command, broker = [binary, "-c", str(config)], LocalBroker("mosquitto", port, True)
        else:
            command = [sys.executable, "-c", _AMQTT, str(port)]
            broker = LocalBroker("amqtt", port, False)
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if _opens(process, port):
            return process, broker
        _stop(process)
    raise EdgeError(
        f"the broker {broker.name} did not start; install Mosquitto, or the library: "
        "pip install 'sharpedge[demo]'"
    )


def _opens(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether the broker takes connections; False once it has ended or its time is over."""
    end = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        time.sleep(0.05)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
