"""Which film is worked on next: one for its pictures, one that a person ordered, one of the folder.

Layer: daemon, on its thread; writes the journal before the work, reads copies and the intake.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING

from edge.contract.payloads import ClosedSource
from edge.errors import Reason
from edge.intake.film import Film
from edge.journal.copies import kept_film
from edge.journal.first_start import FirstStart
from edge.outputs.film import FilmInWork

if TYPE_CHECKING:
    from edge.config import Config
    from edge.daemon.alerts import Alerts
    from edge.daemon.results import Results
    from edge.daemon.station import Station, Stations
    from edge.intake.intakes import Intakes
    from edge.journal.journal import Journal
    from edge.journal.places import Places
    from edge.journal.records import Order
    from edge.outputs.record import Recorder

log = logging.getLogger(__name__)

DEATHS = 2
"""Workers that a film may end before it is rejected."""
_AHEAD_BYTES = 32 << 20
"""Longest film that a worker is handed while it scores another."""


class Taking:
    """Takes films one after the other and enters each in the journal.

    ``passes_over`` says that what lies in the folder at the first start is not scored.
    """

    def __init__(
        self,
        config: Config,
        *,
        places: Places,
        journal: Journal,
        recorder: Recorder,
        results: Results,
        intake: Intakes,
        stations: Stations,
        alerts: Alerts,
        passes_over: bool,
    ) -> None:
        self._config = config
        self._places = places
        self._journal = journal
        self._recorder = recorder
        self._results = results
        self._intake = intake
        self._stations = stations
        self._alerts = alerts
        self.passes_over = passes_over
        self._pending: Film | None = None
        self._undrawn = deque(journal.undrawn())
        """Films whose pictures an earlier run did not finish."""

    def pass_over(self) -> None:
        """Record what lies in the folder at the first start, before any film is taken."""
        files = self._intake.passed_over()
        if files is None:
            return
        FirstStart(self._journal.store).pass_over(files)
        self.passes_over = False
        log.info("first start: %d files in the folder are not scored", len(files))

    def next_for(self, station: Station) -> FilmInWork | None:
        """Next film for a worker, entered and its try counted; None where none is to be scored.

        A worker that scores one is only given a film of the folder.
        """
        if not station.films:
            if self._undrawn:
                film = self._redrawn(station, self._undrawn[0])
                self._undrawn.popleft()
                return film
            order = self._journal.next_order([film.job for film in self._stations.films()])
            if order is not None and not self._is_in_work(order.path, order.sha256):
                return self._ordered(station, order)
        if self._pending is None:
            self._pending = self._intake.fetch()
        found = self._pending
        if found is None or self._is_in_work(found.path, found.sha256):
            return None
        if station.films and len(found.data) > _AHEAD_BYTES:
            return None
        return self._claimed(station, found)

    def _is_in_work(self, path: bytes, sha256: str) -> bool:
        """Whether a worker has this file, or these bytes: what follows depends on its outcome."""
        films = (it.film for it in self._stations.films())
        return any(path == film.path or sha256 == film.sha256 for film in films)

    def _redrawn(self, station: Station, order: Order) -> FilmInWork | None:
        """A film that is scored once more for its pictures, which a crash has cost."""
        if self._recorder.adopt_pictures(order.job):
            return None
        data = self.bytes_of(order)
        if data is None:
            self._results.give_up_pictures(order.job, "no_copy_left")
            return None
        log.info("job %d: scored again for its pictures", order.job)
        film = _film_of(order, data, time.monotonic())
        return self._tried(
            FilmInWork(film, order.job, None, operator=order.operator, recorded=True),
            order.deaths,
            station,
        )

    def _ordered(self, station: Station, order: Order) -> FilmInWork | None:
        """A film that a person released or had worked on again."""
        picked_up_s = time.monotonic()
        data = self.bytes_of(order)
        if data is None:
            self._journal.set_aside(order.job, "no_copy_left")
            gone = f"job {order.job}: neither a copy nor the file is left"
            log.error("%s: set aside", gone)
            self._alerts.update("film_vanished", gone)
            return None
        log.info("job %d: claimed by order", order.job)
        film = FilmInWork(
            _film_of(order, data, picked_up_s),
            order.job,
            order.supersedes_job,
            operator=order.operator,
        )
        return self._tried(film, order.deaths, station)

    def _tried(self, film: FilmInWork, deaths: int, station: Station) -> FilmInWork | None:
        if deaths < DEATHS and self._journal.begin_try(film.job):
            return film
        self._results.give_up(film, Reason.WORKER_DIED, station.serving)
        return None

    def bytes_of(self, order: Order) -> bytes | None:
        """Bytes of a film that was worked on before, from a copy or its file; None without any."""
        return kept_film(
            (self._places.quarantine, self._places.archive),
            self._places.folder_of(order.path, self._config.folders.watch.absolute()),
            # Held or rejected under the first number, moved to the archive under the second.
            tuple(it for it in (order.supersedes_job, order.job) if it is not None),
            order.path,
            order.sha256,
            self._config.limits.max_file_mib << 20,
        )

    def _claimed(self, station: Station, film: Film) -> FilmInWork | None:
        """Enter a film of the folder."""
        # One transaction for both: the film waits for the disk once.
        with self._journal.store.transaction():
            claim = self._journal.claim(film.path, film.sha256, film.signature)
            reason = film.refusal
            if claim.work and claim.job is not None and reason is None:
                tried = claim.deaths < DEATHS and self._journal.begin_try(claim.job)
                reason = None if tried else Reason.WORKER_DIED
        self._pending = None
        if claim.job is None:
            return None
        if not claim.work:
            log.info("job %d: %s", claim.job, claim.state)
            return None
        log.info("job %d: claimed", claim.job)
        taken = FilmInWork(film, claim.job, claim.supersedes_job, claim.same_as)
        if reason is None:
            return taken
        self._results.give_up(taken, reason, station.serving)
        return None


def _film_of(order: Order, data: bytes, picked_up_s: float) -> Film:
    """Give the film of an order: it counts as closed when it was picked up."""
    return Film(
        path=order.path,
        signature=order.signature,
        data=data,
        sha256=order.sha256,
        refusal=None,
        closed_s=picked_up_s,
        closed_unix_s=time.time(),
        closed_source=ClosedSource.ORDERED,
        picked_up_s=picked_up_s,
    )
