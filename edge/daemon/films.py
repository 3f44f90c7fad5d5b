"""The film in work: taken from an order or the folder, scored, recorded, tried again after a death.

Layer: daemon, on its thread; writes the journal before the work and hands films to the worker.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from edge.contract.payloads import ClosedSource
from edge.daemon.drift_alert import DriftAlert
from edge.errors import Reason, rejected
from edge.intake.film import Film
from edge.journal.copies import kept_film
from edge.journal.first_start import FirstStart
from edge.model import OperatorStatement, Outcome
from edge.outputs.film import FilmInWork
from edge.worker.messages import Task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.config import Config
    from edge.daemon.alerts import Alerts
    from edge.daemon.restarts import RestartPolicy
    from edge.daemon.serving import Serving
    from edge.daemon.storage import StorageGuard
    from edge.intake.intake import Intake
    from edge.journal.journal import Journal
    from edge.journal.places import Places
    from edge.journal.records import Order
    from edge.outputs.record import Recorder
    from edge.worker.handle import Worker
    from edge.worker.messages import Died, Stage

log = logging.getLogger(__name__)

_DEATHS = 2
"""Workers that a film may end before it is rejected."""
_KILLS = 4
"""Workers that may be ended from outside while they score a film before it is rejected."""
_IDLE_S = 0.5
"""After this time without a film, one is scored a second time."""


class Films:
    """Takes one film after the other and sees each to its end state.

    ``passes_over`` says that what lies in the folder at the first start is not scored.
    ``wake_sender`` is called when there is something new to send. ``state`` is the appliance's
    state folder.
    """

    def __init__(
        self,
        config: Config,
        state: Path,
        *,
        places: Places,
        journal: Journal,
        recorder: Recorder,
        intake: Intake,
        worker: Worker,
        serving: Serving,
        policy: RestartPolicy,
        alerts: Alerts,
        storage: StorageGuard,
        wake_sender: Callable[[], None],
        passes_over: bool,
    ) -> None:
        self._config = config
        self._places = places
        self._journal = journal
        self._recorder = recorder
        self._intake = intake
        self._worker = worker
        self._serving = serving
        self._policy = policy
        self._alerts = alerts
        self._storage = storage
        self._wake_sender = wake_sender
        self._passes_over = passes_over
        self._drift = DriftAlert(state / "drift", alerts)
        self._pending: Film | None = None
        self._unrecorded: Outcome | None = None
        self._second_waits = False
        self._idle_since_s = time.monotonic()
        self.in_work: FilmInWork | None = None
        self.stopped_taking = False
        """No film is taken: the disk is low, or a dashboard asked for a pause."""

    def work(self, now_s: float) -> None:
        """Do what is next once the worker is free: record, try again, take, score a second time."""
        if not self._may_work(now_s):
            return
        if self._unrecorded is not None:
            outcome = self._unrecorded
            self._storage.run(lambda: self._record(outcome))
            return
        if self._serving.unfit:
            return
        if self.in_work is not None:
            self._storage.run(self._try)
            return
        if self._passes_over:
            self._storage.run(self._pass_over)
        elif not self.stopped_taking:
            self._storage.run(self._take_next)
        if self.in_work is not None or self._worker.busy:
            self._idle_since_s = now_s
        elif self._second_waits and now_s >= self._idle_since_s + _IDLE_S:
            self._second_waits = False
            self._worker.score_second()

    def second_scoring_at_s(self, now_s: float) -> float | None:
        """Monotonic time at which a film is scored a second time; None where none is waiting."""
        if self._second_waits and self._may_work(now_s) and self.in_work is None:
            return self._idle_since_s + _IDLE_S
        return None

    def _may_work(self, now_s: float) -> bool:
        free = self._worker.ready and not self._worker.busy
        return free and now_s >= self._storage.paused_until_s

    def _pass_over(self) -> None:
        """Record what lies in the folder at the first start, before any film is taken."""
        files = self._intake.passed_over()
        if files is None:
            return
        FirstStart(self._journal.store).pass_over(files)
        self._passes_over = False
        log.info("first start: %d files in the folder are not scored", len(files))

    def _take_next(self) -> None:
        order = self._journal.next_order()
        if order is not None:
            self._follow(order)
            return
        if self._pending is None:
            self._pending = self._intake.fetch()
        if self._pending is not None:
            self._claim(self._pending)

    def _follow(self, order: Order) -> None:
        """Take a film that a person released or had worked on again."""
        picked_up_s = time.monotonic()
        data = kept_film(
            (self._places.quarantine, self._places.archive),
            self._config.folders.watch.absolute(),
            order.supersedes_job or order.job,
            order.path,
            order.sha256,
            self._config.limits.max_file_mib << 20,
        )
        if data is None:
            self._journal.set_aside(order.job, "no_copy_left")
            gone = f"job {order.job}: neither a copy nor the file is left"
            log.error("%s: set aside", gone)
            self._alerts.update("film_vanished", gone)
            return
        film = _film_of(order, data, picked_up_s)
        log.info("job %d: claimed by order", order.job)
        self.in_work = FilmInWork(film, order.job, order.supersedes_job, operator=order.operator)
        if order.deaths >= _DEATHS:
            self._refuse(Reason.WORKER_DIED)
        else:
            self._try()

    def _claim(self, film: Film) -> None:
        claim = self._journal.claim(film.path, film.sha256, film.signature)
        self._pending = None
        if claim.job is None:
            return
        if not claim.work:
            log.info("job %d: %s", claim.job, claim.state)
            return
        log.info("job %d: claimed", claim.job)
        self.in_work = FilmInWork(film, claim.job, claim.supersedes_job, claim.same_as)
        if film.refusal is not None:
            self._refuse(film.refusal)
        elif claim.deaths >= _DEATHS:
            self._refuse(Reason.WORKER_DIED)
        else:
            self._try()

    def _try(self) -> None:
        film = self.in_work
        assert film is not None  # noqa: S101 - the caller checked
        if not self._journal.begin_try(film.job):
            self._refuse(Reason.WORKER_DIED)
            return
        word = film.operator or OperatorStatement()
        self._worker.score(
            film.film.data, Task(name=film.name, limb=word.limb, laterality=word.laterality)
        )

    def _refuse(self, reason: Reason, detail: str = "") -> None:
        """End the film in work without the pipeline."""
        film, versions = self.in_work, self._serving.versions
        assert film is not None  # noqa: S101 - the caller set it
        assert versions is not None  # noqa: S101 - films are taken once the worker was ready
        self._record(
            Outcome(
                limbs=(rejected(reason, film.name, versions, detail=detail),),
                stage_ms={},
                study_key=None,
                patient_key=None,
                burned_in_annotation=False,
                at_s=time.monotonic(),
            )
        )

    def _record(self, outcome: Outcome) -> None:
        film = self.in_work
        assert film is not None  # noqa: S101 - an outcome belongs to a film in work
        # Kept until it is written: a full disk must not cost the work, nor count as a try.
        self._unrecorded = outcome
        state = self._recorder.record(film, outcome, self._serving.engine_set, time.monotonic())
        self.in_work = self._unrecorded = None
        self._wake_sender()
        log.info("job %d: %s", film.job, state)
        if film.same_as is None:
            self._drift.note(outcome, self._serving.engine_set)

    # -- messages of the worker ---------------------------------------------------------------

    def on_stage(self, stage: Stage) -> None:
        """Note when the film in work was decoded."""
        film = self.in_work
        if film is not None and film.decoded_s is None and stage.name != "decode":
            self.in_work = replace(film, decoded_s=stage.at_s)

    def on_outcome(self, outcome: Outcome) -> None:
        """Record what the film in work gave; kept where it cannot be written now."""
        self._second_waits, self._idle_since_s = outcome.second_waits, time.monotonic()
        if not self._storage.run(lambda: self._record(outcome)):
            log.warning("the result of the film in work is kept until it can be written")

    def forget_second(self) -> None:
        """Note that the worker has lost the film that it kept for a second scoring."""
        self._second_waits = False

    def after_death(self, died: Died, *, forgiven: bool) -> None:
        """Decide whether the film in work is tried again; ``forgiven``: on other engines."""
        film = self.in_work
        # A worker that only loaded engines, or had given its outcome, says nothing of the film.
        if film is None or not died.ready or self._unrecorded is not None:
            return
        self._storage.run(lambda: self._after_death(film, died, forgiven=forgiven))

    def _after_death(self, film: FilmInWork, died: Died, *, forgiven: bool) -> None:
        if died.bad_engine:
            # Not the film's fault: it waits for another engine.
            self._journal.give_back(film.job)
        elif died.device_lost and self._policy.device_is_down:
            # The film before this one ended in the same way: this one waits for the engines.
            self._journal.give_back(film.job)
            self._policy.without_engines()
            self._serving.unfit = died.detail
            self._alerts.note("engines", died.detail)
            self._alerts.announce()
        elif died.outside:
            if self._journal.note_kill(film.job, died.detail) >= _KILLS:
                self._refuse(Reason.WORKER_DIED, died.detail)
                return
        elif not forgiven:
            # Another back end is no second try of the same film on the same engines.
            reason = Reason.WORKER_TIMEOUT if died.timeout else Reason.WORKER_DIED
            if self._journal.note_death(film.job, reason) >= _DEATHS:
                if died.device_lost:
                    self._policy.device_is_down = True
                    failed = f"a film was ended because the engines failed: {died.detail}"
                    self._alerts.update("engine_failed", failed)
                self._refuse(reason)
                return
        self.in_work = replace(film, decoded_s=None)

    # -- stopping -----------------------------------------------------------------------------

    def may_stop(self, *, at_once: bool) -> bool:
        """Whether nothing is being scored, or it must not be waited for; gives the film back."""
        if self.in_work is None:
            return True
        scoring = self._worker.busy and not self._worker.second
        if scoring and not at_once:
            return False
        job = self.in_work.job
        log.warning("job %d: left for the next start", job)
        self._storage.run(lambda: self._journal.give_back(job))
        return True


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
