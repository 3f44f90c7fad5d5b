"""Decodes BMP films: header, palette and samples by our own reader.

Layer: imaging; bytes in, arrays out. OpenCV wraps run-length rows that are padded, takes channel
masks behind a short header for the usual ones, and reads pixels that lie inside the palette.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import FilmError, Reason
from edge.imaging.picture import Picture, check_size, luminance

_FILE_HEADER_BYTES = 14
_CORE, _OS2, _INFO, _INFO_BYTES = 12, 64, 40, frozenset({16, 40, 52, 56, 64, 108, 124})
_RGB, _RLE8, _RLE4, _FIELDS, _ALPHA_FIELDS = 0, 1, 2, 3, 6
_DEPTHS = {
    _RGB: frozenset({1, 4, 8, 16, 24, 32}),
    _RLE8: frozenset({8}),
    _RLE4: frozenset({4}),
    _FIELDS: frozenset({16, 32}),
    _ALPHA_FIELDS: frozenset({16, 32}),
}
_USUAL_MASKS = {16: (0x7C00, 0x3E0, 0x1F), 32: (0xFF0000, 0xFF00, 0xFF)}
_MASKS_AT = _FILE_HEADER_BYTES + _INFO
_END_OF_LINE, _END_OF_PICTURE, _DELTA = 0, 1, 2


@dataclass(frozen=True)
class _Bmp:
    """Fields of a header. ``height`` is positive; ``colours`` are those of the palette."""

    pixels_at: int
    head_bytes: int
    width: int
    height: int
    top_down: bool
    depth: int
    compression: int
    packed_bytes: int
    colours: int

    @property
    def row_bytes(self) -> int:
        """Bytes of one uncompressed row."""
        return (self.width * self.depth + 31) // 32 * 4

    @property
    def masks_bytes(self) -> int:
        """Bytes of channel masks behind the header."""
        return {_FIELDS: 12, _ALPHA_FIELDS: 16}.get(self.compression, 0) * (
            self.head_bytes == _INFO
        )

    @property
    def palette_at(self) -> int:
        """Where the palette starts, or would."""
        return _FILE_HEADER_BYTES + self.head_bytes + self.masks_bytes

    @property
    def colour_bytes(self) -> int:
        """Bytes of one colour of the palette."""
        return 3 if self.head_bytes == _CORE else 4


def decode_bmp(data: bytes, max_megapixels: float) -> Picture:
    """Decode a BMP: 1 to 32 bits, palette, colour or channel masks, run-length coded or not.

    Raises `FilmError` with ``truncated``, ``corrupt``, ``too_large``, ``too_small``,
    ``unsupported_format`` or ``unsupported_pixels``.
    """
    head = _read_header(data, max_megapixels)
    if head.compression in {_RLE8, _RLE4}:
        indices = _run_length(data, head)
    else:
        needed = head.pixels_at + head.row_bytes * head.height
        if len(data) < needed:
            raise FilmError(Reason.TRUNCATED, f"BMP of {len(data)} bytes, {needed} needed")
        rows = np.frombuffer(data, np.uint8, head.row_bytes * head.height, head.pixels_at)
        rows = rows.reshape(head.height, head.row_bytes)
        if head.depth > 8:
            grey = luminance(_channels(data, head, rows))
            return Picture(np.ascontiguousarray(grey if head.top_down else grey[::-1]))
        indices = _indices(rows, head)
    grey = np.take(_palette_grey(data, head, int(indices.max())), indices)
    return Picture(np.ascontiguousarray(grey if head.top_down else grey[::-1]))


def _read_header(data: bytes, max_megapixels: float) -> _Bmp:
    if len(data) < _FILE_HEADER_BYTES + _CORE:
        raise FilmError(Reason.TRUNCATED, f"BMP of {len(data)} bytes")
    pixels_at, head_bytes = struct.unpack_from("<II", data, 10)
    compression = packed = colours = 0
    if head_bytes == _CORE:
        width, height, _, depth = struct.unpack_from("<HHHH", data, 18)
    elif head_bytes in _INFO_BYTES:
        if len(data) < _FILE_HEADER_BYTES + head_bytes:
            raise FilmError(Reason.TRUNCATED, f"BMP of {len(data)} bytes")
        width, height, _, depth = struct.unpack_from("<iiHH", data, 18)
        if head_bytes >= _INFO:
            compression, packed, _, _, colours = struct.unpack_from("<IIiiI", data, 30)
    else:
        raise FilmError(Reason.UNSUPPORTED_FORMAT, f"BMP with a header of {head_bytes} bytes")
    check_size(width, abs(height), max_megapixels)
    # OS/2 numbers its own compressions from 3.
    if depth not in _DEPTHS.get(compression, ()) or (head_bytes == _OS2 and compression > _RLE4):
        raise FilmError(Reason.UNSUPPORTED_FORMAT, f"BMP, compression {compression}, {depth} bits")
    if height < 0 and compression in {_RLE8, _RLE4}:
        raise FilmError(Reason.UNSUPPORTED_FORMAT, "BMP, run-length coded from the top")
    whole = 1 << depth if depth <= 8 else 0
    head = _Bmp(
        pixels_at, head_bytes, width, abs(height), height < 0, depth, compression, packed,
        min(colours, whole) or whole,
    )  # fmt: skip
    before = head.palette_at + head.colours * head.colour_bytes
    if pixels_at < before:
        raise FilmError(
            Reason.CORRUPT, f"BMP with pixels at {pixels_at}, header and palette end at {before}"
        )
    return head


def _palette_grey(data: bytes, head: _Bmp, largest: int) -> npt.NDArray[np.uint8]:
    """Luminance of each colour of the palette: [colours] uint8."""
    if largest >= head.colours:
        raise FilmError(Reason.CORRUPT, f"BMP with colour {largest} of {head.colours}")
    wanted = head.colours * head.colour_bytes
    colours = np.frombuffer(data, np.uint8, wanted, head.palette_at)
    whole = colours.reshape(1, head.colours, head.colour_bytes)[:, :, :3]
    return np.asarray(luminance(whole)[0])


def _indices(rows: npt.NDArray[np.uint8], head: _Bmp) -> npt.NDArray[np.uint8]:
    """Indices [height, width] of rows of 1, 4 or 8 bits."""
    if head.depth == 8:
        return rows[:, : head.width]
    if head.depth == 4:
        return np.stack([rows >> 4, rows & 15], axis=2).reshape(head.height, -1)[:, : head.width]
    return np.unpackbits(rows, axis=1)[:, : head.width]


def _channels(data: bytes, head: _Bmp, rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Blue, green and red [height, width, 3] of rows of 16, 24 or 32 bits."""
    if head.depth == 24:
        return rows[:, : head.width * 3].reshape(head.height, head.width, 3)
    kind = "<u2" if head.depth == 16 else "<u4"
    cells = rows.reshape(-1).view(kind).reshape(head.height, -1)[:, : head.width]
    if head.compression == _RGB:
        masks = _USUAL_MASKS[head.depth]
    else:
        if len(data) < _MASKS_AT + 12:
            raise FilmError(Reason.TRUNCATED, f"BMP of {len(data)} bytes")
        masks = struct.unpack_from("<3I", data, _MASKS_AT)
    _check_masks(masks, head.depth)
    return np.stack([_channel(cells, mask) for mask in masks[::-1]], axis=2)


