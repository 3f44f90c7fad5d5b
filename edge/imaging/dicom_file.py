"""Reads the layout of a DICOM file: data set, transfer syntax, place of the pixels.

Layer: imaging; bytes in, tags and offsets out. pydicom reads the tags before the pixel element;
that element is measured here, because pydicom hides how many bytes there really are.
"""

from __future__ import annotations

import logging
import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Final

from pydicom.filereader import read_dataset

from edge.errors import FilmError, Reason
from edge.imaging.sniff import PREAMBLE_BYTES, first_element

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
RLE: Final = "1.2.840.10008.1.2.5"
_JPEG_FAMILY = "1.2.840.10008.1.2.4."
NATIVE = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED, EXPLICIT_BIG})
ENCAPSULATED = frozenset({RLE} | {_JPEG_FAMILY + str(n) for n in (50, 51, 57, 70, 80, 81, 90, 91)})

UNDEFINED_LENGTH: Final = 0xFFFFFFFF
_ITEM, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE0DD
_FLOAT_PIXELS, _DOUBLE_PIXELS, _PIXEL_DATA = 0x7FE00008, 0x7FE00009, 0x7FE00010
_LONG_LENGTH = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT",
                          "UV"})  # fmt: skip
_TRANSFER_SYNTAX = 0x0010
_MOST_META = 256
_MOST_FRAGMENTS = 100_000
_TAGS_BYTES = 64 << 20
_BYTES_A_PIXEL = 6

# What it would warn of is handled here, and its lines would hold patients' data.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class OpenedDicom:
    """Tags up to the pixel element, and where its value lies in ``data``.

    ``syntax`` is the transfer syntax's UID, None where the file names none. ``pixel_length`` is
    what the element claims, `UNDEFINED_LENGTH` for fragments.
    """

    data: bytes
    tags: Dataset
    syntax: str | None
    little: bool
    flags: tuple[str, ...]
    pixels_at: int
    pixel_length: int
    pixel_vr: str


def open_dicom(data: bytes, max_megapixels: float) -> OpenedDicom:
    """Read the tags before the pixel data.

    Raises `FilmError` with ``truncated``, ``corrupt``, ``no_pixels``, ``too_large`` (a deflated
    data set that swells), ``unsupported_pixels`` (float) or ``unsupported_transfer_syntax``.
    """
    start = PREAMBLE_BYTES + 4 if data[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] == b"DICM" else 0
    syntax, body_at = _file_meta(data, start)
    if syntax is not None and syntax not in NATIVE | ENCAPSULATED:
        raise FilmError(Reason.UNSUPPORTED_TRANSFER_SYNTAX, syntax)
    flags: tuple[str, ...] = ()
    little, explicit = syntax != EXPLICIT_BIG, syntax != IMPLICIT_LITTLE
    if syntax is None:
        flags = ("no_file_meta" if body_at == start else "no_transfer_syntax",)
        written = first_element(data, body_at)
        if written is None:
            raise FilmError(Reason.TRUNCATED, f"DICOM of {len(data)} bytes, header only")
        little, explicit = written
    if syntax == DEFLATED:
        data, body_at = _inflated(data[body_at:], max_megapixels), 0
    return _read_tags(data, body_at, syntax, little, explicit, flags)


def _file_meta(data: bytes, at: int) -> tuple[str | None, int]:
    """Transfer syntax of the file meta header, and where the header ends."""
    syntax = None
    for _ in range(_MOST_META):
        written = first_element(data, at)
        order = "<" if written is None or written[0] else ">"
        if len(data) - at < 8 or struct.unpack_from(order + "H", data, at)[0] != 2:
            return syntax, at
        number, letters, length = struct.unpack_from(order + "H2sH", data, at + 2)
        vr = letters.decode("latin-1")
        value_at = at + 8
        if not (letters.isalpha() and letters.isupper()):
            length = struct.unpack_from(order + "I", data, at + 4)[0]
        elif vr in _LONG_LENGTH:
            if len(data) < at + 12:
                break
            length = struct.unpack_from(order + "I", data, at + 8)[0]
            value_at = at + 12
        if value_at + length > len(data):
            break
        if number == _TRANSFER_SYNTAX:
            syntax = data[value_at : value_at + length].decode("latin-1").strip(" \0") or None
        at = value_at + length
    raise FilmError(Reason.TRUNCATED, f"DICOM of {len(data)} bytes ends inside its file header")


