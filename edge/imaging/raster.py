"""Decodes JPEG and PNG films: the structure by our own readers, the samples by OpenCV.

Layer: imaging; bytes in, arrays out. OpenCV pads a film that ends early and does not
report it, so the structure is read to its end first, and sizes are checked before decoding.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2

from edge.errors import FilmError, Reason
from edge.imaging.jpeg_padding import (
    AC_CLASS,
    HuffmanTables,
    Ranges,
    is_padding,
    proved,
    scan_padding,
    silent,
    without,
)
from edge.imaging.orientation import Orientations
from edge.imaging.picture import Picture, check_size, decode_with_opencv, grey_of

if TYPE_CHECKING:
    from edge.imaging.quiet import Messages
    from edge.model import GreyImage

# Inside scans JPEG stuffs 0xFF with 0x00, JPEG-LS with a byte under 0x80: neither is a marker.
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd8-\xfe])")
_EXTRA_BYTES = re.compile(r"extraneous bytes before marker 0x(?!d[0-7])")
_PREMATURE = ("Premature end", "premature end")
_JPEG_DAMAGE = (*_PREMATURE, "Corrupt JPEG data")
JPEG_PADDING = "jpeg_padding"
_MOST_SEGMENTS = 4000
_MOST_SCANS = 100
_DHT, _SOI, _EOI, _SOS, _APP1 = 0xC4, 0xD8, 0xD9, 0xDA, 0xE1
_NOTES = frozenset({*range(0xE0, 0xF0), 0xFE})
_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
_BASELINE, EXTENDED_FRAME, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
LOSSLESS_FRAME, JPEG_LS_FRAME = 0xC3, 0xF7
HUFFMAN_DCT_FRAMES = frozenset({_BASELINE, EXTENDED_FRAME, _PROGRESSIVE})


@dataclass(frozen=True)
class JpegHead:
    """A JPEG's frame header, its orientation, and whether the stream reaches its end marker.

    ``frame`` is the second byte of the frame's marker, e.g. 0xC0 for baseline. ``padding`` is where
    bytes lie between segments, ``notes`` where segments that the picture does not need (application
    data, comments), ``scan_ends`` are the places of the markers that end scans.
    """

    frame: int
    precision_bits: int
    width: int
    height: int
    components: int
    orientation: int
    complete: bool
    padding: Ranges = ()
    notes: Ranges = ()
    scan_ends: tuple[int, ...] = ()
    tables: HuffmanTables = field(default_factory=dict)

    @property
    def columns_rows_components(self) -> tuple[int, int, int]:
        """Size in the order in which DICOM's tags are compared."""
        return self.width, self.height, self.components


def read_jpeg(data: bytes) -> JpegHead:
    """Walk a JPEG's markers in bounded work.

    Raises `FilmError` ``truncated`` when it ends before its frame header, ``corrupt`` when the
    markers make no sense.
    """
    frame: tuple[int, int, int, int, int] | None = None
    orientations, scans, complete, at = Orientations(), 0, False, 2
    in_scan, tables = False, dict[int, bytes]()
    padding: list[tuple[int, int]] = []
    notes: list[tuple[int, int]] = []
    scan_ends: list[int] = []
    for _ in range(_MOST_SEGMENTS):
        found = _MARKER.search(data, at)
        if found is None:
            break
        stray = b"" if in_scan else data[at : found.start()].strip(b"\xff")
        if not is_padding(stray):
            raise FilmError(Reason.CORRUPT, f"JPEG with stray bytes between segments at {at}")
        if stray:
            padding.append((at, found.start()))
        if in_scan:
            scan_ends.append(found.start())
        kind, at = found[1][0], found.end()
        in_scan = kind == _SOS
        if kind == _EOI:
            complete = scans > 0
            break
        if kind == _SOI:
            continue
        if at + 2 > len(data):
            break
        length = struct.unpack_from(">H", data, at)[0]
        body, at = data[at + 2 : at + length], at + max(length, 2)
        if at > len(data):
            break
        if kind in _FRAME_MARKERS:
            if frame is not None or len(body) < 6:
                raise FilmError(Reason.CORRUPT, "JPEG with a second or a short frame header")
            precision, height, width, components = struct.unpack_from(">BHHB", body)
            frame = kind, precision, width, height, components
        elif kind == _DHT:
            tables |= huffman_tables(body)
        elif kind == _SOS:
            scans += 1
            # GDCM ends the process over a scan whose table was never sent.
            if frame is not None and not _has_tables(frame, body, tables):
                raise FilmError(Reason.CORRUPT, "JPEG scan without its Huffman table")
        elif kind in _NOTES:
            notes.append((found.start(), at))
            if kind == _APP1:
                orientations.read_app1(body)
        if scans > _MOST_SCANS:
            break
    else:
        raise FilmError(Reason.CORRUPT, f"JPEG with over {_MOST_SEGMENTS} segments")
    if scans > _MOST_SCANS:
        raise FilmError(Reason.CORRUPT, f"JPEG with over {_MOST_SCANS} scans")
    if frame is None:
        raise FilmError(Reason.TRUNCATED, f"JPEG of {len(data)} bytes without a frame header")
    return JpegHead(
        *frame,
        orientations.decided,
        complete,
        tuple(padding),
        tuple(notes),
        tuple(scan_ends),
        tables,
    )


