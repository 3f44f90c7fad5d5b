"""Decodes TIFF films, and reads the orientation tag inside Exif.

Layer: imaging; bytes in, arrays out. OpenCV alone turns some orientations, fails on others and
inverts White-is-zero in 8 bits only, so its view of the file is made plain first: tag 274 is set
to 1 in a copy, and polarity and turning are done here. Only the tags that are needed are read, and
a value beyond the end of the file is ``truncated``: tifffile and Pillow load every tag of a
directory and leave out those that are cut off.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import FilmError, Reason
from edge.imaging.picture import Picture, check_size, decode_with_opencv, grey_of

_TYPE_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_TYPE_BYTES = {2: 1, 5: 8, 7: 1, 10: 8, 11: 4, 12: 8} | {
    kind: struct.calcsize("<" + code) for kind, code in _TYPE_CODES.items()
}
_MOST_TAGS = 4096
_MOST_PAGES = 64
_MOST_VALUES = 1 << 20
_MOST_SAMPLES = 8

WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES = 273, 274, 277, 278, 279
MIN_SAMPLE, MAX_SAMPLE, PLANAR = 280, 281, 284
TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_BYTES = 322, 323, 324, 325
SAMPLE_FORMAT = 339

_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946})
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK = 0, 1, 2, 3, 5
_PLANES_TOGETHER, _PLANES_APART, _PLANES = 1, 2, 3
_SAMPLES_OF = {0: {1, 2}, 1: {1, 2}, 2: {3, 4}, 3: {1}, 6: {3}}
"""Samples a pixel by photometric interpretation; one more than the colours is alpha."""
_PACKED_BITS = frozenset({10, 12, 14})


class _Cut(Exception):  # noqa: N818 - a signal inside this module, never seen outside
    """The file ends before what its structure promises."""


@dataclass(frozen=True)
class Tag:
    """One entry of a directory: its type, how many values, and where they lie in the file.

    ``entry_at`` is where the entry itself lies.
    """

    kind: int
    count: int
    at: int
    entry_at: int


@dataclass(frozen=True)
class Page:
    """One directory of a TIFF: ``following`` is where the next lies, 0 for none."""

    data: bytes
    order: str
    big: bool
    tags: dict[int, Tag]
    following: int

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Whole numbers of a tag; empty when it is missing or of another type.

        Raises `FilmError` ``corrupt`` for more values than a film within any limit has.
        """
        entry = self.tags.get(tag)
        code = _TYPE_CODES.get(entry.kind) if entry is not None else None
        if entry is None or code is None:
            return ()
        if entry.at + entry.count * _TYPE_BYTES[entry.kind] > len(self.data):
            raise _Cut
        if entry.count > _MOST_VALUES:
            raise FilmError(Reason.CORRUPT, f"TIFF tag {tag} with {entry.count} values")
        return struct.unpack_from(f"{self.order}{entry.count}{code}", self.data, entry.at)

    def number(self, tag: int, default: int) -> int:
        """First whole number of a tag, or the default."""
        values = self.numbers(tag)
        return values[0] if values else default


def _byte_order(data: bytes) -> str:
    return "<" if data[:2] == b"II" else ">"


def _first_page_at(data: bytes) -> int:
    order = _byte_order(data)
    if data[2:4] in {b"+\0", b"\0+"}:
        return _unpack(data, order + "Q", 8)
    return _unpack(data, order + "I", 4)


def _unpack(data: bytes, layout: str, at: int) -> int:
    try:
        return int(struct.unpack_from(layout, data, at)[0])
    except (struct.error, OverflowError) as error:
        raise _Cut from error


def _read_page(data: bytes, at: int) -> Page:
    order, big = _byte_order(data), data[2:4] in {b"+\0", b"\0+"}
    count = _unpack(data, order + ("Q" if big else "H"), at)
    at += 8 if big else 2
    if count > _MOST_TAGS:
        raise FilmError(Reason.CORRUPT, f"TIFF directory with {count} tags")
    entry_bytes, inline, word = (20, 8, "Q") if big else (12, 4, "I")
    tags: dict[int, Tag] = {}
    for _ in range(count):
        number, kind = _unpack(data, order + "H", at), _unpack(data, order + "H", at + 2)
        values = _unpack(data, order + word, at + 4)
        field_at = at + 4 + inline
        if values * _TYPE_BYTES.get(kind, 1) > inline:
            field_at = _unpack(data, order + word, field_at)
        # libtiff, which decodes the samples, uses the first of several entries of one tag.
        tags.setdefault(number, Tag(kind, values, field_at, at))
        at += entry_bytes
    return Page(data, order, big, tags, _unpack(data, order + word, at))


