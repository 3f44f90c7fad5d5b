"""Delivery: what the daemon and the sender tell each other: conditions, alerts, delays."""

from __future__ import annotations

import logging
import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.contract.payloads import Alert, Latency, Presence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.model import Versions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Announcement:
    """What the daemon says of itself; the sender adds the rest of `StateMessage`."""

    presence: Presence = Presence.STARTING
    versions: Versions | None = None
    alerts: tuple[Alert, ...] = ()


_IMPAIRING = frozenset(
    {
        "archive", "disk_low", "engine_failed", "engine_output", "engine_refused", "folder",
        "journal_chain", "message_refused", "message_set_aside", "no_acknowledgement", "originals",
        "outbox", "paused", "storage", "undelivered", "unreadable",
    }
)  # fmt: skip
"""Alerts while which the appliance does less than all of its work."""


def presence_with(presence: Presence, alerts: Iterable[Alert]) -> Presence:
    """What the appliance says of itself while alerts are active: never `online` if impaired."""
    impaired = any(alert.code in _IMPAIRING for alert in alerts)
    return Presence.DEGRADED if presence is Presence.ONLINE and impaired else presence


@dataclass(frozen=True)
class Standing:
    """How delivery stands, for health and for the watchdog."""

    connected: bool
    reconnects: int
    latency: Latency
    alerts: tuple[Alert, ...]
    turned_s: float
    dropped: int


class Raised:
    """Alerts of the sender by key; several keys may share a code. Read from any thread."""

    def __init__(self) -> None:
        self._alerts: dict[str, Alert] = {}

    def say(self, key: str, detail: str, code: str | None = None) -> None:
        """Raise an alert, or change its words; ``code`` is the key where not given."""
        alert = Alert(code=code or key, detail=detail)
        if self._alerts.get(key) != alert:
            log.warning("alert %s: %s", alert.code, detail)
        self._alerts[key] = alert

    def end(self, *keys: str) -> None:
        """End alerts that may stand."""
        for key in keys:
            self._alerts.pop(key, None)

    def all(self) -> tuple[Alert, ...]:
        """All that stand, in the order in which they were raised."""
        return tuple(self._alerts.copy().values())


class Latencies:
    """Milliseconds from file closed to message sent, of the latest results."""

    def __init__(self) -> None:
        self._values_ms: deque[float] = deque(maxlen=1000)

    def note(self, value_ms: float) -> None:
        """Take in one."""
        self._values_ms.append(value_ms)

    def summary(self) -> Latency:
        """Count, median and 99th percentile; may be called from any thread."""
        values = sorted(self._values_ms.copy())
        return Latency(
            count=len(values), p50_ms=_quantile(values, 0.5), p99_ms=_quantile(values, 0.99)
        )


def _quantile(values: list[float], share: float) -> float | None:
    """Nearest-rank quantile of sorted values."""
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else None
