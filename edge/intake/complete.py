"""Checks whether all bytes of a film are there, from its structure and without decoding it.

Every check reads headers, lengths and the tail of an open file. A film that passes may still be
damaged, which the decoder finds. A film that does not pass may still be growing.

Layer: intake; reads an open file, in bounded work whatever its bytes are.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import BinaryIO, NamedTuple

from edge.enums import StrEnum

_TAIL = 4096
_BMP_CORE_BYTES, _BMP_INFO_BYTES = 12, 40
_BMP_RUN_LENGTH = frozenset({1, 2})
_STEPS = 200_000
"""Most elements, chunks or strips that are walked before the file counts as of unknown kind."""


class Structure(StrEnum):
    """What the structure shows of the film's end."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    """Bytes are missing: a length points beyond the end, or coded data end without a marker."""
    NO_TRAILER = "no_trailer"
    """Everything but the closing marker is there."""
    ZERO_TAIL = "zero_tail"
    """Right length, but the last block is all zeros: preallocated, or a black border."""
    UNKNOWN = "unknown"
    """No kind of file whose end can be found."""


class _Cut(Exception):  # noqa: N818 - a signal inside this module, never seen outside
    """The file ends before what its structure promises."""


class _Window:
    """Reads at absolute offsets; a read past the end raises `_Cut`."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.size = size

    def at(self, offset: int, length: int) -> bytes:
        if offset < 0 or offset + length > self.size:
            raise _Cut
        self._file.seek(offset)
        data = self._file.read(length)
        if len(data) != length:
            raise _Cut
        return data

    def is_zero(self, offset: int, length: int) -> bool:
        """Whether the last (at most 4 KiB) of a block are zeros; an empty block is not."""
        start = max(offset, offset + length - _TAIL)
        data = self.at(start, offset + length - start)
        return bool(data) and not data.strip(b"\0")


def structure_of(file: BinaryIO, size: int) -> Structure:
    """Tell whether the film in an open file is whole.

    Parameters
    ----------
    file
        Open for binary reading; its position is moved.
    size
        Length of the file in bytes, as `os.fstat` gives it.

    Returns
    -------
    Structure
        Never raises for the file's contents; `OSError` of the file system passes through.
    """
    window = _Window(file, size)
    head = window.at(0, min(size, 132))
    try:
        if head.startswith(b"\xff\xd8\xff"):
            return _jpeg(window)
        if head.startswith(b"\x89PNG\r\n\x1a\n"):
            return _png(window)
        if head[:4] in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}:
            return _tiff(window, head)
        if head.startswith(b"BM") and size >= 26:
            return _bmp(window, head)
        if head[128:132] == b"DICM":
            return _dicom(window, 132)
        if head[:4] in {b"\x02\0\0\0", b"\x08\0\x05\0", b"\x08\0\x08\0"}:
            return _dicom(window, 0)
    except _Cut:
        return Structure.INCOMPLETE
    return Structure.UNKNOWN


def tail_of(file: BinaryIO, size: int) -> bytes:
    """Last (at most 4 KiB) bytes of an open file, for comparing two looks at it."""
    file.seek(max(0, size - _TAIL), os.SEEK_SET)
    return file.read(_TAIL)


def _jpeg(window: _Window) -> Structure:
    start = max(0, window.size - _TAIL)
    tail = window.at(start, window.size - start)
    body = tail.rstrip(b"\0\r\n ")
    if not body:
        return Structure.ZERO_TAIL
    return Structure.COMPLETE if body.endswith(b"\xff\xd9") else Structure.INCOMPLETE


def _png(window: _Window) -> Structure:
    offset = 8
    for _ in range(_STEPS):
        if offset == window.size and _png_pixels_are_whole(window):
            return Structure.NO_TRAILER
        length, kind = struct.unpack(">I4s", window.at(offset, 8))
        if not kind.isalpha():
            return Structure.INCOMPLETE
        following = offset + 12 + length
        if following > window.size:
            return Structure.INCOMPLETE
        if kind == b"IEND":
            return Structure.COMPLETE
        offset = following
    return Structure.UNKNOWN


def _png_pixels_are_whole(window: _Window) -> bool:
    """Whether the compressed pixels end as they should, in a file that ends after a chunk."""
    inflate, offset = zlib.decompressobj(), 8
    budget = 1 << 28
    while offset < window.size and not inflate.eof:
        length, kind = struct.unpack(">I4s", window.at(offset, 8))
        data = window.at(offset + 8, length) if kind == b"IDAT" else b""
        while data and not inflate.eof:
            try:
                budget -= len(inflate.decompress(data, 1 << 20))
            except zlib.error:
                return False
            data = inflate.unconsumed_tail
            if budget < 0:
                return False
        offset += 12 + length
    return inflate.eof


def _bmp(window: _Window, head: bytes) -> Structure:
    promised, _, pixels_at, head_bytes = struct.unpack("<IIII", head[2:18])
    compression = packed = 0
    if head_bytes == _BMP_CORE_BYTES:
        width, height, _, bits = struct.unpack("<HHHH", head[18:26])
    else:
        width, height, _, bits = struct.unpack("<iiHH", head[18:30].ljust(12, b"\0"))
        if head_bytes >= _BMP_INFO_BYTES:
            compression, packed = struct.unpack("<II", head[30:38].ljust(8, b"\0"))
    if compression in _BMP_RUN_LENGTH:
        needed = pixels_at + packed if packed else promised
    else:
        needed = pixels_at + (abs(width) * bits + 31) // 32 * 4 * abs(height)
    if window.size < needed or not needed:
        return Structure.INCOMPLETE
    zero = window.is_zero(pixels_at, window.size - pixels_at)
    return Structure.ZERO_TAIL if zero else Structure.COMPLETE


class _Ifd(NamedTuple):
    """Block tables of one TIFF page, and where the next page's directory lies (0: none)."""

    blocks: list[tuple[int, int]]
    following: int


