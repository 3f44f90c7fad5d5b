"""The films in work: handed to workers, recorded, tried again after a death.

Layer: daemon, on its thread; writes the journal before the work and hands films to the workers.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from edge.daemon.taking import DEATHS
from edge.errors import Reason
from edge.model import OperatorStatement
from edge.worker.messages import Task

if TYPE_CHECKING:
    from edge.daemon.results import Results
    from edge.daemon.station import Station, Stations
    from edge.daemon.storage import StorageGuard
    from edge.daemon.taking import Taking
    from edge.journal.journal import Journal
    from edge.model import Outcome
    from edge.outputs.film import FilmInWork
    from edge.worker.messages import Died, Pictures, Stage

log = logging.getLogger(__name__)

_KILLS = 4
"""Workers that may be ended from outside while they score a film before it is rejected."""
_IDLE_S = 0.5
"""After this time without a film, one is scored a second time."""


class Films:
    """Gives films to workers and sees each to its end state.

    A film goes to a worker that has none. The only worker is handed the next one while it scores,
    so that it never waits for the daemon; of several one has something to do meanwhile.
    """

    def __init__(
        self,
        journal: Journal,
        taking: Taking,
        results: Results,
        stations: Stations,
        storage: StorageGuard,
    ) -> None:
        self._journal = journal
        self._taking = taking
        self._results = results
        self._stations = stations
        self._storage = storage
        self._handed_over_at_once = 2 if len(stations) == 1 else 1
        self.stopped_taking = False
        """No film is taken: the disk is low, or a dashboard asked for a pause."""

    @property
    def in_work(self) -> bool:
        """Whether any film is being scored."""
        return bool(self._stations.films())

    def work(self, now_s: float) -> None:
        """Do what is next: record, try again, take, score a second time."""
        if now_s < self._storage.paused_until_s or not self._results.settle():
            return
        self._move_from_unfit()
        for station in self._stations:
            if station.worker.ready and not station.worker.second:
                self._work_at(station, now_s)

    def _move_from_unfit(self) -> None:
        """Give films that wait at a worker that may score none to one that may."""
        free = [it for it in self._stations if it.is_fit and it.worker.ready and not it.films]
        for station in self._stations:
            if station.serving.unfit and not station.worker.busy and station.films and free:
                free.pop().films.append(station.films.popleft())

    def _work_at(self, station: Station, now_s: float) -> None:
        worker = station.worker
        if not station.films and station.policy.is_outdated:
            station.policy.replace()
            return
        if station.serving.unfit:
            return
        if worker.films < len(station.films):
            self._storage.run(lambda: self._try(station))
            return
        if len(station.films) < self._handed_over_at_once:
            if self._taking.passes_over:
                self._storage.run(self._taking.pass_over)
            elif not self.stopped_taking:
                self._storage.run(lambda: self._take_next(station))
        if worker.busy:
            station.idle_since_s = now_s
        elif station.second_waits and now_s >= station.idle_since_s + _IDLE_S:
            station.second_waits = False
            worker.score_second()

    def second_scoring_at_s(self, now_s: float) -> float | None:
        """Monotonic time at which a film is scored a second time; None where none is waiting."""
        if now_s < self._storage.paused_until_s:
            return None
        waiting = [
            it.idle_since_s + _IDLE_S
            for it in self._stations
            if it.second_waits and it.worker.ready and not it.worker.busy
        ]
        return min(waiting, default=None)

    def _take_next(self, station: Station) -> None:
        film = self._taking.next_for(station)
        if film is not None:
            station.films.append(film)
            self._hand_over(station, film)

    def _try(self, station: Station) -> None:
        """Hand the worker the next of its films, and count the try before."""
        film = station.films[station.worker.films]
        if self._journal.begin_try(film.job):
            self._hand_over(station, film)
            return
        station.films.remove(film)
        self._results.give_up(film, Reason.WORKER_DIED, station.serving)

    def _hand_over(self, station: Station, film: FilmInWork) -> None:
        word = film.operator or OperatorStatement()
        task = Task(
            name=film.name,
            limb=word.limb,
            laterality=word.laterality,
            public_name=film.public_name,
            sha256=film.film.sha256,
            arrived_unix_s=film.film.closed_unix_s,
        )
        station.worker.score(film.film.data, task)

    # -- messages of the workers --------------------------------------------------------------

    def on_stage(self, station: Station, stage: Stage) -> None:
        """Note when the first film of a worker was decoded."""
        if station.films and station.films[0].decoded_s is None and stage.name != "decode":
            station.films[0] = replace(station.films[0], decoded_s=stage.at_s)

    def on_outcome(self, station: Station, outcome: Outcome) -> None:
        """Record what a worker's first film gave; its pictures follow."""
        station.second_waits, station.idle_since_s = outcome.second_waits, time.monotonic()
        if not station.films:
            return
        film = station.films[0]
        if not film.recorded:
            self._results.outcome(film, outcome, station.serving.engine_set)
        if any(outcome.pictured):
            station.outcome = outcome
            return
        station.films.popleft()
        if film.recorded:
            self._results.give_up_pictures(film.job, "not_drawn")

    def on_pictures(self, station: Station, pictures: Pictures) -> None:
        """Keep the pictures of a worker's first film, which ends the work on it."""
        outcome, station.outcome = station.outcome, None
        station.idle_since_s = time.monotonic()
        if not station.films or outcome is None:
            return
        film = station.films.popleft()
        self._results.pictures(film, outcome, pictures, station.serving.engine_set)

    def after_death(self, station: Station, died: Died, *, forgiven: bool) -> None:
        """Decide whether a worker's films are tried again; ``forgiven``: on other engines."""
        # A worker that only loaded engines says nothing of a film.
        if station.films and died.ready:
            self._storage.run(lambda: self._after_death(station, died, forgiven=forgiven))

    def _after_death(self, station: Station, died: Died, *, forgiven: bool) -> None:
        first, *others = station.films
        if station.outcome is not None:
            # Its outcome is recorded or kept; the worker died while it drew the pictures.
            first = replace(first, recorded=True)
        with self._journal.store.transaction():
            ends = self._charge(station, first, died, forgiven=forgiven)
            for film in others:
                # Their tries were counted, and no worker had begun with them.
                self._journal.give_back(film.job)
        station.outcome = None
        station.films.popleft()
        if ends is None:
            station.films.appendleft(replace(first, decoded_s=None))
        else:
            reason, detail = ends
            self._results.give_up(first, reason, station.serving, detail)

    def _charge(
        self, station: Station, film: FilmInWork, died: Died, *, forgiven: bool
    ) -> tuple[Reason, str] | None:
        """Count a death; the reason and detail with which the film ends, None where it is tried."""
        policy = station.policy
        if died.bad_engine:
            # Not the film's fault: it waits for another engine.
            self._journal.give_back(film.job)
        elif died.device_lost and policy.device_is_down:
            # The film before this one ended in the same way: this one waits for the engines.
            self._journal.give_back(film.job)
            policy.without_engines()
            station.serving.unfit = died.detail
            self._stations.update(station, "engines", died.detail)
        elif died.outside:
            if self._journal.note_kill(film.job, died.detail) >= _KILLS:
                return Reason.WORKER_DIED, died.detail
        elif not forgiven:
            # Another back end is no second try of the same film on the same engines.
            reason = Reason.WORKER_TIMEOUT if died.timeout else Reason.WORKER_DIED
            if self._journal.note_death(film.job, reason) >= DEATHS:
                if died.device_lost:
                    policy.device_is_down = True
                    failed = f"a film was ended because the engines failed: {died.detail}"
                    self._stations.update(station, "engine_failed", failed)
                return reason, ""
        return None

    # -- stopping -----------------------------------------------------------------------------

    def give_back_waiting(self) -> None:
        """Leave films that a worker was handed ahead for the next start."""
        for station in self._stations:
            while len(station.films) > 1:
                self._leave(station.films.pop())

    def may_stop(self, *, at_once: bool) -> bool:
        """Whether nothing is being scored, or it must not be waited for; gives films back."""
        for station in self._stations:
            worker = station.worker
            if station.films and worker.busy and not worker.second and not at_once:
                return False
        for film in self._stations.films():
            self._leave(film)
        for job in self._results.unwritten():
            self._give_back(job)
        return True

    def _leave(self, film: FilmInWork) -> None:
        log.warning("job %d: left for the next start", film.job)
        self._give_back(film.job)

    def _give_back(self, job: int) -> None:
        self._storage.run(lambda: self._journal.give_back(job))
