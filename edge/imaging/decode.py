"""Stage 0: decodes the bytes of a file to one 8-bit grey film, bones bright, and its identity.

Layer: imaging; touches no file, no network, no clock. The kind of a file is read from its
bytes; its name only states limb and side.
"""

from __future__ import annotations

from dataclasses import replace

from edge.errors import FilmError, Reason
from edge.imaging.bmp import decode_bmp
from edge.imaging.dicom import decode_dicom
from edge.imaging.identity import with_name
from edge.imaging.picture import Picture, turn
from edge.imaging.raster import decode_jpeg, decode_png
from edge.imaging.sniff import Kind, foreign_name, packed_name, sniff, video_name
from edge.imaging.tiff import decode_tiff
from edge.model import Radiograph, StatedIdentity

_NOT_READ = (
    (foreign_name, Reason.UNSUPPORTED_FORMAT),
    (packed_name, Reason.PACKED),
    (video_name, Reason.VIDEO),
)
_PLAIN = {
    Kind.JPEG: decode_jpeg,
    Kind.PNG: decode_png,
    Kind.BMP: decode_bmp,
    Kind.TIFF: decode_tiff,
}


def decode_film(data: bytes, file_name: str, max_megapixels: float) -> Radiograph:
    """Decode one film: JPEG, PNG, BMP, TIFF or DICOM.

    Parameters
    ----------
    data
        The whole file.
    file_name
        Its name; only ``ID-LH`` and the like (LH, RH, LF, RF) say anything.
    max_megapixels
        Largest film, in millions of pixels, judged from the header before decoding.

    Returns
    -------
    Radiograph
        Turned as its orientation tag says, with the transform from pixels as stored.

    Raises
    ------
    FilmError
        With the reason code, whatever the bytes are; nothing else is raised for them.
    """
    if not data:
        raise FilmError(Reason.EMPTY_FILE)
    kind = sniff(data)
    if kind is None:
        for name_of, reason in _NOT_READ:
            name = name_of(data)
            if name is not None:
                raise FilmError(reason, name)
        raise FilmError(Reason.NOT_AN_IMAGE, f"{len(data)} bytes, first {data[:8].hex(' ')}")
    if kind is Kind.DICOM:
        film = decode_dicom(data, max_megapixels)
        return replace(
            _radiograph(film.picture, film.stated, file_name), pixel_size=film.pixel_size
        )
    return _radiograph(_PLAIN[kind](data, max_megapixels), StatedIdentity(), file_name)


def _radiograph(picture: Picture, stated: StatedIdentity, file_name: str) -> Radiograph:
    height, width = picture.pixels.shape
    pixels, stored_to_upright = turn(picture.pixels, picture.orientation)
    return Radiograph(
        pixels=pixels,
        stored_size=(width, height),
        stored_to_upright=stored_to_upright,
        stated=with_name(stated, file_name),
        flags=picture.flags,
    )
