"""Devices as they last spoke: state, health, alerts, and whether they are silent.

Layer: dashboard; reads the store.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError
from sqlalchemy import select

from dashboard.store.tables import DEVICE, MESSAGE, NOTE, PROBLEM
from edge.contract.payloads import HealthMessage, Presence, StateMessage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from edge.contract.payloads import Alert

_Fact = TypeVar("_Fact", StateMessage, HealthMessage)
_LATEST = 200
"""So many results of a device give its latency here."""


@dataclass(frozen=True)
class Device:
    """A device. ``p50_ms`` and ``p99_ms`` are measured over its latest results that came here."""

    pk: int
    name: str
    seen_s: float
    is_stale: bool
    state: StateMessage | None
    health: HealthMessage | None
    p50_ms: float | None = None
    p99_ms: float | None = None

    @property
    def presence(self) -> str:
        """Its state in a word; a silent device is not what it last said."""
        said = "unknown" if self.state is None else str(self.state.state)
        return "silent" if self.is_stale and said != Presence.OFFLINE else said

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """What it says that a person must see to."""
        return () if self.state is None else self.state.alerts

    @property
    def is_well(self) -> bool:
        """Whether nobody needs to look at it."""
        return self.presence in {Presence.ONLINE, Presence.STARTING} and not self.alerts


def devices(connection: Connection, now_s: float, stale_s: float) -> list[Device]:
    """All devices by name, without latencies."""
    found = connection.execute(select(DEVICE).order_by(DEVICE.c.name)).all()
    return [_device(row, now_s, stale_s) for row in found]


def measured(connection: Connection, found: Iterable[Device]) -> list[Device]:
    """Devices with their latencies, each of which takes a query."""
    made = []
    for one in found:
        latencies_ms = _latencies(connection, one.pk)
        p50_ms, p99_ms = percentile(latencies_ms, 0.5), percentile(latencies_ms, 0.99)
        made.append(replace(one, p50_ms=p50_ms, p99_ms=p99_ms))
    return made


def names(connection: Connection) -> list[str]:
    """Names of all devices."""
    return list(connection.execute(select(DEVICE.c.name).order_by(DEVICE.c.name)).scalars())


def _device(row: Any, now_s: float, stale_s: float) -> Device:
    state = _read(StateMessage, row.state)
    health = _read(HealthMessage, row.health)
    return Device(row.pk, row.name, row.seen_s, now_s - row.seen_s > stale_s, state, health)


def _read(model: type[_Fact], payload: str | None) -> _Fact | None:
    """What a device said; None where it is of another release's contract."""
    try:
        return model.model_validate_json(payload) if payload else None
    except ValidationError:
        return None


def _latencies(connection: Connection, device_pk: int) -> list[float]:
    found = (
        select(MESSAGE.c.latency_ms)
        .where(MESSAGE.c.device_pk == device_pk, MESSAGE.c.kind == "result")
        .order_by(MESSAGE.c.film_s.desc(), MESSAGE.c.pk.desc())
        .limit(_LATEST)
    )
    return sorted(connection.execute(found).scalars())


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The value that ``share`` of an ascending sequence does not exceed; None without any."""
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


def problems(connection: Connection) -> tuple[int, Sequence[Any]]:
    """How many messages were not understood, and the latest of them."""
    number = connection.execute(select(NOTE.c.value).where(NOTE.c.name == "messages_bad")).scalar()
    latest = select(PROBLEM).order_by(PROBLEM.c.pk.desc()).limit(100)
    return int(number or 0), connection.execute(latest).all()
