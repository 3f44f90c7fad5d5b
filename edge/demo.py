"""The main job on one machine: simulated scanner, drop folder, daemon, broker, subscriber.

Nothing here serves a clinic. The films are simulated, and their scores mean nothing about patients.
"""

from __future__ import annotations

import hashlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import Self

from edge.delivery.contract import RejectMessage, ResultMessage, StateMessage, StudyMessage
from edge.delivery.listen import Received, listen
from edge.delivery.settings import BrokerSettings
from edge.local_broker import LocalBroker, local_broker
from edge.model import DISCLAIMER, PARTIAL_SVH_NAME
from edge.phantom.command import write_patients

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.model import LimbResult, Subtotal

    Say = Callable[[str], None]

SEED = 7
START_S = 60.0
FILM_S = 30.0
BAD_NAME = "P0002-LH.jpg"


class Subscriber:
    """What a clinic's dashboard would receive, in order of arrival."""

    def __init__(self, port: int) -> None:
        self.messages: queue.Queue[Received] = queue.Queue()
        self.protocol = ""
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(port,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)

    def _connected(self, protocol: str) -> None:
        self.protocol = protocol
        self._ready.set()

    def _run(self, port: int) -> None:
        for message in listen(
            BrokerSettings(port=port),
            client_id="sharpedge-demo-dashboard",
            receiver="demo-dashboard",
            stopped=self._stop.is_set,
            on_connected=self._connected,
        ):
            self.messages.put(message)

    def wait_for(self, wanted: Callable[[Received], bool], limit_s: float) -> Received | None:
        """The next message that is wanted, or ``None`` after ``limit_s``."""
        end = time.monotonic() + limit_s
        while (left := end - time.monotonic()) > 0:
            try:
                message = self.messages.get(timeout=left)
            except queue.Empty:
                return None
            if wanted(message):
                return message
        return None


