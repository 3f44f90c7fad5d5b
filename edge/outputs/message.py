"""Delivery: a result as the outbox keeps it, and the payload that is made of it at each sending."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.contract.payloads import ClosedSource, Envelope, Ledger, RejectMessage, ResultMessage
from edge.journal.journal import Kind
from edge.model import LimbResult, Record
from edge.system.clock import Anchor  # noqa: TC001 - pydantic needs it at run time

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.contract.ids import DeviceName
    from edge.journal.rows import Row


class StoredMessage(Record):
    """What the outbox keeps of a result or reject; the rest is known only when it is sent."""

    topic: str
    name: str = ""
    """Site, room and device at the time of scoring; empty where an earlier release wrote it."""
    anchor: Anchor
    body: LimbResult
    job: int
    film_sha256: str
    study: str
    patient: str | None
    supersedes: str | None
    ledger: Ledger


def compose(
    stored: StoredMessage, row: Row, name: DeviceName, historical_s: float
) -> ResultMessage | RejectMessage:
    """Build the payload of one sending.

    Raises `pydantic.ValidationError` when the outbox row does not satisfy the contract.
    """
    sent = stored.anchor.now_unix_s()
    envelope = Envelope.model_construct(
        id=row.result_id,
        sequence=row.sequence,
        site=name.site,
        room=name.room,
        device=name.device,
        job=stored.job,
        film_sha256=stored.film_sha256,
        study=stored.study,
        patient=stored.patient,
        supersedes=stored.supersedes,
        historical=sent - stored.ledger.closed > historical_s,
        sending=row.sendings + 1,
        ledger=stored.ledger.model_copy(update={"sent": sent}),
    )
    model = ResultMessage if row.kind is Kind.RESULT else RejectMessage
    return model.model_validate({**dict(envelope), **dict(stored.body)})


@dataclass(frozen=True)
class Extras:
    """Properties of an MQTT 5 publication; left out on 3.1.1."""

    content_type: str = "application/json"
    expiry_s: int | None = None
    response_topic: str | None = None
    correlation: bytes | None = None


@dataclass(frozen=True)
class Packet:
    """What is published for a row; ``latency_ms`` from file closed to now, of a first sending."""

    topic: str
    payload: bytes
    extras: Extras
    latency_ms: float | None = None


def packet_of(
    row: Row, name_of: Callable[[str], DeviceName], pictures: Path, historical_s: float
) -> Packet:
    """Make what is published for a row of the outbox, under the name that it was made under.

    ``name_of`` reads a name from text. Raises `pydantic.ValidationError` where the row does not
    satisfy the contract, `OSError` where its picture cannot be read.
    """
    correlation = row.result_id.encode()
    if row.kind is Kind.IMAGE:
        picture = (pictures / row.payload.decode()).read_bytes()
        extras = Extras(content_type="image/jpeg", correlation=correlation)
        return Packet(name_of(row.name).topic("image"), picture, extras)
    stored = StoredMessage.model_validate_json(row.payload)
    # The sealed name comes before that of the table.
    name = name_of(stored.name or row.name)
    message = compose(stored, row, name, historical_s)
    sent, closed = message.ledger.sent, message.ledger.closed
    return Packet(
        name.topic(stored.topic),
        message.model_dump_json().encode(),
        Extras(correlation=correlation, response_topic=name.topic("receipt")),
        (sent - closed) * 1e3 if sent is not None and _is_latency(message) else None,
    )


def _is_latency(message: ResultMessage | RejectMessage) -> bool:
    """Whether a sending tells of the appliance's speed: not what waited for people, no history."""
    watched = message.ledger.closed_source in {ClosedSource.CLOSE_EVENT, ClosedSource.FIRST_SEEN}
    return message.sending == 1 and watched and not message.historical