def _check_masks(masks: tuple[int, ...], depth: int) -> None:
    """Refuse masks that are empty, torn, overlapping or wider than a pixel."""
    whole = masks[0] | masks[1] | masks[2]
    joined = all(mask and (mask + (mask & -mask)) & mask == 0 for mask in masks)
    if not joined or sum(masks) != whole or whole >> depth:
        named = ", ".join(f"{mask:#x}" for mask in masks)
        raise FilmError(Reason.UNSUPPORTED_PIXELS, f"BMP with channel masks {named}")


def _channel(cells: npt.NDArray[Any], mask: int) -> npt.NDArray[np.uint8]:
    shift = (mask & -mask).bit_length() - 1
    largest = mask >> shift
    values = (cells & mask) >> shift
    return np.asarray(np.rint(values * (255 / largest)), np.uint8)


def _run_length(data: bytes, head: _Bmp) -> npt.NDArray[np.uint8]:
    """Indices [height, width] of run-length coded rows, from the bottom.

    Rows may be padded to a multiple of four pixels. Anything else that leaves pixels out or runs
    over the row's end is refused.
    """
    end = len(data)
    if head.packed_bytes:
        end = head.pixels_at + head.packed_bytes
        if len(data) < end:
            raise FilmError(Reason.TRUNCATED, f"BMP of {len(data)} bytes, {end} needed")
    packed = data[head.pixels_at : end]
    padded = -(-head.width // 4) * 4
    rows: list[bytes] = []
    row, at = bytearray(), 0
    while len(rows) < head.height and at + 1 < len(packed):
        count, code = packed[at], packed[at + 1]
        at += 2
        if count:
            row += _run(count, code, head.depth)
        elif code == _END_OF_LINE:
            _check_row(row, head.width, padded)
            rows.append(bytes(row[: head.width]))
            row = bytearray()
        elif code == _END_OF_PICTURE:
            break
        elif code == _DELTA:
            raise FilmError(Reason.UNSUPPORTED_PIXELS, "BMP whose run-length code skips pixels")
        else:
            length = code if head.depth == 8 else -(-code // 2)
            row += _absolute(packed[at : at + length], code, head.depth)
            at += length + length % 2
        if len(row) > padded:
            _check_row(row, head.width, padded)
    if len(rows) == head.height - 1 and row:
        _check_row(row, head.width, padded)
        rows.append(bytes(row[: head.width]))
    if len(rows) < head.height:
        raise FilmError(Reason.TRUNCATED, f"BMP with {len(rows)} rows of {head.height}")
    return np.frombuffer(b"".join(rows), np.uint8).reshape(head.height, head.width)


def _check_row(row: bytearray, width: int, padded: int) -> None:
    if not width <= len(row) <= padded:
        raise FilmError(Reason.CORRUPT, f"BMP with a run-length row of {len(row)} for {width}")


def _run(count: int, code: int, depth: int) -> bytes:
    if depth == 8:
        return bytes([code]) * count
    return (bytes([code >> 4, code & 15]) * (count // 2 + 1))[:count]


def _absolute(values: bytes, count: int, depth: int) -> bytes:
    if depth == 8:
        return values
    return bytes(part for value in values for part in (value >> 4, value & 15))[:count]
