"""The MQTT packet of an outbox row, made at each sending.

Layer: outputs; a row's own function may read the folder of pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.outputs.table import OUTPUTS, function

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.contract.ids import DeviceName
    from edge.journal.rows import Row
    from edge.model import Identifier


@dataclass(frozen=True)
class Extras:
    """Properties of an MQTT 5 publication; left out on 3.1.1."""

    content_type: str = "application/json"
    expiry_s: int | None = None
    response_topic: str | None = None
    correlation: bytes | None = None


@dataclass(frozen=True)
class Packet:
    """What is published for a row.

    ``latency_ms`` is the time from file closed to now, None where it says nothing of the
    appliance's speed (a repeat, an old film).
    """

    topic: str
    payload: bytes
    extras: Extras
    latency_ms: float | None = None


@dataclass(frozen=True)
class Sending:
    """What a packet depends on beside its row.

    ``name_of`` parses a row's name, ``pictures`` is the folder of pictures, ``historical_s`` the
    age in seconds from which a result is marked as historical, ``identifiers`` those that the site
    wants in results.
    """

    name_of: Callable[[str], DeviceName]
    pictures: Path
    historical_s: float
    identifiers: tuple[Identifier, ...] = ()


def packet_of(row: Row, sending: Sending) -> Packet:
    """Make the packet of a row whose kind is in the table.

    Raises `pydantic.ValidationError` where the row does not satisfy the contract, `OSError` where
    its file cannot be read.
    """
    packet: Packet = function(OUTPUTS[row.kind].packet)(row, sending)
    return packet


def packet_as_stored(row: Row, sending: Sending) -> Packet:
    """Packet whose payload is that of the row."""
    return Packet(sending.name_of(row.name).topic(row.kind), row.payload, extras_of(row, sending))


def extras_of(row: Row, sending: Sending, name: DeviceName | None = None) -> Extras:
    """Content type of a row's kind, its id as correlation, the receipt's topic where one is due.

    ``name`` is the row's name where the caller knows a better one than the table's.
    """
    output = OUTPUTS[row.kind]
    topic = (name or sending.name_of(row.name)).topic("receipt")
    return Extras(
        content_type=output.content_type,
        correlation=row.result_id.encode(),
        response_topic=topic if output.needs_receipt else None,
    )
