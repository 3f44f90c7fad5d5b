"""Factories of workers that break the rules of their socket; the film's bytes say how."""

from __future__ import annotations

import os
import signal
import struct
import sys
import time

from stand_in import StandIn, film_bytes

from edge.errors import OutputError
from edge.model import Outcome
from edge.worker.factory import Made
from edge.worker.second_opinion import Rechecker

SHA256 = "c" * 64


def _write(data):
    os.write(int(sys.argv[1]), data)


class Misbehaving(StandIn):
    """Writes raw bytes to the daemon in the middle of a film."""

    def score(self, data, file_name, operator=None, on_stage=None):
        if b"half-length" in data:
            _write(b"\0\0")
            time.sleep(3600)
        if b"half-frame" in data:
            _write(struct.pack(">I", 5000) + b"outcome\n{")
            time.sleep(3600)
        if b"missing-picture" in data:
            film = StandIn().score(data, file_name)
            body = (
                b'outcome\n{"limbs": ['
                + film.limbs[0].result.model_dump_json().encode()
                + b'], "stage_ms": {}, "study_key": null, "patient_key": null,'
                b' "burned_in_annotation": false, "at_s": 1, "pictured": [true]}'
            )
            _write(struct.pack(">I", len(body)) + body)
            time.sleep(3600)
        if b"huge-frame" in data:
            _write(struct.pack(">I", 0xFFFFFFFF))
            time.sleep(3600)
        if b"nonsense" in data:
            _write(struct.pack(">I", 8) + b"nonsense")
            time.sleep(3600)
        if b"wrong-field" in data:
            body = b'outcome\n{"limbs": "MUSTERMANN"}'
            _write(struct.pack(">I", len(body)) + body)
            time.sleep(3600)
        if b"endless-stages" in data:
            while True:
                on_stage("decode")
        if b"unasked" in data:
            _answer(data, file_name)
            time.sleep(3600)
        return super().score(data, file_name, operator, on_stage)


def _answer(data, file_name):
    """Send what answers another question than the one that was asked."""
    limb = StandIn().score(film_bytes(""), file_name).limbs[0].result
    outcome = Outcome(
        limbs=(limb,), stage_ms={}, study_key=None, patient_key=None,
        burned_in_annotation=False, at_s=1,
    )  # fmt: skip
    twice = [b"outcome\n" + outcome.model_dump_json().encode()] * 2
    messages = {
        b"second-unasked": [b"second\n{}"],
        b"ready-unasked": [b'ready\n{"versions": {"software": "x"}, "engine_set": "e"}'],
        b"outcome-unasked": twice,
    }
    for word, frames in messages.items():
        if word in data:
            _write(b"".join(struct.pack(">I", len(frame)) + frame for frame in frames))


def build(_config):
    return Made(Misbehaving(), "e" * 64)


def build_that_fails_to_load(config):
    """End by a fault of its own when it is made for the second and third time."""
    counter = config.folders.state / "starts"
    starts = int(counter.read_text()) + 1 if counter.exists() else 1
    counter.write_text(str(starts))
    if starts in {2, 3}:
        os.kill(os.getpid(), signal.SIGSEGV)
    return Made(StandIn(), "e" * 64)


class Slow(StandIn):
    """A second scorer that never ends."""

    def score(self, *_film):
        time.sleep(3600)


def build_slow_second(config):
    wanted = config.worker.recheck_every or config.worker.shadow
    return Made(StandIn(), "e" * 64, rechecker=Rechecker(Slow(), 1) if wanted else None)


class Killed(StandIn):
    """Is ended from outside on its first tries; a file counts them."""

    def __init__(self, counter, times):
        self._counter, self._times = counter, times

    def score(self, data, file_name, operator=None, on_stage=None):
        if b"victim" in data:
            tries = int(self._counter.read_text()) if self._counter.exists() else 0
            self._counter.write_text(str(tries + 1))
            if tries < self._times:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().score(data, file_name, operator, on_stage)


def build_killed_three_times(config):
    return Made(Killed(config.folders.state / "tries", 3), "e" * 64)


def build_always_killed(config):
    return Made(Killed(config.folders.state / "tries", 99), "e" * 64)


class Unusable(StandIn):
    """An engine whose outputs cannot be used, for films that say so."""

    def score(self, data, file_name, operator=None, on_stage=None):
        if b"unusable" in data:
            raise OutputError(
                "hand-score: output erosion is not finite in 60 of 60 numbers",
                engine="hand-score", fix="sharpedge export", sha256=SHA256,
            )  # fmt: skip
        return super().score(data, file_name, operator, on_stage)


def build_with_another_engine(config):
    """Serve from the next back end where the first is refused."""
    if SHA256 in config.worker.refuse:
        return Made(StandIn(), "f" * 64, degraded=("hand-score: its outputs could not be used",))
    return Made(Unusable(), "e" * 64)


def build_without_another_engine(config):
    """Have nothing else, and say so."""
    unfit = "hand-score: no other engine" if SHA256 in config.worker.refuse else ""
    return Made(Unusable(), "e" * 64, unfit=unfit)


def build_deaf(_config):
    """Not know what it is asked to leave out."""
    return Made(Unusable(), "e" * 64)


def build_unusable_second(_config):
    return Made(StandIn(), "e" * 64, rechecker=Rechecker(Unusable(), 1))


def build_unfit_second(config):
    """Fail the self-test at every start but the first."""
    flag = config.state_folder / "started"
    unfit = "golden film: MCP2 differs" if flag.exists() else ""
    flag.touch()
    return Made(StandIn(), "e" * 64, unfit=unfit)
