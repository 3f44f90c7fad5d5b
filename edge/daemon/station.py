"""One worker process with the films that it was handed, and what all workers serve with.

Layer: daemon; records that the loop, the reports and the films' part share.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from edge.contract.payloads import Presence
from edge.daemon.restarts import LeftOut, RestartPolicy
from edge.daemon.serving import Serving
from edge.worker.handle import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.config import Config
    from edge.daemon.alerts import Alerts
    from edge.model import Outcome, Recheck, Versions
    from edge.outputs.film import FilmInWork
    from edge.worker.messages import Limits


class Station:
    """One worker, its restarts, its engines and its films.

    ``films`` are in the order in which they were handed over: the first is being scored.
    ``outcome`` is that of the first one while its pictures are drawn, None before.
    ``faults`` are details of alerts that concern this worker, by code.
    """

    def __init__(self, worker: Worker, policy: RestartPolicy) -> None:
        self.worker = worker
        self.policy = policy
        self.serving = Serving()
        self.films: deque[FilmInWork] = deque()
        self.outcome: Outcome | None = None
        self.second_waits = False
        self.idle_since_s = time.monotonic()
        self.faults: dict[str, str] = {}

    @property
    def is_fit(self) -> bool:
        """Whether films may be scored here: its engines were loaded and passed the self-test."""
        return self.serving.versions is not None and not self.serving.unfit


class Stations:
    """All workers. The first is started at once, the others when it is ready.

    A film could be scored sooner so: loading engines takes all cores.
    """

    def __init__(self, config: Config, limits: Limits, alerts: Alerts) -> None:
        self._alerts = alerts
        left_out = LeftOut()
        self._all: list[Station] = []
        for _ in range(config.worker.count):
            worker = Worker(config, limits)
            self._all.append(Station(worker, RestartPolicy(worker, config, left_out)))

    def __iter__(self) -> Iterator[Station]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def start_first(self) -> None:
        """Start the first worker. Raises `OSError` where no process can be made."""
        self._all[0].policy.start()

    def start_others(self) -> None:
        """Have the workers started that never were."""
        for station in self._all:
            if not station.worker.is_started and station.policy.at_s is None:
                station.policy.at_s = time.monotonic()

    def kill(self) -> None:
        """End all workers."""
        for station in self._all:
            station.worker.kill()

    def forgive(self, lost_s: float) -> None:
        """Do not count seconds in which nothing ran."""
        for station in self._all:
            station.worker.forgive(lost_s)

    def deadlines_s(self) -> list[float]:
        """Monotonic times at which workers are killed if nothing more comes from them."""
        found = (station.worker.deadline_s() for station in self._all)
        return [at_s for at_s in found if at_s is not None]

    def films(self) -> list[FilmInWork]:
        """All films that workers were handed."""
        return [film for station in self._all for film in station.films]

    @property
    def versions(self) -> Versions | None:
        """Of the engines that serve; None until the first worker was ready."""
        found = (it.serving.versions for it in self._all)
        return next((it for it in found if it is not None), None)

    @property
    def recheck(self) -> Recheck | None:
        """Figures of second scorings."""
        found = [it.serving.recheck for it in self._all if it.serving.recheck is not None]
        return sum_of(found) if found else None

    @property
    def restarts(self) -> int:
        """How often workers died."""
        return sum(station.policy.restarts for station in self._all)

    @property
    def presence(self) -> Presence:
        """The state that the appliance announces: of several workers one that is fit suffices."""
        unfit = any(it.serving.unfit for it in self._all)
        if any(it.is_fit for it in self._all):
            lesser = unfit or any(it.serving.degraded for it in self._all)
            return Presence.DEGRADED if lesser else Presence.ONLINE
        return Presence.UNFIT if unfit else Presence.STARTING

    def note(self, station: Station, code: str, detail: str | None) -> bool:
        """Raise or clear one worker's part of an alert without announcing; whether it changed."""
        station.faults[code] = detail or ""
        details = dict.fromkeys(it.faults.get(code, "") for it in self._all)
        return self._alerts.note(code, "; ".join(it for it in details if it))

    def update(self, station: Station, code: str, detail: str | None) -> None:
        """Raise or clear one worker's part of an alert, and announce a change."""
        if self.note(station, code, detail):
            self._alerts.announce()


def sum_of(found: list[Recheck]) -> Recheck:
    """The figures of all workers' second scorings together."""
    first = found[0]
    return first.model_copy(
        update={
            "films": sum(it.films for it in found),
            "grades": sum(it.grades for it in found),
            "grades_differ": sum(it.grades_differ for it in found),
            "fates_differ": sum(it.fates_differ for it in found),
            "largest_expected": max(it.largest_expected for it in found),
        }
    )
