"""Outputs ``result`` and ``reject``: the message about one limb.

Layer: outputs; reads the clock at each sending.

The outbox keeps a `StoredMessage`; the payload is made of it at each sending, because number,
time and age of a sending are only known then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.contract.payloads import (
    ClosedSource,
    Envelope,
    Ledger,
    RejectMessage,
    ResultMessage,
    json_of,
)
from edge.journal.kinds import REJECT, RESULT
from edge.model import Identifiers, LimbResult, Record
from edge.outputs.packet import Packet, extras_of
from edge.system.clock import Anchor  # noqa: TC001 - pydantic needs it at run time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.contract.ids import DeviceName
    from edge.journal.records import Parcel
    from edge.journal.rows import Row
    from edge.outputs.film import LimbRecord, RecordedFilm
    from edge.outputs.packet import Sending


class StoredMessage(Record):
    """What the outbox keeps of a result or reject."""

    topic: str
    name: str = ""
    """Site, room and device at the time of scoring; empty where an earlier release wrote it."""
    anchor: Anchor
    body: LimbResult
    job: int
    film_sha256: str
    study: str
    patient: str | None
    identifiers: Identifiers | None = None
    """For all outputs of results together; each takes its own of them."""
    supersedes: str | None
    ledger: Ledger


def result_parcels(film: RecordedFilm, results: tuple[LimbRecord, ...]) -> Iterator[Parcel]:
    """Rows of the limbs that were scored, or found and not graded."""
    return _parcels(RESULT, film, results)


def reject_parcels(film: RecordedFilm, results: tuple[LimbRecord, ...]) -> Iterator[Parcel]:
    """Rows of the limbs that were held or rejected."""
    return _parcels(REJECT, film, results)


def _parcels(kind: str, film: RecordedFilm, results: tuple[LimbRecord, ...]) -> Iterator[Parcel]:
    for result in results:
        if result.kind == kind:
            stored = StoredMessage(
                topic=kind,
                name=str(film.device),
                anchor=film.anchor,
                body=result.limb,
                job=film.job,
                film_sha256=film.sha256,
                study=film.study,
                patient=film.patient,
                identifiers=film.identifiers,
                supersedes=result.supersedes,
                ledger=film.ledger,
            )
            yield result.parcel(kind, json_of(stored))


def packet_of_message(row: Row, sending: Sending) -> Packet:
    """Packet of a result or reject.

    Raises `pydantic.ValidationError` where the row does not satisfy the contract.
    """
    stored = StoredMessage.model_validate_json(row.payload)
    # The seal covers this name; it has precedence over the table's.
    name = sending.name_of(stored.name or row.name)
    message = _compose(stored, row, name, sending)
    sent, closed = message.ledger.sent, message.ledger.closed
    return Packet(
        name.topic(stored.topic),
        json_of(message),
        extras_of(row, sending, name),
        (sent - closed) * 1e3 if sent is not None and _is_latency(message) else None,
    )


def _compose(
    stored: StoredMessage, row: Row, name: DeviceName, sending: Sending
) -> ResultMessage | RejectMessage:
    sent = stored.anchor.now_unix_s()
    # What was switched off since the film was scored is not sent any more.
    found = None if stored.identifiers is None else stored.identifiers.only(sending.identifiers)
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
        identifiers=found,
        supersedes=stored.supersedes,
        historical=sent - stored.ledger.closed > sending.historical_s,
        sending=row.sendings + 1,
        ledger=stored.ledger.model_copy(update={"sent": sent}),
    )
    model = ResultMessage if row.kind == RESULT else RejectMessage
    return model.model_validate({**dict(envelope), **dict(stored.body)})


def _is_latency(message: ResultMessage | RejectMessage) -> bool:
    """Whether a sending measures the appliance's speed: the first one, of a recent film."""
    watched = message.ledger.closed_source in {ClosedSource.CLOSE_EVENT, ClosedSource.FIRST_SEEN}
    return message.sending == 1 and watched and not message.historical
