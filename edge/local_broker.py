"""A broker on a free loopback port, for the demo and the benchmarks only.

Mosquitto where it is installed; else the library amqtt in a process of its own, which speaks MQTT
3.1.1 only. A site runs its own broker.
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
from typing import TYPE_CHECKING

from edge.errors import EdgeError

if TYPE_CHECKING:
    from collections.abc import Iterator

START_S = 15.0

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
    """A running broker: what it is, and where."""

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
def local_broker() -> Iterator[LocalBroker]:
    """Run a broker while the block lasts.

    Raises `EdgeError` when none can be started, with what to install.
    """
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="sharpedge-broker-") as folder:
        binary = _mosquitto()
        if binary is not None:
            config = Path(folder) / "mosquitto.conf"
            config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n", "utf-8")
            command, broker = [binary, "-c", str(config)], LocalBroker("mosquitto", port, True)
        else:
            command = [sys.executable, "-c", _AMQTT, str(port)]
            broker = LocalBroker("amqtt", port, False)
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _wait_until_open(process, broker)
            yield broker
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_open(process: subprocess.Popen[bytes], broker: LocalBroker) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", broker.port), 1):
            return
        time.sleep(0.05)
    raise EdgeError(
        f"the broker {broker.name} did not start; install Mosquitto, or the library: "
        "pip install 'sharpedge[demo]'"
    )