def _inflated(packed: bytes, max_megapixels: float) -> bytes:
    limit = _TAGS_BYTES + int(max_megapixels * 1e6 * _BYTES_A_PIXEL)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflate.decompress(packed, limit)
    except zlib.error as error:
        raise FilmError(Reason.CORRUPT, f"deflated data set: {error}") from error
    if inflate.unconsumed_tail:
        raise FilmError(Reason.TOO_LARGE, f"deflated data set of over {limit >> 20} MiB")
    if not inflate.eof:
        raise FilmError(Reason.TRUNCATED, f"deflated data set of {len(packed)} bytes")
    return data


def _read_tags(
    data: bytes, at: int, syntax: str | None, little: bool, explicit: bool, flags: tuple[str, ...]
) -> OpenedDicom:
    stream = BytesIO(data)
    stream.seek(at)
    found: list[tuple[int, str, int]] = []
    end = at

    def at_pixels(tag: int, vr: str | None, length: int) -> bool:
        nonlocal end
        if length != UNDEFINED_LENGTH:
            end = max(end, stream.tell() + length)
        if tag not in {_FLOAT_PIXELS, _DOUBLE_PIXELS, _PIXEL_DATA}:
            return False
        found.append((int(tag), vr or "", length))
        return True

    try:
        tags = read_dataset(stream, not explicit, little, stop_when=at_pixels)
    except Exception as error:  # pydicom raises whatever the bytes provoke
        ended = len(data) - stream.tell() < 12
        reason = Reason.TRUNCATED if ended else Reason.CORRUPT
        raise FilmError(reason, f"DICOM tags: {type(error).__name__} at {stream.tell()}") from error
    if not found:
        raise _without_pixels(data, tags, end)
    tag, vr, length = found[-1]
    if tag != _PIXEL_DATA:
        raise FilmError(Reason.UNSUPPORTED_PIXELS, "float pixel data")
    value_at = stream.tell() + (12 if vr in _LONG_LENGTH else 8)
    return OpenedDicom(data, tags, syntax, little, flags, value_at, length, vr)


def _without_pixels(data: bytes, tags: Dataset, end: int) -> FilmError:
    """Tell an object that never had pixels from one that ends before them."""
    if not len(tags) or end > len(data) or 0 < len(data) - end < 8:
        return FilmError(Reason.TRUNCATED, f"DICOM of {len(data)} bytes ends before its pixels")
    return FilmError(Reason.NO_PIXELS, f"DICOM with {len(tags)} tags")


def fragments_of(opened: OpenedDicom) -> tuple[int, list[bytes]]:
    """Read encapsulated pixel data: how many frames its offset table lists, and its fragments.

    Raises `FilmError` with ``truncated`` or ``corrupt``. A missing end marker is no damage.
    """
    data, at = opened.data, opened.pixels_at
    order = "<" if opened.little else ">"
    items: list[bytes] = []
    while len(items) < _MOST_FRAGMENTS and at + 8 <= len(data):
        group, number, length = struct.unpack_from(order + "HHI", data, at)
        if group << 16 | number != _ITEM:
            if group << 16 | number != _SEQUENCE_END and not items:
                raise FilmError(Reason.CORRUPT, "pixel data neither native nor in fragments")
            break
        if at + 8 + length > len(data):
            raise FilmError(
                Reason.TRUNCATED, f"fragment of {length} bytes, {len(data) - at - 8} there"
            )
        items.append(data[at + 8 : at + 8 + length])
        at += 8 + length
    if items and items[0].startswith((b"\xff\xd8", b"\xff\x4f", b"\0\0\0\x0cjP")):
        return 1, items
    if len(items) < 2:
        raise FilmError(Reason.TRUNCATED, "pixel data without a fragment")
    return len(items[0]) // 4, items[1:]
