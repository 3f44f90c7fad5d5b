"""Pauses before the next connection to the broker.

Layer: delivery; pure state; updates an alert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.delivery.link import Failure
from edge.delivery.rivalry import Rivalry

if TYPE_CHECKING:
    from edge.delivery.standing import DeliveryAlerts

_FIRST_S = 0.25
_LONGEST_S = 8.0
"""Between attempts to connect: after a broker's outage the connection is made soon."""
_LONGEST_FLAP_S = 4.0
"""The same where connections are made and end."""
_LASTING_S = 10.0


class Pauses:
    """Pauses in seconds; raises the alert that another client uses our client id."""

    def __init__(self, alerts: DeliveryAlerts) -> None:
        self._alerts = alerts
        self._rivalry = Rivalry()
        self._pause_s = 0.0

    def after_attempt(self) -> float:
        """Pause after an attempt to connect that failed."""
        self._rivalry.failed()
        self._pause_s = min(_LONGEST_S, max(_FIRST_S, self._pause_s * 2))
        return self._pause_s

    def after_connection(self, failure: Failure, lasted_s: float, *, in_flight: bool) -> float:
        """Pause after a connection that lasted so long; ``in_flight``: with messages unanswered."""
        self._pause_s = self._after_connection(failure, lasted_s, in_flight=in_flight)
        return self._pause_s

    def _after_connection(self, failure: Failure, lasted_s: float, *, in_flight: bool) -> float:
        taken_over = failure is Failure.TAKEN_OVER
        if failure is Failure.UNACKNOWLEDGED or (in_flight and not taken_over):
            return _FIRST_S
        pause_s = self._rivalry.ended(lasted_s, taken_over=taken_over)
        if self._rivalry.suspected:
            sure = "uses" if taken_over else "seems to use"
            self._alerts.raise_alert(
                "client_id", f"another client {sure} this appliance's client id"
            )
        flap_s = 0.0 if lasted_s > _LASTING_S else min(_LONGEST_FLAP_S, self._pause_s * 2)
        return max(pause_s, flap_s, _FIRST_S)
