"""The table of outputs: one row for each kind of message that is made of a film.

Layer: outputs; imports a row's module when one of its functions is used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from edge.journal.kinds import DICOM_SC, DICOM_SR, IMAGE, MQTT, PACS, REJECT, RESULT

if TYPE_CHECKING:
    from collections.abc import Callable

_KIND = re.compile(r"[a-z][a-z0-9_]{0,31}")
_TAKEN = frozenset({"state", "health", "study", "receipt", "command", "answer"})
"""Topics below a device that are no outputs of a film."""


@dataclass(frozen=True)
class Output:
    """One kind of output.

    Parameters
    ----------
    kind
        Column ``kind`` of the outbox, key of `OUTPUTS`, and the topic below the device's name.
    content_type
        MIME type of the payload as it is sent.
    parcels
        ``"module:function"``. The function takes an `edge.outputs.film.RecordedFilm` and a tuple of
        `edge.outputs.film.LimbRecord` and yields an `edge.journal.records.Parcel` for each row.
    packet
        ``"module:function"`` that makes the MQTT packet of a row; by default the row's payload is
        sent as it is. Without effect for other destinations.
    needs_receipt
        Whether a row waits for a receipt: a dashboard's, or what its destination has instead.
        Such a row has an id of its own, the others share the id of their limb's message: the
        broker's acknowledgement ends them, and they are sent again with that message.
    file_name
        Whether the payload is the name of a file in the folder of pictures. The name without its
        ending is the row's id; retention may delete the file once no row with that id waits.
    lane
        Kinds with the same lane keep their order and pause together when the broker refuses one of
        them; by default the kind itself.
    destination
        How rows leave the appliance.
    """

    kind: str
    content_type: str
    parcels: str
    packet: str = "edge.outputs.packet:packet_as_stored"
    needs_receipt: bool = True
    file_name: bool = False
    lane: str = ""
    destination: str = MQTT

    def __post_init__(self) -> None:
        if _KIND.fullmatch(self.kind) is None or self.kind in _TAKEN:
            raise ValueError(f"{self.kind!r} cannot be the kind of an output")
        if not self.lane:
            object.__setattr__(self, "lane", self.kind)
        if self.lane in _TAKEN:
            raise ValueError(f"{self.kind}: {self.lane!r} is the lane of other messages")


OUTPUTS: dict[str, Output] = {
    RESULT: Output(
        kind=RESULT,
        content_type="application/json",
        parcels="edge.outputs.message:result_parcels",
        packet="edge.outputs.message:packet_of_message",
    ),
    REJECT: Output(
        kind=REJECT,
        content_type="application/json",
        parcels="edge.outputs.message:reject_parcels",
        packet="edge.outputs.message:packet_of_message",
        lane=RESULT,
    ),
    IMAGE: Output(
        kind=IMAGE,
        content_type="image/jpeg",
        parcels="edge.outputs.picture:picture_parcels",
        packet="edge.outputs.picture:packet_of_picture",
        needs_receipt=False,
        file_name=True,
    ),
    DICOM_SR: Output(
        kind=DICOM_SR,
        content_type="application/dicom",
        parcels="edge.outputs.document:sr_parcels",
        destination=PACS,
    ),
    DICOM_SC: Output(
        kind=DICOM_SC,
        content_type="application/dicom",
        parcels="edge.outputs.document:sc_parcels",
        destination=PACS,
    ),
}
"""Outputs by kind. Rows of the outbox whose kind is not here are kept and not sent."""


def kinds_of(destination: str) -> tuple[str, ...]:
    """Kinds that leave by a destination, in the order of the table."""
    return tuple(it.kind for it in OUTPUTS.values() if it.destination == destination)


def lanes_of(destination: str) -> dict[str, tuple[str, ...]]:
    """Kinds of each lane of a destination, in the order of the table."""
    lanes: dict[str, tuple[str, ...]] = {}
    for it in OUTPUTS.values():
        if it.destination == destination:
            lanes[it.lane] = (*lanes.get(it.lane, ()), it.kind)
    return lanes


def needs_receipt(kind: str) -> bool:
    """Whether rows of a kind wait for a receipt; False for a kind that the table lacks."""
    output = OUTPUTS.get(kind)
    return output is not None and output.needs_receipt


def has_own_id(kind: str) -> bool:
    """Whether rows of a kind share their id with no other; True for a kind that the table lacks."""
    output = OUTPUTS.get(kind)
    return output is None or output.needs_receipt


def holds_file_name(kind: str) -> bool:
    """Whether payloads of a kind name a file; False for a kind that the table lacks."""
    output = OUTPUTS.get(kind)
    return output is not None and output.file_name


def function(reference: str) -> Callable[..., Any]:
    """Load the function of a ``"module:function"`` string."""
    module, _, name = reference.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found