def run_demo(out_dir: Path, say: Say) -> int:
    """Run the demo; 0 when every film came back as it should and the daemon stopped cleanly."""
    films = out_dir / "films"
    drop = out_dir / "drop"
    for folder in (films, drop, out_dir / "state"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    say(f"sharpedge demo: {DISCLAIMER}. Simulated films, no patient.")
    write_patients(films, 1, SEED, "jpeg", "real")
    with local_broker() as broker, tempfile.TemporaryDirectory(prefix="sharpedge-demo-") as home:
        return _with_broker(broker, films, drop, out_dir, Path(home), say)


def _with_broker(
    broker: LocalBroker, films: Path, drop: Path, out_dir: Path, home: Path, say: Say
) -> int:
    say(f"broker: {broker.name} on port {broker.port} of this machine")
    if not broker.speaks_mqtt5:
        say("Mosquitto was not found: this broker speaks MQTT 3.1.1 only, so this shows the")
        say("appliance's fallback (receipts on a topic, no message expiry).")
    config = out_dir / "sharpedge.toml"
    config.write_text(
        "[site]\nname = 'demo'\nroom = 'xray-1'\ndevice = 'box-1'\n"
        f"[folders]\nwatch = '{drop.absolute()}'\nstate = '{(out_dir / 'state').absolute()}'\n"
        f"[broker]\nport = {broker.port}\n[delivery]\nmode = 'receipt'\n",
        "utf-8",
    )
    log = out_dir / "daemon.log"
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if not os.environ.get("HOME"):
        environment["HOME"] = str(home)
    with Subscriber(broker.port) as subscriber, log.open("wb") as log_file:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "edge.cli", "run", "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=log_file,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        try:
            passed = _scenes(subscriber, films, drop, out_dir, say)
        finally:
            daemon.send_signal(signal.SIGTERM)
            try:
                status = daemon.wait(15)
            except subprocess.TimeoutExpired:
                daemon.kill()
                status = daemon.wait()
        last = subscriber.wait_for(lambda m: state_of(m) == "offline", 5)
    say(f"daemon stopped with status {status}" + (", said offline" if last else ""))
    say(f"log: {log}")
    say(f"{DISCLAIMER}: these are figures of simulated films")
    return 0 if passed and status == 0 else 1


def state_of(message: Received) -> str | None:
    """The state that a message announces, or ``None`` for any other message."""
    return str(message.message.state) if isinstance(message.message, StateMessage) else None


def _scenes(subscriber: Subscriber, films: Path, drop: Path, out_dir: Path, say: Say) -> bool:
    online = subscriber.wait_for(lambda m: state_of(m) in ("online", "degraded"), START_S)
    if online is None:
        say(f"the daemon did not come online within {START_S:.0f} s: see {out_dir / 'daemon.log'}")
        return False
    say(f"state: {state_of(online)}, MQTT {subscriber.protocol}\n")
    dropped = sorted(films.glob("*.jpg"))
    bad = films / BAD_NAME
    whole = dropped[0].read_bytes()
    bad.write_bytes(whole[: len(whole) * 2 // 3])
    arrived = 0
    study: StudyMessage | None = None
    for film in [*dropped, bad]:
        digest = hashlib.sha256(film.read_bytes()).hexdigest()
        say(f"the scanner writes {film.name}")
        shutil.copyfile(film, drop / film.name)
        image: Received | None = None
        result: ResultMessage | RejectMessage | None = None
        end = time.monotonic() + FILM_S
        received_unix_s = 0.0
        while time.monotonic() < end and (
            result is None or (isinstance(result, ResultMessage) and image is None)
        ):
            message = subscriber.wait_for(lambda _m: True, end - time.monotonic())
            if message is None:
                break
            body = message.message
            if isinstance(body, ResultMessage | RejectMessage) and body.film_sha256 == digest:
                result, received_unix_s = body, message.received_unix_s
            elif isinstance(body, StudyMessage):
                study = body
            elif message.kind == "image":
                image = message
        if result is None:
            say(f"  no message within {FILM_S:.0f} s\n")
            continue
        arrived += _show(result, received_unix_s, image, film, out_dir, say)
    late = subscriber.wait_for(lambda m: isinstance(m.message, StudyMessage), 1)
    if late is not None and isinstance(late.message, StudyMessage):
        study = late.message
    if study is not None:
        _show_study(study, say)
    return arrived == len(dropped) + 1


def _show(
    result: ResultMessage | RejectMessage,
    received_unix_s: float,
    image: Received | None,
    film: Path,
    out_dir: Path,
    say: Say,
) -> bool:
    if isinstance(result, RejectMessage):
        say(f"  {result.status}: {result.reason}; {result.advice}")
    else:
        _show_joints(result, say)
    ledger = result.ledger
    stages = ", ".join(f"{name} {ms:.0f}" for name, ms in ledger.stage_ms.items())
    say(f"  file closed to message received: {(received_unix_s - ledger.closed) * 1000:.0f} ms")
    if stages:
        say(f"    of which ({stages}) ms")
    if image is not None:
        picture = out_dir / f"{film.stem}-labelled.jpg"
        picture.write_bytes(image.payload)
        say(f"  labelled image: {picture}")
    say("")
    return isinstance(result, RejectMessage) == (film.name == BAD_NAME)


def _show_joints(result: LimbResult, say: Say) -> None:
    side = {"L": "left", "R": "right"}.get(str(result.laterality), "?")
    say(f"  {side} {result.limb}   joint  erosion  narrowing")
    for joint in result.joints:
        name = joint.name or f"{joint.name_candidate}?"
        notes = ", ".join(part for part in (joint.erosion_reason, *joint.flags) if part is not None)
        say(f"             {name:<6}{_cell(joint.erosion):>7}{_cell(joint.narrowing):>10}  {notes}")
    if result.subtotals is not None:
        say(f"  erosion {_sum(result.subtotals.erosion)}")
        say(f"  narrowing {_sum(result.subtotals.narrowing)}")


def _show_study(study: StudyMessage, say: Say) -> None:
    say(f"the patient's study, {study.status}")
    say(f"  hands: erosion {_sum(study.hands.erosion)}, narrowing {_sum(study.hands.narrowing)}")
    say(f"  feet: erosion {_sum(study.feet.erosion)}, narrowing {_sum(study.feet.narrowing)}")
    say(f"  {PARTIAL_SVH_NAME}: {_sum(study.partial_svh)}")


def _sum(subtotal: Subtotal) -> str:
    return (
        f"{_cell(subtotal.score)} of {subtotal.maximum} "
        f"({subtotal.n_scored} of {subtotal.n_expected} scored)"
    )


def _cell(grade: int | None) -> str:
    return "-" if grade is None else str(grade)
