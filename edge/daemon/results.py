"""Writes what films gave, in order; kept until it is written where the disk is full.

Layer: daemon, on its thread; writes the journal, pictures and quarantine through the recorder.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from edge.daemon.drift_alert import DriftAlert
from edge.errors import Reason, rejected
from edge.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.daemon.alerts import Alerts
    from edge.daemon.serving import Serving
    from edge.daemon.storage import StorageGuard
    from edge.outputs.film import FilmInWork
    from edge.outputs.record import Recorder
    from edge.worker.messages import Pictures

log = logging.getLogger(__name__)


class _Step(NamedTuple):
    """One thing to be written; ``job`` where it ends the work on a film."""

    write: Callable[[], None]
    job: int | None


class Results:
    """Outcomes and pictures that are to be written.

    ``wake_sender`` is called when there is something new to send. ``state`` is the appliance's
    state folder.
    """

    def __init__(
        self,
        recorder: Recorder,
        storage: StorageGuard,
        alerts: Alerts,
        state: Path,
        wake_sender: Callable[[], None],
    ) -> None:
        self._recorder = recorder
        self._storage = storage
        self._wake_sender = wake_sender
        self.recorded: Callable[[FilmInWork], None] = lambda _film: None
        """Called with each film whose outcome is recorded."""
        self._drift = DriftAlert(state / "drift", alerts)
        self._owed: deque[_Step] = deque()

    def settle(self) -> bool:
        """Write what is not written yet; whether nothing is left.

        A full disk must not cost the work, nor count as a try.
        """
        while self._owed:
            if not self._storage.run(self._owed[0].write):
                return False
            self._owed.popleft()
        return True

    def unwritten(self) -> list[int]:
        """Jobs whose outcome is not written yet."""
        return [step.job for step in self._owed if step.job is not None]

    def outcome(self, film: FilmInWork, outcome: Outcome, engine_set: str) -> None:
        """Record an outcome."""
        self._add(lambda: self._record(film, outcome, engine_set), film.job)
        if self._owed:
            log.warning("the result of job %d is kept until it can be written", film.job)

    def give_up(self, film: FilmInWork, reason: Reason, serving: Serving, detail: str = "") -> None:
        """End a film without the pipeline; of one that is recorded only its pictures."""
        if film.recorded:
            self.give_up_pictures(film.job, reason)
            return
        assert serving.versions is not None  # noqa: S101 - films are taken once a worker was ready
        outcome = Outcome(
            limbs=(rejected(reason, film.name, serving.versions, detail=detail),),
            stage_ms={},
            study_key=None,
            patient_key=None,
            burned_in_annotation=False,
            at_s=time.monotonic(),
        )
        self.outcome(film, outcome, serving.engine_set)

    def pictures(
        self, film: FilmInWork, outcome: Outcome, pictures: Pictures, engine_set: str
    ) -> None:
        """Keep the pictures of a film whose outcome was recorded."""
        self._add(lambda: self._keep_pictures(film, outcome, pictures, engine_set))

    def give_up_pictures(self, job: int, why: str) -> None:
        """Set the pictures of a film aside that cannot be drawn."""
        self._add(lambda: self._recorder.give_up_pictures(job, why))

    def _add(self, write: Callable[[], None], job: int | None = None) -> None:
        self._owed.append(_Step(write, job))
        self.settle()

    def _record(self, film: FilmInWork, outcome: Outcome, engine_set: str) -> None:
        state = self._recorder.record(film, outcome, engine_set, time.monotonic())
        self._wake_sender()
        log.info("job %d: %s", film.job, state)
        self.recorded(film)
        if not any(outcome.pictured):
            self._note_figures(film, outcome, engine_set)

    def _keep_pictures(
        self, film: FilmInWork, outcome: Outcome, pictures: Pictures, engine_set: str
    ) -> None:
        self._recorder.keep_pictures(film, outcome, pictures.jpegs, engine_set)
        self._wake_sender()
        # Later than the result: the sender would wait for this thread.
        self._note_figures(film, outcome, engine_set)

    def _note_figures(self, film: FilmInWork, outcome: Outcome, engine_set: str) -> None:
        if film.same_as is None:
            self._drift.note(outcome, engine_set)