def exif_orientation(exif: bytes) -> int | None:
    """Orientation (1 to 8) in a block of Exif, which is a TIFF; None when it says nothing sound."""
    if exif[:4] not in {b"II*\0", b"MM\0*"}:
        return None
    try:
        value = _read_page(exif, _first_page_at(exif)).number(ORIENTATION, 0)
    except (_Cut, FilmError):
        return None
    return value if 1 <= value <= 8 else None


def _orientation(page: Page) -> int:
    value = page.number(ORIENTATION, 1)
    return value if 1 <= value <= 8 else 1


def decode_tiff(data: bytes, max_megapixels: float) -> Picture:
    """Decode a TIFF of one page: 1 to 16 bits, grey, palette or colour, classic or big.

    Raises `FilmError` with ``truncated``, ``corrupt``, ``too_large``, ``too_small``,
    ``multi_frame``, ``unsupported_pixels`` or ``unsupported_format``.
    """
    try:
        return _decode(data, max_megapixels)
    except _Cut as error:
        raise FilmError(Reason.TRUNCATED, f"TIFF of {len(data)} bytes") from error


def _decode(data: bytes, max_megapixels: float) -> Picture:
    page = _only_page(data)
    width, height = page.number(WIDTH, 0), page.number(LENGTH, 0)
    check_size(width, height, max_megapixels)
    _check_samples(page)
    _check_blocks(page, width, height, max_megapixels)
    plain = bytearray(data)
    turn_tag = page.tags.get(ORIENTATION)
    if turn_tag is not None and turn_tag.kind in _TYPE_CODES and page.numbers(ORIENTATION):
        struct.pack_into(page.order + _TYPE_CODES[turn_tag.kind], plain, turn_tag.at, 1)
    if page.number(PLANAR, 1) == _PLANES_APART and page.number(SAMPLES, 1) > 1:
        planes = [_opened(one_plane(plain, page, i), width, height) for i in range(_PLANES)]
        image = np.dstack(planes[::-1])
    else:
        image = _opened(plain, width, height)
    # OpenCV has already laid an alpha plane over black.
    opaque = image[:, :, :3] if image.ndim == 3 else image
    bits = page.number(BITS, 1)
    if bits in _PACKED_BITS:
        # OpenCV has already moved samples of 10 to 14 bits to the top of 16.
        opaque = opaque >> (16 - bits)
    grey, flags = grey_of(opaque, page.number(MAX_SAMPLE, 0) or None)
    if page.number(PHOTOMETRIC, 1) == _WHITE_IS_ZERO and image.dtype == np.uint16:
        grey = 255 - grey
    return Picture(grey, _orientation(page), flags)


def _opened(data: bytes | bytearray, width: int, height: int) -> npt.NDArray[Any]:
    """Decode a TIFF with OpenCV and hold it to the size that its tags state."""
    image, messages = decode_with_opencv(bytes(data), cv2.IMREAD_UNCHANGED, "TIFF")
    damage = messages.line_with("TIFF_Error")
    if damage is not None:
        raise FilmError(Reason.CORRUPT, f"TIFF: {damage}")
    if image.shape[:2] != (height, width):
        raise FilmError(Reason.CORRUPT, f"TIFF of {width} x {height} pixels came as {image.shape}")
    return image


def _only_page(data: bytes) -> Page:
    first = _read_page(data, _first_page_at(data))
    seen, at, pages = {_first_page_at(data)}, first.following, 1
    while at and at not in seen and pages < _MOST_PAGES:
        seen.add(at)
        at = _read_page(data, at).following
        pages += 1
    if pages > 1:
        raise FilmError(Reason.MULTI_FRAME, f"{pages} pages")
    return first


def _check_samples(page: Page) -> None:
    photometric = page.number(PHOTOMETRIC, 1)
    if photometric not in _SAMPLES_OF:
        name = "CMYK" if photometric == _CMYK else f"photometric interpretation {photometric}"
        raise FilmError(Reason.UNSUPPORTED_PIXELS, f"TIFF, {name}")
    bits = page.numbers(BITS)[:_MOST_SAMPLES] or (1,)
    formats = set(page.numbers(SAMPLE_FORMAT)[:_MOST_SAMPLES]) - {1, 4}
    if formats:
        names = {2: "signed", 3: "float", 5: "complex", 6: "complex float"}
        named = ", ".join(sorted(names.get(f, str(f)) for f in formats))
        raise FilmError(Reason.UNSUPPORTED_PIXELS, f"TIFF, {named} samples of {bits[0]} bits")
    readable = {4, 8} if photometric == _PALETTE else {1, 8, 10, 12, 14, 16}
    if len(set(bits)) > 1 or bits[0] not in readable:
        raise FilmError(Reason.UNSUPPORTED_PIXELS, f"TIFF, samples of {bits} bits")
    samples = page.number(SAMPLES, 1)
    if samples not in _SAMPLES_OF[photometric]:
        raise FilmError(
            Reason.UNSUPPORTED_PIXELS,
            f"TIFF, {samples} samples, photometric interpretation {photometric}",
        )
    apart = page.number(PLANAR, 1) == _PLANES_APART and samples > 1
    if apart and (samples != _PLANES or photometric != _RGB):
        raise FilmError(
            Reason.UNSUPPORTED_PIXELS,
            f"TIFF, {samples} separate planes, photometric interpretation {photometric}",
        )
    compression = page.number(COMPRESSION, 1)
    if compression not in _COMPRESSIONS:
        raise FilmError(Reason.UNSUPPORTED_FORMAT, f"TIFF, compression {compression}")


