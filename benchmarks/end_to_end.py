"""Measures file closed to message received, through the real daemon and a real broker.

Layer: benchmarks; starts a broker and a daemon on this machine and stops both.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks.statistics import summary
from edge.contract.payloads import ResultMessage
from edge.delivery.settings import protocol_of
from edge.delivery.subscriber import Subscriber, serves
from edge.errors import EdgeError
from edge.system.local_broker import LocalBroker, local_broker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from edge.delivery.listen import Received

START_S = 120.0
FILM_S = 60.0


@contextlib.contextmanager
def appliance(folder: Path, broker: LocalBroker) -> Iterator[Path]:
    """A running daemon on an empty drop folder, which is given."""
    drop = folder / "drop"
    drop.mkdir()
    config = folder / "sharpedge.toml"
    config.write_text(
        "[site]\nname = 'bench'\n"
        f"[folders]\nwatch = '{drop}'\nstate = '{folder / 'state'}'\n"
        f"[broker]\nport = {broker.port}\nprotocol = '{protocol_of(broker)}'\n"
        "[delivery]\nmode = 'puback'\n",
        "utf-8",
    )
    command = [sys.executable, "-m", "sharpedge.cli", "run", "--config", str(config)]
    with (folder / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield drop
        finally:
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def time_delivery(
    films: Sequence[Path],
    rounds: int,
    folder: Path,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Any]:
    """Drop films one by one, each made new by a trailing comment, and time their messages.

    The first round warms up and is not counted. Raises `EdgeError` when a result stays out.
    """
    waits_ms: list[float] = []
    with (
        local_broker() as broker,
        Subscriber(broker.port, protocol_of(broker)) as subscriber,
        appliance(folder, broker) as drop,
    ):
        online = subscriber.wait_for(serves, START_S)
        if online is None:
            raise EdgeError(_with_log(f"the daemon did not come online in {START_S:.0f} s", folder))
        for number in range((rounds + 1) * len(films)):
            film = films[number % len(films)]
            data = _renewed(film.read_bytes(), number)
            digest = hashlib.sha256(data).hexdigest()
            target = drop / f"B{number:04d}-{film.stem.rsplit('-', 1)[1]}.jpg"
            staged = folder / "staged.jpg"
            staged.write_bytes(data)
            closed_unix_s = _copy_and_close(staged, target)
            message = subscriber.wait_for(_result_of(digest), FILM_S)
            if message is None:
                raise EdgeError(_with_log(f"no result for {film.name} in {FILM_S:.0f} s", folder))
            progress(number + 1, (rounds + 1) * len(films))
            if number >= len(films):
                waits_ms.append((message.received_unix_s - closed_unix_s) * 1000)
        return {"broker": broker.name, "closed_to_received": summary(waits_ms)}


def _with_log(message: str, folder: Path) -> str:
    """A fault with the daemon's last line: the folder is gone when it is read."""
    lines = (folder / "daemon.log").read_text("utf-8", "replace").splitlines()
    return f"{message}; the daemon's last line: {lines[-1] if lines else 'none'}"


def _result_of(digest: str) -> Callable[[Received], bool]:
    def wanted(message: Received) -> bool:
        body = message.message
        return isinstance(body, ResultMessage) and body.film_sha256 == digest

    return wanted


def _renewed(jpeg: bytes, number: int) -> bytes:
    """The same picture under other bytes: a comment segment after the start marker."""
    text = f"bench {number}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]


def _copy_and_close(source: Path, target: Path) -> float:
    shutil.copyfile(source, target)
    return time.time()