def huffman_tables(body: bytes) -> dict[int, bytes]:
    """Tables that a DHT segment defines in full, by class and number (one byte)."""
    tables, at = dict[int, bytes](), 0
    while at + 17 <= len(body):
        symbols = sum(body[at + 1 : at + 17])
        if at + 17 + symbols > len(body) or not symbols:
            break
        tables[body[at]] = body[at + 1 : at + 17 + symbols]
        at += 17 + symbols
    return tables


def _has_tables(frame: tuple[int, int, int, int, int], scan: bytes, tables: HuffmanTables) -> bool:
    """Whether the tables are there of a scan that GDCM decodes; any other scan needs none."""
    process, precision, *_ = frame
    both = process == EXTENDED_FRAME and precision != 8
    if process != LOSSLESS_FRAME and not both:
        return True
    components = scan[0] if scan else 0
    chosen = [scan[2 + 2 * i] for i in range(components) if 2 + 2 * i < len(scan)]
    return (
        0 < components <= (len(scan) - 4) // 2
        and all(one >> 4 in tables for one in chosen)
        and (not both or all(AC_CLASS | one & 0x0F in tables for one in chosen))
    )


def decode_jpeg(data: bytes, max_megapixels: float) -> Picture:
    """Decode an 8-bit grey or colour JPEG, baseline or progressive, by its luminance.

    Raises `FilmError` with ``truncated``, ``corrupt``, ``too_large``, ``too_small`` or
    ``unsupported_pixels``.
    """
    head = read_jpeg(data)
    check_size(head.width, head.height, max_megapixels)
    if head.frame not in HUFFMAN_DCT_FRAMES or head.precision_bits != 8:
        raise FilmError(
            Reason.UNSUPPORTED_PIXELS,
            f"JPEG process SOF{head.frame & 0x0F}, {head.precision_bits} bits",
        )
    if head.components not in {1, 3}:
        raise FilmError(Reason.UNSUPPORTED_PIXELS, f"JPEG, {head.components} components (CMYK)")
    if not head.complete:
        raise FilmError(Reason.TRUNCATED, f"JPEG of {len(data)} bytes without its end marker")
    grey, flags = jpeg_grey(data, head)
    return Picture(grey, head.orientation, flags)


def jpeg_grey(data: bytes, head: JpegHead) -> tuple[GreyImage, tuple[str, ...]]:
    """Decode an 8-bit JPEG to grey, padding left out (flag ``jpeg_padding``).

    Raises `FilmError` with ``truncated`` or ``corrupt``.
    """
    grey, messages = _decoded(without(data, head.padding))
    flags = (JPEG_PADDING,) if head.padding else ()
    sequential = head.frame != _PROGRESSIVE
    # Scans of a progressive film end in zeros by nature: only the last one is looked at.
    ends = head.scan_ends if sequential else head.scan_ends[-1:]
    found = scan_padding(data, ends, head.tables, sequential=sequential)
    if _only_extra_bytes(messages) or (sequential and silent(data, found)):
        plain = _without_scan_padding(data, head, found)
        if plain is not None:
            flags = (JPEG_PADDING,)
            grey, messages = _decoded(plain)
        elif messages.line_with(*_JPEG_DAMAGE) is None:
            raise FilmError(Reason.CORRUPT, "JPEG: coded data run into padding")
    jpeg_damage(messages)
    return grey, flags


def _without_scan_padding(
    data: bytes, head: JpegHead, found: list[tuple[int, int]]
) -> bytes | None:
    """The stream without padding between segments and at the end of scans; None where it fails."""

    def premature(ranges: Ranges) -> bool:
        _, messages = _decoded(without(data, [*head.padding, *ranges]))
        return messages.line_with(*_PREMATURE) is not None

    chosen = proved(found, premature)
    return None if chosen is None else without(data, [*head.padding, *chosen])


def _decoded(data: bytes) -> tuple[GreyImage, Messages]:
    flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
    image, messages = decode_with_opencv(data, flags, "JPEG")
    return grey_of(image)[0], messages


def _only_extra_bytes(messages: Messages) -> bool:
    """Whether the only damage reported is bytes before markers that are no restart markers."""
    reported = [line for line in messages.text.splitlines() if any(w in line for w in _JPEG_DAMAGE)]
    return bool(reported) and all(_EXTRA_BYTES.search(line) for line in reported)


def jpeg_damage(messages: Messages) -> None:
    """Refuse a film whose decoder reported damage, although it gave a picture.

    Raises `FilmError` with ``truncated`` or ``corrupt``.
    """
    short = messages.line_with("Premature end", "premature end")
    if short is not None:
        raise FilmError(Reason.TRUNCATED, f"JPEG: {short}")
    damage = messages.line_with("Corrupt JPEG data")
    if damage is not None:
        raise FilmError(Reason.CORRUPT, f"JPEG: {damage}")


