"""Worker processes that score films side by side; one that ends costs no film.

Layer: sharpedge; starts workers, reads films, waits for sockets.
"""

from __future__ import annotations

import hashlib
import os
import select
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edge.config import Config
from edge.errors import EdgeError, FilmError, Reason, rejected
from edge.model import Outcome
from edge.scoring.score_files import read_film
from edge.system.processor import usable_cores
from edge.worker.handle import Worker
from edge.worker.messages import Died, Failed, Limits, Ready, Task
from sharpedge.archive.films import Scored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.model import Versions
    from sharpedge.archive.manifest import Pending

_FACTORY = "sharpedge.archive.scorer:without_pictures"
_AHEAD = 2
"""Films that a worker is handed: it reads the second while it scores the first."""
_TRIES = 2
"""A film over which so many workers ended is rejected."""
_TRIES_OUTSIDE = 4
"""The same, where they were ended from outside, as by the kernel for want of memory."""
_STARTS = 3
_LIMITS = Limits(start_s=300.0, stage_s=60.0, film_s=120.0)
_LONGEST_WAIT_S = 0.5


@dataclass(frozen=True)
class CrewSettings:
    """How films are scored.

    ``memory_mib`` is what one film may take beyond its worker's engines.
    """

    workers: int = 1
    engines: Path | None = None
    memory_mib: int = 1200
    accept_side_from_geometry: bool = False
    factory: str = _FACTORY
    limits: Limits = _LIMITS

    def config(self) -> Config:
        """Configuration that the workers are handed."""
        return Config.model_validate(
            {
                "folders": {"watch": Path.cwd()},
                "pipeline": {"accept_side_from_geometry": self.accept_side_from_geometry},
                # A worker has no device key, which it would warn of.
                "logs": {"level": "error"},
                "worker": {
                    "factory": self.factory,
                    "engines": self.engines,
                    "threads": max(1, usable_cores() // self.workers),
                    "memory_mib": self.memory_mib,
                },
            }
        )


class CrewError(EdgeError):
    """No worker can score; the message gives the cause and the fix."""


@dataclass(eq=False)
class _Seat:
    """One worker with the films that it was handed."""

    worker: Worker
    films: deque[tuple[Pending, str, float]] = field(default_factory=deque)
    failed_starts: int = 0


class Crew:
    """Scores films with one worker process or several.

    Parameters
    ----------
    tried
        Counts a worker that ended over a film, by its number; returns how many did.
    began
        Called with the engine set of each worker that is ready; what it raises ends the run.
    seats
        Worker processes of this crew, where others on the machine belong to the same run; by
        default all of ``settings.workers``.
    """

    def __init__(
        self,
        settings: CrewSettings,
        tried: Callable[[int], int],
        began: Callable[[str], None],
        seats: int | None = None,
    ) -> None:
        config = settings.config()
        count = settings.workers if seats is None else seats
        self._seats = [_Seat(Worker(config, settings.limits)) for _ in range(count)]
        self._tried = tried
        self._began = began
        self._versions: Versions | None = None
        self._again: deque[Pending] = deque()

    def close(self) -> None:
        """End the workers."""
        for seat in self._seats:
            seat.worker.kill()

    def score(self, films: Iterator[Pending]) -> Iterator[tuple[int, Scored]]:
        """Give the number and outcome of every film. Raises `CrewError` and `OSError`."""
        if not self._seats[0].worker.is_started:
            self._seats[0].worker.start()
        left = True
        while True:
            for seat in self._seats:
                while left and seat.worker.ready and len(seat.films) < _AHEAD:
                    film = self._again.popleft() if self._again else next(films, None)
                    if film is None:
                        left = False
                        break
                    fault = self._hand_over(seat, film)
                    if fault is not None:
                        yield film.number, fault
            if not left and not any(seat.films for seat in self._seats):
                return
            self._wait()
            for seat in self._seats:
                yield from self._read(seat)
            left = left or bool(self._again)

    def _hand_over(self, seat: _Seat, film: Pending) -> Scored | None:
        """Read a film and hand it to a worker; what it became where that cannot be."""
        began_s = time.monotonic()
        name = _name_of(film)
        assert self._versions is not None  # noqa: S101 - a worker is ready
        try:
            data = read_film(Path(os.fsdecode(film.path)))
        except FilmError as error:
            return Scored(limbs=(rejected(error.reason, name, self._versions),))
        except OSError as error:
            return Scored(fault=f"cannot be read ({error.strerror})")
        seat.films.append((film, hashlib.sha256(data).hexdigest(), began_s))
        seat.worker.score(data, Task(name=name))
        return None

    def _wait(self) -> None:
        poll, until_s = select.poll(), time.monotonic() + _LONGEST_WAIT_S
        for seat in self._seats:
            if (watched := seat.worker.waits_on) is not None:
                poll.register(*watched)
            if (deadline_s := seat.worker.deadline_s()) is not None:
                until_s = min(until_s, deadline_s)
        poll.poll(max(0.0, until_s - time.monotonic()) * 1e3)

    def _read(self, seat: _Seat) -> Iterator[tuple[int, Scored]]:
        while (message := seat.worker.read()) is not None:
            if isinstance(message, Ready):
                self._note_ready(seat, message)
            elif isinstance(message, Failed):
                raise CrewError(message.message)
            elif isinstance(message, Died):
                yield from self._note_death(seat, message)
            elif isinstance(message, Outcome):
                film, sha256, began_s = seat.films.popleft()
                took_ms = round((time.monotonic() - began_s) * 1e3, 1)
                yield (
                    film.number,
                    Scored(
                        sha256=sha256,
                        limbs=message.limbs,
                        study=message.study_key,
                        machine_ms=took_ms,
                    ),
                )

    def _note_ready(self, seat: _Seat, ready: Ready) -> None:
        if ready.unfit:
            raise CrewError(f"no film may be scored: {ready.unfit} (fix: sharpedge export)")
        self._began(ready.engine_set)
        self._versions = ready.versions
        seat.failed_starts = 0
        # Loading engines takes all cores: one after the other is ready sooner.
        other = next((it for it in self._seats if not it.worker.is_started), None)
        if other is not None:
            other.worker.start()

    def _note_death(self, seat: _Seat, died: Died) -> Iterator[tuple[int, Scored]]:
        """Count the death against the film in hand, and start another worker."""
        films, seat.films = [film for film, _, _ in seat.films], deque()
        if not died.ready:
            seat.failed_starts += 1
            if seat.failed_starts >= _STARTS:
                raise CrewError(f"no worker can be started: {died.detail}; fix: sharpedge doctor")
        if died.bad_engine or died.device_lost:
            raise CrewError(f"{died.detail} (fix: sharpedge export)")
        if films:
            first, *others = films
            tries = self._tried(first.number)
            if tries < (_TRIES_OUTSIDE if died.outside else _TRIES):
                others = [first, *others]
            else:
                yield first.number, self._given_up(first, died)
            self._again.extendleft(reversed(others))
        seat.worker.start()

    def _given_up(self, film: Pending, died: Died) -> Scored:
        assert self._versions is not None  # noqa: S101 - it had been ready
        name = _name_of(film)
        reason = Reason.WORKER_TIMEOUT if died.timeout else Reason.WORKER_DIED
        return Scored(limbs=(rejected(reason, name, self._versions, detail=died.detail),))


def _name_of(film: Pending) -> str:
    """The film's own name; names need not be UTF-8 on disk, those of results must be."""
    return os.fsencode(Path(os.fsdecode(film.path)).name).decode("utf-8", "replace")
