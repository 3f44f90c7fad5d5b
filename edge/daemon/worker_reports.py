"""What a worker reported, and what follows from it for engines, alerts and the film in work.

Layer: daemon, on its thread; reads the workers' sockets without blocking.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge.model import Outcome
from edge.worker.messages import Died, Failed, Pictures, Ready, SecondOpinion, Stage

if TYPE_CHECKING:
    from edge.daemon.alerts import Alerts
    from edge.daemon.films import Films
    from edge.daemon.station import Station, Stations
    from edge.worker.messages import Message

log = logging.getLogger(__name__)

_MESSAGES_A_TURN = 1000
_ORT_SERVES = "the device failed twice: onnxruntime serves until a restart"


class WorkerReports:
    """Takes in the workers' messages, a bounded number at a time."""

    def __init__(self, stations: Stations, films: Films, alerts: Alerts) -> None:
        self._stations = stations
        self._films = films
        self._alerts = alerts

    def take_in(self, *, stopping: bool) -> bool:
        """Take in what the workers sent; returns False when the appliance cannot go on.

        ``stopping``: a film in work is not tried again after its worker died.
        """
        for station in self._stations:
            for _ in range(_MESSAGES_A_TURN):
                message = station.worker.read()
                if message is None:
                    break
                if not self._take(station, message, stopping=stopping):
                    return False
        return True

    def _take(self, station: Station, message: Message, *, stopping: bool) -> bool:
        """Take in one message; returns False when the appliance cannot go on."""
        if isinstance(message, Failed):
            return self._on_failed(station, message)
        if isinstance(message, Died):
            return self._on_death(station, message, stopping=stopping)
        if isinstance(message, Ready):
            self._on_ready(station, message)
        elif isinstance(message, Stage):
            self._films.on_stage(station, message)
        elif isinstance(message, Outcome):
            self._on_outcome(station, message)
        elif isinstance(message, Pictures):
            self._films.on_pictures(station, message)
        elif isinstance(message, SecondOpinion):
            station.serving.recheck = message.figures or station.serving.recheck
            self._stations.update(station, "second_scoring", message.fault)
        return True

    def _on_failed(self, station: Station, failed: Failed) -> bool:
        log.error("the engines cannot be used: %s", failed.message)
        if self._stations.versions is None:
            return False
        # Results that are recorded go out meanwhile.
        station.policy.without_engines()
        station.serving.unfit = failed.message
        self._stations.note(station, "engines", failed.message)
        self._alerts.announce()
        return True

    def _on_ready(self, station: Station, ready: Ready) -> None:
        serving, policy = station.serving, station.policy
        serving.versions, serving.engine_set = ready.versions, ready.engine_set
        serving.unfit = policy.unfit or ready.unfit
        serving.degraded = bool(ready.degraded or policy.backend or policy.refused)
        alerts = {
            "engines": "", "self_test": ready.unfit, "engine_refused": "; ".join(ready.degraded)
        }  # fmt: skip
        if ready.second_fault:
            alerts["second_scoring"] = ready.second_fault
        for code, detail in alerts.items():
            if detail:
                log.error("%s: %s", code, detail)
            self._stations.note(station, code, detail)
        self._alerts.announce()
        self._stations.start_others()

    def _on_outcome(self, station: Station, outcome: Outcome) -> None:
        policy = station.policy
        if policy.device_is_down:
            self._stations.update(station, "engine_failed", _ORT_SERVES if policy.backend else None)
        policy.served()
        self._films.on_outcome(station, outcome)

    def _on_death(self, station: Station, died: Died, *, stopping: bool) -> bool:
        log.error("%s", died.detail)
        if self._stations.versions is None:
            return False
        policy = station.policy
        station.second_waits = False
        forgiven = policy.after_death(died)
        if died.second:
            policy.without_second()
            detail = f"no film is scored a second time any more: {died.detail}"
            self._stations.update(station, "second_scoring", detail)
            return True
        if died.bad_engine:
            station.serving.unfit = policy.unfit
            self._stations.note(station, "engine_output", died.detail)
            self._alerts.announce()
        elif forgiven:
            self._stations.update(station, "engine_failed", _ORT_SERVES)
        if not stopping:
            self._films.after_death(station, died, forgiven=forgiven)
        return True
