"""The demo: simulated scanner, drop folder, daemon, broker and subscriber on one machine.

Nothing here serves a clinic. The films are simulated, and their scores mean nothing about patients.

Layer: sharpedge; starts a broker and a daemon on this machine, writes one folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edge.contract.payloads import RejectMessage, ResultMessage, StudyMessage
from edge.delivery.settings import protocol_of
from edge.delivery.subscriber import Subscriber, serves, state_of
from edge.errors import NullReason
from edge.model import DISCLAIMER, PARTIAL_SVH_NAME, Status
from edge.scoring.score_files import grade_word, limb_rows, limb_words, subtotal_words
from edge.system.local_broker import BrokerChoice, LocalBroker, local_broker
from phantom.command import write_patients

if TYPE_CHECKING:
    from collections.abc import Callable

    Say = Callable[[str], None]

SEED = 7
START_S = 60.0
FILM_S = 30.0
BAD_NAME = "P0002-LH.jpg"


def run_demo(out_dir: Path, say: Say, broker: BrokerChoice = "auto") -> int:
    """Run the demo; 0 when every film came back as it should and the daemon stopped cleanly.

    ``out_dir`` gets the films, the labelled pictures and the daemon's log; what an earlier demo
    left there is replaced. Raises `edge.errors.EdgeError` where no broker can be started.
    """
    films = out_dir / "films"
    drop = out_dir / "drop"
    for folder in (films, drop, out_dir / "state"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    for old in out_dir.glob("*-labelled.jpg"):
        old.unlink()
    say(f"sharpedge demo: {DISCLAIMER}. Simulated films, no patient.")
    write_patients(films, 1, SEED)
    with (
        local_broker(broker) as running,
        tempfile.TemporaryDirectory(prefix="sharpedge-demo-") as home,
    ):
        return _with_broker(running, films, drop, out_dir, Path(home), say)


def _with_broker(
    broker: LocalBroker, films: Path, drop: Path, out_dir: Path, home: Path, say: Say
) -> int:
    say(f"broker: {broker.name} on port {broker.port} of this machine")
    if not broker.speaks_mqtt5:
        say("amqtt stands in for Mosquitto and speaks MQTT 3.1.1 only: this shows the appliance's")
        say("fallback (no message expiry, no content type).")
    config = out_dir / "sharpedge.toml"
    config.write_text(
        "[site]\nname = 'demo'\nroom = 'xray-1'\ndevice = 'box-1'\n"
        f"[folders]\nwatch = '{drop.absolute()}'\nstate = '{(out_dir / 'state').absolute()}'\n"
        # Nobody wants to watch a demo wait for the rest of the film that is cut.
        "incomplete_s = 1\n"
        f"[broker]\nport = {broker.port}\nprotocol = '{protocol_of(broker)}'\n"
        "[delivery]\nmode = 'receipt'\n",
        "utf-8",
    )
    log = out_dir / "daemon.log"
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if not os.environ.get("HOME"):
        environment["HOME"] = str(home)
    with Subscriber(broker.port, protocol_of(broker)) as subscriber, log.open("wb") as log_file:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "sharpedge.cli", "run", "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=log_file,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        try:
            alive = partial(_runs, daemon)
            passed = _scenes(subscriber, films, drop, out_dir, alive, say)
        finally:
            daemon.send_signal(signal.SIGTERM)
            try:
                status = daemon.wait(15)
            except subprocess.TimeoutExpired:
                daemon.kill()
                status = daemon.wait()
        last = subscriber.wait_for(lambda m: state_of(m) == "offline", 5)
    say(f"daemon stopped with status {status}" + (", said offline" if last else ""))
    if status != 0:
        say("".join(f"  {line}\n" for line in _errors(log)).rstrip())
    say(f"log: {log}")
    say(f"{DISCLAIMER}: these are figures of simulated films")
    return 0 if passed and status == 0 else 1


def _runs(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None


def _errors(log: Path) -> list[str]:
    """What the daemon complained of, each line once."""
    lines = log.read_text("utf-8", "replace").splitlines()
    # Without the time, with which none is like another.
    told = (line.partition(" ")[2] for line in lines)
    return list(dict.fromkeys(it for it in told if it.startswith(("ERROR", "CRITICAL"))))


@dataclass(frozen=True)
class _Answer:
    """What came back for one film; ``result`` is None where nothing did in time."""

    result: ResultMessage | RejectMessage | None
    received_unix_s: float
    image: bytes | None
    study: StudyMessage | None


def _scenes(
    subscriber: Subscriber,
    films: Path,
    drop: Path,
    out_dir: Path,
    alive: Callable[[], bool],
    say: Say,
) -> bool:
    online = subscriber.wait_for(serves, START_S, alive)
    if online is None:
        say("the daemon did not come online")
        return False
    say(f"state: {state_of(online)}, MQTT {subscriber.protocol}\n")
    dropped = sorted(films.glob("*.jpg"))
    bad = films / BAD_NAME
    whole = dropped[0].read_bytes()
    bad.write_bytes(whole[: len(whole) * 2 // 3])
    answers: list[_Answer] = []
    pictures: list[Path] = []
    for film in [*dropped, bad]:
        say(f"the scanner writes {film.name}")
        shutil.copyfile(film, drop / film.name)
        answer = _await(subscriber, hashlib.sha256(film.read_bytes()).hexdigest(), alive)
        if not alive():
            say("the daemon has ended by itself")
            return False
        answers.append(answer)
        _show(answer, say)
        if answer.image is not None:
            pictures.append(out_dir / f"{film.stem}-labelled.jpg")
            pictures[-1].write_bytes(answer.image)
    late = subscriber.wait_for(lambda m: isinstance(m.message, StudyMessage), 1)
    studies = [answer.study for answer in answers if answer.study is not None]
    if late is not None and isinstance(late.message, StudyMessage):
        studies.append(late.message)
    if studies:
        _show_study(studies[-1], say)
    say("labelled images:" + "".join(f"\n  {picture}" for picture in pictures))
    return _as_promised(answers, say)


def _as_promised(answers: list[_Answer], say: Say) -> bool:
    """Whether the whole films were scored and the broken one, the last, was rejected."""
    results = [answer.result for answer in answers]
    graded = [
        joint.erosion is not None
        for result in results
        if isinstance(result, ResultMessage)
        for joint in result.joints
    ]
    if any(
        joint.erosion_reason == NullReason.NO_SCORER
        for result in results
        if result is not None
        for joint in result.joints
    ):
        say("no grades: the scorers are not installed (fix: sharpedge export)")
    return (
        all(isinstance(result, ResultMessage) for result in results[:-1])
        and isinstance(results[-1], RejectMessage)
        and any(graded)
    )


def _await(subscriber: Subscriber, film_sha256: str, alive: Callable[[], bool]) -> _Answer:
    """Collect the messages of one film: its result and its picture, or its reject."""
    result: ResultMessage | RejectMessage | None = None
    study: StudyMessage | None = None
    images: dict[str | None, bytes] = {}
    received_unix_s = 0.0
    end = time.monotonic() + FILM_S
    # A film on which nothing was found has no picture.
    while result is None or (result.joints and result.id not in images):
        message = subscriber.wait_for(lambda _m: True, end - time.monotonic(), alive)
        if message is None:
            break
        body = message.message
        if isinstance(body, ResultMessage | RejectMessage) and body.film_sha256 == film_sha256:
            result, received_unix_s = body, message.received_unix_s
        elif isinstance(body, StudyMessage):
            study = body
        elif message.kind == "image":
            images[message.result_id] = message.payload
    image = images.get(result.id) if result is not None else None
    return _Answer(result, received_unix_s, image, study)


def _show(answer: _Answer, say: Say) -> None:
    result = answer.result
    if result is None:
        say(f"  no message within {FILM_S:.0f} s\n")
        return
    if isinstance(result, RejectMessage):
        say(f"  {result.status}: {result.reason}; {result.advice}")
    else:
        if result.status is Status.NOT_GRADED:
            say(f"  not graded: {result.reason}; {result.advice}")
        say("\n".join(f"  {row}" for row in [limb_words(result), *limb_rows(result)]))
    ledger = result.ledger
    waited_ms = (answer.received_unix_s - ledger.closed) * 1000
    say(f"  file closed to message received: {waited_ms:.0f} ms")
    steps_s = {
        "file complete": ledger.picked_up - ledger.closed,
        "decoded, scored, journaled": ledger.queued - ledger.picked_up,
        "sent and received": answer.received_unix_s - ledger.queued,
    }
    say("    ms: " + ", ".join(f"{name} {spent_s * 1000:.0f}" for name, spent_s in steps_s.items()))
    if ledger.stage_ms:
        stages = ", ".join(f"{name} {ms:.0f}" for name, ms in ledger.stage_ms.items())
        say(f"    stages, ms: {stages}")
    say("")


def _show_study(study: StudyMessage, say: Say) -> None:
    say(f"the patient's study, {study.status}")
    for name, part in (("hands", study.hands), ("feet", study.feet)):
        say(f"  {name}: erosion {subtotal_words(part.erosion)}")
        say(f"  {name}: narrowing {subtotal_words(part.narrowing)}")
    whole = study.partial_svh
    say(
        f"  {PARTIAL_SVH_NAME}: {grade_word(whole.score)} "
        f"({whole.n_scored} of {whole.n_expected} grades)"
    )
