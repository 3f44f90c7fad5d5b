"""What the worker reported, and what follows from it for engines, alerts and the film in work.

Layer: daemon, on its thread; reads the worker's socket without blocking.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge.model import Outcome
from edge.worker.messages import Died, Failed, Ready, SecondOpinion, Stage

if TYPE_CHECKING:
    from edge.daemon.alerts import Alerts
    from edge.daemon.films import Films
    from edge.daemon.restarts import RestartPolicy
    from edge.daemon.serving import Serving
    from edge.worker.handle import Worker

log = logging.getLogger(__name__)

_MESSAGES_A_TURN = 1000
_ORT_SERVES = "the device failed twice: onnxruntime serves until a restart"


class WorkerReports:
    """Takes in the worker's messages, a bounded number at a time."""

    def __init__(
        self,
        worker: Worker,
        films: Films,
        serving: Serving,
        policy: RestartPolicy,
        alerts: Alerts,
    ) -> None:
        self._worker = worker
        self._films = films
        self._serving = serving
        self._policy = policy
        self._alerts = alerts

    def take_in(self, *, stopping: bool) -> bool:
        """Take in what the worker sent; returns False when the appliance cannot go on.

        ``stopping``: the film in work is not tried again after the worker died.
        """
        for _ in range(_MESSAGES_A_TURN):
            message = self._worker.read()
            if message is None:
                break
            if isinstance(message, Failed):
                if not self._on_failed(message):
                    return False
            elif isinstance(message, Ready):
                self._on_ready(message)
            elif isinstance(message, Stage):
                self._films.on_stage(message)
            elif isinstance(message, Outcome):
                self._on_outcome(message)
            elif isinstance(message, SecondOpinion):
                self._serving.recheck = message.figures or self._serving.recheck
                self._alerts.update("second_scoring", message.fault)
            elif not self._on_death(message, stopping=stopping):
                return False
        return True

    def _on_failed(self, failed: Failed) -> bool:
        log.error("the engines cannot be used: %s", failed.message)
        if self._serving.versions is None:
            return False
        # Results that are recorded go out meanwhile.
        self._policy.without_engines()
        self._serving.unfit = failed.message
        self._alerts.note("engines", failed.message)
        self._alerts.announce()
        return True

    def _on_ready(self, ready: Ready) -> None:
        serving, policy = self._serving, self._policy
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
            self._alerts.note(code, detail)
        self._alerts.announce()

    def _on_outcome(self, outcome: Outcome) -> None:
        if self._policy.device_is_down:
            self._alerts.update("engine_failed", _ORT_SERVES if self._policy.backend else None)
        self._policy.served()
        self._films.on_outcome(outcome)

    def _on_death(self, died: Died, *, stopping: bool) -> bool:
        log.error("%s", died.detail)
        if self._serving.versions is None:
            return False
        self._films.forget_second()
        forgiven = self._policy.after_death(died)
        if died.second:
            self._policy.without_second()
            self._alerts.update(
                "second_scoring", f"no film is scored a second time any more: {died.detail}"
            )
            return True
        if died.bad_engine:
            self._serving.unfit = self._policy.unfit
            self._alerts.note("engine_output", died.detail)
            self._alerts.announce()
        elif forgiven:
            self._alerts.update("engine_failed", _ORT_SERVES)
        if not stopping:
            self._films.after_death(died, forgiven=forgiven)
        return True
