"""Output ``image``: the labelled picture of a limb.

Layer: outputs; writes and reads the folder of pictures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.journal.kinds import IMAGE
from edge.model import DISCLAIMER
from edge.outputs.packet import Packet, extras_of
from edge.system.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.journal.records import Parcel
    from edge.journal.rows import Row
    from edge.outputs.film import LimbRecord, RecordedFilm
    from edge.outputs.packet import Sending


def picture_parcels(film: RecordedFilm, results: tuple[LimbRecord, ...]) -> Iterator[Parcel]:
    """Keep the pictures that may be sent; each row's payload is the name of its file."""
    for result in results if film.send_pictures else ():
        if result.picture:
            name = f"{result.result_id}.jpg"
            jpeg = with_comment(result.picture, result.result_id)
            write_whole(film.pictures / name, jpeg, durable=True, mode=0o640)
            yield result.parcel(IMAGE, name.encode())


def packet_of_picture(row: Row, sending: Sending) -> Packet:
    """Packet of a picture. Raises `OSError` where its file cannot be read."""
    picture = (sending.pictures / row.payload.decode()).read_bytes()
    return Packet(sending.name_of(row.name).topic(row.kind), picture, extras_of(row, sending))


def with_comment(jpeg: bytes, result_id: str) -> bytes:
    """Put result id and notice into a JPEG's comment: MQTT 3.1.1 has no correlation data."""
    text = f"sharpedge result {result_id}; {DISCLAIMER}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]
