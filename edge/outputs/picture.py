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
    from pathlib import Path

    from edge.journal.records import Parcel
    from edge.journal.rows import Row
    from edge.outputs.film import LimbRecord, RecordedFilm
    from edge.outputs.packet import Sending


def picture_parcels(film: RecordedFilm, results: tuple[LimbRecord, ...]) -> Iterator[Parcel]:
    """Rows of the pictures that may be sent; the payload of each is the name of its file.

    The file is written by `keep_picture` once the picture is drawn.
    """
    for result in results if film.send_pictures else ():
        if result.pictured:
            yield result.parcel(IMAGE, _name_of(result.result_id).encode(), undrawn=True)


def keep_picture(folder: Path, result_id: str, picture: bytes) -> None:
    """Write a labelled picture (JPEG) into the folder of pictures."""
    jpeg = with_comment(picture, result_id)
    write_whole(folder / _name_of(result_id), jpeg, durable=True, mode=0o640)


def is_kept(folder: Path, result_id: str) -> bool:
    """Whether a picture's file is there; it is whole then."""
    return (folder / _name_of(result_id)).is_file()


def _name_of(result_id: str) -> str:
    return f"{result_id}.jpg"


def packet_of_picture(row: Row, sending: Sending) -> Packet:
    """Packet of a picture. Raises `OSError` where its file cannot be read."""
    picture = (sending.pictures / row.payload.decode()).read_bytes()
    return Packet(sending.name_of(row.name).topic(row.kind), picture, extras_of(row, sending))


def with_comment(jpeg: bytes, result_id: str) -> bytes:
    """Put result id and notice into a JPEG's comment: MQTT 3.1.1 has no correlation data."""
    text = f"sharpedge result {result_id}; {DISCLAIMER}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]