_TIFF_TYPES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}


def _tiff(window: _Window, head: bytes) -> Structure:
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in {b"+\0", b"\0+"}
    offset = (
        struct.unpack(order + "Q", window.at(8, 8))[0]
        if big
        else (struct.unpack(order + "I", window.at(4, 4))[0])
    )
    last: tuple[int, int] | None = None
    seen: set[int] = set()
    while offset and offset not in seen and len(seen) < 64:
        seen.add(offset)
        page = _tiff_directory(window, offset, order, big=big)
        for start, length in page.blocks:
            if start + length > window.size:
                return Structure.INCOMPLETE
            if length and (last is None or start > last[0]):
                last = (start, length)
        offset = page.following
    if last is None:
        return Structure.INCOMPLETE
    return Structure.ZERO_TAIL if window.is_zero(*last) else Structure.COMPLETE


def _tiff_directory(window: _Window, offset: int, order: str, *, big: bool) -> _Ifd:
    count_form, entry_form, inline = ("Q", "HHQ", 8) if big else ("H", "HHI", 4)
    count_size = struct.calcsize(order + count_form)
    (count,) = struct.unpack(order + count_form, window.at(offset, count_size))
    entry_size = struct.calcsize(order + entry_form) + inline
    if count * entry_size > window.size:
        raise _Cut
    tables: dict[int, tuple[int, ...]] = {}
    entries = window.at(offset + count_size, count * entry_size)
    for i in range(count):
        entry = entries[i * entry_size : (i + 1) * entry_size]
        tag, kind, number = struct.unpack_from(order + entry_form, entry)
        if tag not in {273, 279, 324, 325} or kind not in _TIFF_TYPES or number > _STEPS:
            continue
        form = order + str(number) + _TIFF_TYPES[kind]
        length = struct.calcsize(form)
        value = entry[-inline:]
        if length <= inline:
            tables[tag] = struct.unpack(form, value[:length])
        else:
            (at,) = struct.unpack(order + ("Q" if big else "I"), value)
            tables[tag] = struct.unpack(form, window.at(at, length))
    form = order + ("Q" if big else "I")
    (following,) = struct.unpack(
        form, window.at(offset + count_size + len(entries), struct.calcsize(form))
    )
    starts = tables.get(273) or tables.get(324) or ()
    lengths = tables.get(279) or tables.get(325) or ()
    return _Ifd(list(zip(starts, lengths, strict=False)), following)