def _check_blocks(page: Page, width: int, height: int, max_megapixels: float) -> None:
    """Hold strips or tiles to the file's length and to the page they fill."""
    samples = page.number(SAMPLES, 1)
    planes = samples if page.number(PLANAR, 1) == _PLANES_APART else 1
    bits = page.number(BITS, 1) * (1 if planes > 1 else samples)
    if TILE_WIDTH in page.tags:
        block = page.number(TILE_WIDTH, 0), page.number(TILE_LENGTH, 0)
        if min(block) <= 0 or block[0] * block[1] > max(max_megapixels * 1e6, 1 << 20):
            raise FilmError(Reason.CORRUPT, f"TIFF tiles of {block[0]} x {block[1]} pixels")
        wanted = -(-width // block[0]) * -(-height // block[1]) * planes
        offsets, lengths = page.numbers(TILE_OFFSETS), page.numbers(TILE_BYTES)
    else:
        rows = min(page.number(ROWS_PER_STRIP, height) or height, height)
        block = width, rows
        wanted = -(-height // rows) * planes
        offsets, lengths = page.numbers(STRIP_OFFSETS), page.numbers(STRIP_BYTES)
    if len(offsets) < wanted:
        raise FilmError(Reason.CORRUPT, f"TIFF with {len(offsets)} blocks of {wanted}")
    block_bytes = -(-block[0] * bits // 8) * block[1]
    plain = page.number(COMPRESSION, 1) == 1
    for i in range(wanted):
        length = lengths[i] if i < len(lengths) else 0
        if plain and TILE_WIDTH not in page.tags:
            rows = min(block[1], height - (i % (wanted // planes)) * block[1])
            length = max(length, block_bytes // block[1] * rows)
        if not 0 < offsets[i] <= len(page.data) - length:
            raise _Cut


_OF_EACH_SAMPLE = (BITS, MIN_SAMPLE, MAX_SAMPLE, SAMPLE_FORMAT)
_OF_EACH_BLOCK = (STRIP_OFFSETS, STRIP_BYTES, TILE_OFFSETS, TILE_BYTES)


def one_plane(data: bytes | bytearray, page: Page, index: int) -> bytearray:
    """Make a copy of a TIFF with separate colour planes that holds one of them as grey.

    OpenCV reads separate planes as if their samples were interleaved where these have over 8 bits.
    Only the directory is changed: its lists of strips or tiles are cut to those of the plane.
    """
    plain = bytearray(data)
    for tag, value in ((SAMPLES, 1), (PLANAR, _PLANES_TOGETHER), (PHOTOMETRIC, _BLACK_IS_ZERO)):
        if tag in page.tags:
            _list_of(plain, page, tag, (value,))
    for tag in _OF_EACH_SAMPLE:
        if page.numbers(tag):
            _list_of(plain, page, tag, page.numbers(tag)[:1])
    for tag in _OF_EACH_BLOCK:
        values = page.numbers(tag)
        if values:
            count = len(values) // _PLANES
            _list_of(plain, page, tag, values[index * count : (index + 1) * count])
    return plain


def _list_of(plain: bytearray, page: Page, tag: int, values: tuple[int, ...]) -> None:
    """Replace the values of a tag by as many or fewer, where the old ones lie or in its entry."""
    entry = page.tags[tag]
    word = "Q" if page.big else "I"
    inline = struct.calcsize(word)
    packed = struct.pack(f"{page.order}{len(values)}{_TYPE_CODES[entry.kind]}", *values)
    struct.pack_into(page.order + word, plain, entry.entry_at + 4, len(values))
    value_at = entry.entry_at + 4 + inline
    if len(packed) <= inline:
        plain[value_at : value_at + inline] = packed.ljust(inline, b"\0")
    else:
        plain[entry.at : entry.at + len(packed)] = packed
