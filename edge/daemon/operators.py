"""The daemon's part of the operator socket: what only the running appliance knows, and STATUS=.

Layer: daemon; starts the socket's thread, which calls `Operators.live`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from edge.delivery.standing import presence_with
from edge.operator.protocol import Live
from edge.operator.requests import Requests
from edge.operator.server import OperatorServer
from edge.operator.settings import serving_socket

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.config import Config
    from edge.daemon.alerts import Alerts
    from edge.daemon.station import Stations
    from edge.delivery.sender import Sender
    from edge.intake.intakes import Intakes
    from edge.system.notify import Notifier

_STOP_S = 0.5


class Parts(NamedTuple):
    """The parts of the appliance that `Operators.live` reads."""

    alerts: Alerts
    intake: Intakes
    sender: Sender
    stations: Stations


class Operators:
    """Serves operators beside the daemon's loop.

    ``wake`` ends the loop's wait: an order was given. ``key`` is the journal's chain key.
    """

    def __init__(
        self,
        config: Config,
        root: Path,
        key: bytes,
        session: int,
        parts: Parts,
        wake: Callable[[], None],
    ) -> None:
        self._config = config
        self._session = session
        self._started_s = time.monotonic()
        self._parts = parts
        self._line = ""
        self._sent = ""
        self._server = OperatorServer(
            serving_socket(config.operator, root),
            config.operator.group,
            lambda: Requests(root, key, config.device, self.live, wake, config.joining.whois_days),
            self._set_line,
        )

    def start(self) -> None:
        """Begin to serve."""
        self._server.start()

    def stop(self) -> None:
        """Serve no more."""
        self._server.stop(_STOP_S)

    def tell(self, notifier: Notifier) -> None:
        """Give systemd the appliance's condition where it has changed."""
        line = self._line
        if line and line != self._sent:
            self._sent = line
            notifier.send(STATUS=line)

    def live(self) -> Live:
        """What the journal does not hold; may be called from any thread."""
        parts = self._parts
        condition, standing = parts.intake.condition(), parts.sender.standing()
        broker = self._config.broker
        alerts = (*parts.alerts.active(), *standing.alerts)
        return Live(
            presence=presence_with(parts.stations.presence, alerts),
            session=self._session,
            uptime_s=time.monotonic() - self._started_s,
            folder=str(self._config.folders.watch),
            folder_waiting=condition.waiting,
            in_work=sum(len(station.films) for station in parts.stations),
            alerts=alerts,
            versions=parts.stations.versions,
            broker=f"{broker.host}:{broker.port}",
            connected=standing.connected,
            latency=standing.latency,
            worker_restarts=parts.stations.restarts,
        )

    def _set_line(self, line: str) -> None:
        self._line = line