_LONG_VRS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT",
             b"UV"}  # fmt: skip
_UNDEFINED = 0xFFFFFFFF
_PIXELS = {(0x7FE0, 0x0008), (0x7FE0, 0x0009), (0x7FE0, 0x0010)}
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)


class _Element(NamedTuple):
    tag: tuple[int, int]
    length: int
    value_at: int


def _dicom_element(window: _Window, offset: int, order: str, *, explicit: bool) -> _Element:
    header = window.at(offset, 8)
    group, element = struct.unpack(order + "HH", header[:4])
    if group == 0xFFFE or not explicit:
        return _Element((group, element), struct.unpack(order + "I", header[4:])[0], offset + 8)
    if header[4:6] in _LONG_VRS:
        (length,) = struct.unpack(order + "I", window.at(offset + 8, 4))
        return _Element((group, element), length, offset + 12)
    return _Element((group, element), struct.unpack(order + "H", header[6:])[0], offset + 8)


def _dicom(window: _Window, offset: int) -> Structure:
    syntax = b""
    if window.at(offset, 2) == b"\x02\0":
        offset, syntax = _dicom_meta(window, offset)
    if syntax == b"1.2.840.10008.1.2.1.99":
        return _deflated(window, offset)
    order = ">" if syntax == b"1.2.840.10008.1.2.2" else "<"
    explicit = window.at(offset + 4, 2).isalpha() and syntax != b"1.2.840.10008.1.2"
    depth = 0
    pixels: _Element | None = None
    for _ in range(_STEPS):
        # A tail shorter than one element's header is padding that some senders leave.
        if window.size - offset < 8 and depth == 0:
            break
        if offset == window.size and pixels is not None and pixels.length == _UNDEFINED:
            # The last fragment is whole, and the delimiter behind it is missing.
            return Structure.NO_TRAILER if depth == 1 else Structure.INCOMPLETE
        item = _dicom_element(window, offset, order, explicit=explicit)
        offset = item.value_at
        if item.tag in _PIXELS and depth == 0:
            pixels = item
        if item.tag in {_ITEM_END, _SEQUENCE_END}:
            depth = max(0, depth - 1)
        elif item.length == _UNDEFINED:
            depth += 1
        else:
            offset += item.length
        if offset > window.size:
            return Structure.INCOMPLETE
    else:
        return Structure.UNKNOWN
    if pixels is None:
        # An object without pixels (a report) has no end that differs from a cut.
        return Structure.UNKNOWN
    if pixels.length != _UNDEFINED and window.is_zero(pixels.value_at, pixels.length):
        return Structure.ZERO_TAIL
    return Structure.COMPLETE


def _dicom_meta(window: _Window, offset: int) -> tuple[int, bytes]:
    """Where group 0002 ends, and the transfer syntax it names."""
    syntax = b""
    for _ in range(256):
        item = _dicom_element(window, offset, "<", explicit=True)
        if item.tag[0] != 2:
            break
        if item.tag[1] == 0x0010:
            syntax = window.at(item.value_at, min(item.length, 64)).strip(b"\0 ")
        offset = item.value_at + item.length
    return offset, syntax


def _deflated(window: _Window, offset: int) -> Structure:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    budget = 1 << 28
    while offset < window.size and not inflate.eof:
        piece = window.at(offset, min(1 << 16, window.size - offset))
        offset += len(piece)
        while piece and not inflate.eof:
            try:
                budget -= len(inflate.decompress(piece, 1 << 20))
            except zlib.error:
                return Structure.UNKNOWN
            piece = inflate.unconsumed_tail
            if budget < 0:
                return Structure.UNKNOWN
    return Structure.COMPLETE if inflate.eof else Structure.INCOMPLETE
