"""What daemon and sender exchange: the appliance's condition, alerts, delays.

Layer: delivery; pure state, read from any thread.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from edge.contract.payloads import Alert, Latency, Presence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.delivery.counts import Counts
    from edge.model import Versions

log = logging.getLogger(__name__)


LATENCY_BOUNDS_S = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, math.inf)


class LatencyHistogram(NamedTuple):
    """Results since the start by latency: how many were sent within each bound, and the sum."""

    within: tuple[int, ...]
    sum_s: float


@dataclass(frozen=True)
class Announcement:
    """The daemon's part of `StateMessage`; the sender adds the rest."""

    presence: Presence = Presence.STARTING
    versions: Versions | None = None
    alerts: tuple[Alert, ...] = ()


_IMPAIRING = frozenset(
    {
        "archive", "disk_low", "engine_failed", "engine_output", "engine_refused", "folder",
        "journal_chain", "message_refused", "message_set_aside", "no_acknowledgement", "originals",
        "outbox", "pacs_hangs", "pacs_outbox", "pacs_set_aside", "pacs_undelivered", "paused",
        "storage", "undelivered", "unreadable",
    }
)  # fmt: skip
"""Alerts during which the appliance does less than all of its work."""


def presence_with(presence: Presence, alerts: Iterable[Alert]) -> Presence:
    """Presence while alerts are active: `online` becomes `degraded` where one of them impairs."""
    impaired = any(alert.code in _IMPAIRING for alert in alerts)
    return Presence.DEGRADED if presence is Presence.ONLINE and impaired else presence


@dataclass(frozen=True)
class Standing:
    """Condition of delivery, for health and for the watchdog.

    ``turned_s`` is the monotonic time of the sender's last loop.
    """

    connected: bool
    reconnects: int
    latency: Latency
    alerts: tuple[Alert, ...]
    turned_s: float
    dropped: int
    latencies: LatencyHistogram


class DeliveryAlerts:
    """Active alerts of the sender by key; several keys may share a code. Read from any thread."""

    def __init__(self) -> None:
        self._alerts: dict[str, Alert] = {}

    def raise_alert(self, key: str, detail: str, code: str | None = None) -> None:
        """Raise an alert, or change its text; ``code`` is the key where not given."""
        alert = Alert(code=code or key, detail=detail)
        if self._alerts.get(key) != alert:
            log.warning("alert %s: %s", alert.code, detail)
        self._alerts[key] = alert

    def clear_alert(self, *keys: str) -> None:
        """Clear alerts where they are active."""
        for key in keys:
            self._alerts.pop(key, None)

    def active(self) -> tuple[Alert, ...]:
        """Active alerts, in the order in which they were raised."""
        return tuple(self._alerts.copy().values())

    def update_waiting(self, counts: Counts, alert_s: float) -> None:
        """Raise or clear the alerts of rows that wait longer than ``alert_s`` or are set aside."""
        if counts.oldest_s() > alert_s:
            self.raise_alert(
                "undelivered",
                f"results wait for their receipt for more than {alert_s:g} s (delivery.alert_s); "
                "fix: start the dashboard; sharpedge doctor finds what is in the way",
            )
        else:
            self.clear_alert("undelivered")
        aside = counts.latest_set_aside()
        if aside is None:
            self.clear_alert("message_set_aside")
        else:
            count, latest = aside
            self.raise_alert(
                "message_set_aside",
                f"{count} messages are set aside, the latest: {latest}; "
                "fix: sharpedge retry lists them",
            )


class Latencies:
    """Milliseconds from file closed to message sent, of the latest results.

    Machine time alone: films that waited for a person or lay in the folder at the start are not
    noted.
    """

    def __init__(self) -> None:
        self._values_ms: deque[float] = deque(maxlen=1000)
        self._within = [0] * len(LATENCY_BOUNDS_S)
        self._sum_s = 0.0

    def note(self, value_ms: float) -> None:
        """Add one."""
        self._values_ms.append(value_ms)
        self._sum_s += value_ms / 1e3
        for at, bound_s in enumerate(LATENCY_BOUNDS_S):
            self._within[at] += value_ms / 1e3 <= bound_s

    def histogram(self) -> LatencyHistogram:
        """All since the start; may be called from any thread."""
        return LatencyHistogram(tuple(self._within), self._sum_s)

    def summary(self) -> Latency:
        """Count, median and 99th percentile; may be called from any thread."""
        values = sorted(self._values_ms.copy())
        return Latency(
            count=len(values), p50_ms=_quantile(values, 0.5), p99_ms=_quantile(values, 0.99)
        )


def _quantile(values: list[float], share: float) -> float | None:
    """Nearest-rank quantile of sorted values."""
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else None