_PNG_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
_MOST_CHUNKS = 100_000
_INFLATED_STEP = 1 << 20
_MOST_UNREAD = 1 << 16
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
          (0, 1, 1, 2))  # fmt: skip


@dataclass(frozen=True)
class _Png:
    """Contents of the chunks. ``colour_key`` is where the chunk of one transparent colour lies."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool
    packed: tuple[bytes, ...]
    significant_bits: int | None
    orientation: int
    colour_key: tuple[int, int]

    @property
    def inflated_bytes(self) -> int:
        """Bytes of all filtered rows."""
        bits = self.depth * _PNG_CHANNELS[self.colour]
        passes = _ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        total = 0
        for x, y, step_x, step_y in passes:
            columns = max(0, -(-(self.width - x) // step_x))
            rows = max(0, -(-(self.height - y) // step_y))
            total += rows * (1 + -(-columns * bits // 8)) if columns else 0
        return total


def _read_png(data: bytes, max_megapixels: float) -> _Png:
    at, packed, orientations, significant = 8, [], Orientations(), None
    header: tuple[int, ...] | None = None
    colour_key = 0, 0
    for _ in range(_MOST_CHUNKS):
        if at + 12 > len(data):
            raise FilmError(Reason.TRUNCATED, f"PNG of {len(data)} bytes without its end chunk")
        length, kind = struct.unpack_from(">I4s", data, at)
        body, end = data[at + 8 : at + 8 + length], at + 12 + length
        if end > len(data):
            raise FilmError(Reason.TRUNCATED, f"PNG chunk of {length} bytes passes the file's end")
        critical = not kind[0] & 0x20
        checksum = zlib.crc32(data[at + 4 : end - 4]).to_bytes(4, "big")
        if critical and checksum != data[end - 4 : end]:
            raise FilmError(Reason.CORRUPT, f"PNG chunk {kind!r}: checksum differs")
        if header is None:
            if kind != b"IHDR" or length != 13:
                raise FilmError(Reason.CORRUPT, "PNG without its header")
            header = struct.unpack(">IIBBBBB", body)
            check_size(header[0], header[1], max_megapixels)
        elif kind == b"IDAT":
            packed.append(body)
        elif kind == b"acTL":
            raise FilmError(Reason.MULTI_FRAME, "animated PNG")
        elif kind == b"eXIf":
            orientations.read_exif(body)
        elif kind in _PNG_TEXTS:
            orientations.read_png_text(kind, body)
        elif kind == b"tRNS":
            colour_key = at, end
        elif kind == b"sBIT" and body:
            significant = body[0]
        elif kind == b"IEND":
            break
        at = end
    else:
        raise FilmError(Reason.CORRUPT, f"PNG with over {_MOST_CHUNKS} chunks")
    if header is None:
        raise FilmError(Reason.CORRUPT, "PNG without its header")
    width, height, depth, colour, compression, filtering, interlace = header
    if depth not in _PNG_DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise FilmError(Reason.CORRUPT, f"PNG of colour type {colour}, {depth} bits")
    return _Png(
        width,
        height,
        depth,
        colour,
        bool(interlace),
        tuple(packed),
        significant,
        orientations.decided,
        colour_key,
    )


def _check_inflated(png: _Png) -> None:
    """Inflate a PNG's rows in small steps: OpenCV shows missing rows as black."""
    inflate = zlib.decompressobj()
    left, unread = png.inflated_bytes, 0
    try:
        for body in png.packed:
            rest = body
            while rest and left > 0:
                left -= len(inflate.decompress(rest, _INFLATED_STEP))
                rest = inflate.unconsumed_tail
            unread += len(rest)
        while left > 0 and (more := inflate.decompress(b"", _INFLATED_STEP)):
            left -= len(more)
    except zlib.error as error:
        raise FilmError(Reason.CORRUPT, f"PNG: {error}") from error
    if unread > _MOST_UNREAD:
        # The decoder would inflate it all, to a thousand times as much, and throw it away.
        raise FilmError(Reason.CORRUPT, f"PNG with {unread} packed bytes after its last row")
    if left > 0:
        raise FilmError(Reason.TRUNCATED, f"PNG lacks {left} bytes of {png.inflated_bytes}")


def decode_png(data: bytes, max_megapixels: float) -> Picture:
    """Decode a still PNG of any depth: grey, palette, colour, with or without alpha.

    Raises `FilmError` with ``truncated``, ``corrupt``, ``too_large``, ``too_small`` or
    ``multi_frame``.
    """
    png = _read_png(data, max_megapixels)
    _check_inflated(png)
    # A colour that is transparent on a page is a grey like any other on a film.
    opaque = without(data, [png.colour_key])
    image, messages = decode_with_opencv(opaque, cv2.IMREAD_UNCHANGED, "PNG")
    damage = messages.line_with("libpng error")
    if damage is not None:
        raise FilmError(Reason.CORRUPT, f"PNG: {damage}")
    stated = (1 << png.significant_bits) - 1 if png.significant_bits else None
    grey, flags = grey_of(image, stated)
    return Picture(grey, png.orientation, flags)
