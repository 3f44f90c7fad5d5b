"""The daemon's handle on a worker process: starts it, sends it films, reads what it answers.

Layer: worker; one child process and one socket. Nothing here blocks: the child parses hostile files
and may stop at any byte. A frame that is malformed, too long or late ends the child.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from pydantic import ValidationError

from edge.model import Outcome
from edge.system.disk import oom_kills
from edge.worker.frames import Channel, FrameError
from edge.worker.messages import (
    Died,
    Failed,
    Kind,
    Lost,
    Pictures,
    Ready,
    SecondOpinion,
    Stage,
    Task,
)

if TYPE_CHECKING:
    from edge.config import Config
    from edge.worker.messages import Limits, Message

_LONGEST_FRAME = 64 << 20
"""Far above a labelled picture of the largest film that is read."""
_FROM_OUTSIDE = frozenset(
    {signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT}
)
"""Signals that a process does not raise by its own fault, as it does SIGSEGV or SIGABRT."""
_GONE_S = 0.5
"""How long a child that closed its socket has to end before it is killed."""


class UnexpectedMessageError(ValueError):
    """A message that does not belong to what the child was asked for."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(f"{kind} was not asked for")


class Worker:
    """One worker process. Not thread-safe.

    Parameters
    ----------
    config
        Handed to the child as a whole.
    limits
        The child is killed when it exceeds one; `read` then gives `Died`.
    """

    def __init__(self, config: Config, limits: Limits) -> None:
        self._config = config
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._begun_s = 0.0
        self._beat_s = 0.0
        self._expected: list[bool] = []
        """Which limbs of the outcome that came last have a picture; empty once they are here."""
        self._pictures: list[bytes | None] = []
        self._oom_kills = 0
        self.ready = False
        self.films = 0
        """Films that it was handed and has not finished."""
        self.second = False
        """Whether it scores a film a second time."""

    @property
    def is_started(self) -> bool:
        """Whether there is a child."""
        return self._process is not None

    @property
    def busy(self) -> bool:
        """Whether it has something to do."""
        return self.second or self.films > 0

    @property
    def waits_on(self) -> tuple[int, int] | None:
        """Descriptor and `select.poll` events to wait for; None while there is no child."""
        if self._channel is None:
            return None
        writes = select.POLLOUT if self._channel.wants_write else 0
        return self._channel.fileno(), select.POLLIN | writes

    def start(self, config: Config | None = None) -> None:
        """Start a child; it answers `Ready` or `Failed` in its time.

        ``config`` is used instead of the worker's own. Raises `OSError` where no process can be
        made.
        """
        self._process, self._channel = start_child("edge.worker.child", _LONGEST_FRAME)
        self._begun_s = self._beat_s = time.monotonic()
        self._oom_kills = oom_kills()
        self._forget()
        self._send((config or self._config).model_dump_json().encode())

    def score(self, data: bytes, task: Task) -> None:
        """Hand over a film; only when `ready`, and not while it scores one a second time.

        The child reads it at once; its limits count from the end of the film before.
        """
        if not self.films:
            self._begin()
        self.films += 1
        self._send(task.model_dump_json().encode(), data)

    def score_second(self) -> None:
        """Have the child score the film that it kept again; only when `ready` and not `busy`."""
        self._begin()
        self.second = True
        self._send(Task(second=True).model_dump_json().encode())

    def _begin(self) -> None:
        self._begun_s = self._beat_s = time.monotonic()

    def _forget(self) -> None:
        self.ready = self.second = False
        self.films = 0
        self._expected = []
        self._pictures = []

    def _send(self, *frames: bytes) -> None:
        assert self._channel is not None  # noqa: S101 - start was called
        try:
            for frame in frames:
                self._channel.send(frame)
        except OSError:
            # The child is gone; `read` finds its end of the socket closed.
            return

    def deadline_s(self) -> float | None:
        """Monotonic time at which the child is killed if nothing more comes from it."""
        if self._channel is None or (self.ready and not self.busy):
            return None
        if not self.ready:
            return self._begun_s + self._limits.start_s
        return min(self._beat_s + self._limits.stage_s, self._begun_s + self._limits.film_s)

    def forgive(self, lost_s: float) -> None:
        """Do not count seconds in which nothing ran: the machine or its processes were stopped."""
        self._begun_s += lost_s
        self._beat_s += lost_s

    def read(self) -> Message | None:
        """Next message of the child, None when there is none; enforces the limits."""
        if self._channel is None:
            return None
        try:
            self._channel.flush()
            while (frame := self._channel.receive()) is not None:
                # Whole frames alone are progress: a message that stops half-way is none.
                self._beat_s = time.monotonic()
                message = self._read_frame(frame)
                if message is not None:
                    # One that never stops talking is late as well; what it has done counts.
                    done = isinstance(message, Outcome | Pictures)
                    late = self.busy and time.monotonic() > self._begun_s + self._limits.film_s
                    return self._late() if late and not done else message
        except (FrameError, ValueError) as error:
            return self._end(f"worker sent what is no message: {_cause(error)}")
        except (OSError, EOFError):
            return self._gone()
        deadline_s = self.deadline_s()
        if deadline_s is not None and time.monotonic() > deadline_s:
            return self._late()
        return None

    def _late(self) -> Died:
        return self._end("worker exceeded its time limit", timeout=True)

    def _read_frame(self, frame: bytes) -> Message | None:
        """Read one frame; None where more belong to the message. Raises `ValueError`."""
        if self._expected:
            self._pictures.append(frame or None)
            return self._whole_pictures()
        kind, _, body = frame.partition(b"\n")
        kind_sent = Kind(kind.decode("ascii", "replace"))
        if kind_sent not in self._awaited():
            raise UnexpectedMessageError(kind_sent)
        if kind_sent is Kind.STAGE:
            return Stage.model_validate_json(body)
        if kind_sent is Kind.READY:
            self.ready = True
            return Ready.model_validate_json(body)
        if kind_sent is Kind.FAILED:
            return Failed.model_validate_json(body)
        if kind_sent is Kind.LOST:
            lost = Lost.model_validate_json(body)
            died = self._end(f"worker ended: {lost.message}")
            return died._replace(device_lost=not lost.sha256, bad_engine=lost.sha256)
        if kind_sent is Kind.SECOND:
            self.second = False
            return SecondOpinion.model_validate_json(body)
        outcome = Outcome.model_validate_json(body)
        if any(outcome.pictured):
            self._expected = list(outcome.pictured)
        else:
            self._finish_film()
        return outcome

    def _awaited(self) -> frozenset[Kind]:
        """Kinds of message that the child may send now."""
        if not self.ready:
            return frozenset({Kind.READY, Kind.FAILED})
        if not self.busy:
            return frozenset()
        answer = Kind.SECOND if self.second else Kind.OUTCOME
        return frozenset({Kind.STAGE, Kind.LOST, answer})

    def _whole_pictures(self) -> Pictures | None:
        if len(self._pictures) < sum(self._expected):
            return None
        given = iter(self._pictures)
        pictures = Pictures(tuple(next(given) if it else None for it in self._expected))
        self._expected, self._pictures = [], []
        self._finish_film()
        return pictures

    def _finish_film(self) -> None:
        self.films -= 1
        # The next one was begun when this one ended.
        self._begin()

    def _end(self, detail: str, *, timeout: bool = False) -> Died:
        """Kill a child that did not keep to the rules."""
        ready, second = self.ready, self.second
        self.kill()
        return Died(timeout=timeout, detail=detail, ready=ready, second=second)

    def _gone(self) -> Died:
        """Find out how a child ended that closed its socket."""
        ready, second, process, before = self.ready, self.second, self._process, self._oom_kills
        code = None
        if process is not None:
            try:
                code = process.wait(_GONE_S)
            except subprocess.TimeoutExpired:
                code = None
        self.kill()
        outside = code is not None and code < 0 and -code in _FROM_OUTSIDE
        detail = f"worker ended with status {code}"
        if code is not None and code < 0:
            detail = f"worker ended by signal {-code}"
        if outside:
            detail += (
                ": the kernel ended it for want of memory"
                if oom_kills() > before
                else ", which neither it nor the appliance sent"
            )
        return Died(timeout=False, detail=detail, ready=ready, second=second, outside=outside)

    def kill(self) -> int | None:
        """End the child at once; returns its exit status."""
        self._forget()
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is None:
            return None
        self._process.kill()
        code = self._process.wait()
        self._process = None
        return code


def _cause(error: Exception) -> str:
    """Where a message is malformed, without its values: they may name a patient."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        return f"{error.title}: {place}: {first['msg']}"
    if isinstance(error, (FrameError, UnexpectedMessageError)):
        return str(error)
    return "unknown kind of message"


def start_child(module: str, longest_frame: int) -> tuple[subprocess.Popen[bytes], Channel]:
    """Start a child that serves a module's end of a socket. Raises `OSError`."""
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                env=_child_environment(),
            )
    except BaseException:
        ours.close()
        raise
    return process, Channel(ours, longest_frame)


def _child_environment() -> dict[str, str]:
    """Environment of the child: ours without what is only for systemd's main process."""
    kept = {k: v for k, v in os.environ.items() if k not in {"NOTIFY_SOCKET", "WATCHDOG_USEC"}}
    # The child finds the modules that we found, also those of the working folder.
    return {**kept, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
