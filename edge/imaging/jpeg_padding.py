"""Finds padding in JPEG files: bytes between segments or at the end of a scan.

Layer: imaging; pure functions over bytes. Some scanners pad header segments or the end of a scan.
Padding is one byte repeated. At the end of a scan, damage in the middle can leave coded data over:
padding is not believed there where flat picture areas could be coded as the same byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

Ranges = tuple[tuple[int, int], ...]
"""First byte and end of stretches of a stream."""
HuffmanTables = Mapping[int, bytes]
"""Tables of DHT segments by class and number (one byte): 16 counts, then the symbols."""

MOST_PADDING_BYTES = 4096
_LEAST_PADDING_BYTES = 4
_MOST_PADDED_SCANS = 8
_STUFFED, _FILL = 0x00, 0xFF
AC_CLASS = 0x10


def is_padding(stray: bytes) -> bool:
    """Whether bytes between two segments are one byte repeated, fill bytes aside."""
    left = stray.strip(b"\xff")
    return len(left) <= MOST_PADDING_BYTES and len(set(left)) <= 1


def without(data: bytes, ranges: Iterable[tuple[int, int]]) -> bytes:
    """Copy a stream without some stretches."""
    parts, at = [], 0
    for start, end in sorted(ranges):
        parts.append(data[at:start])
        at = end
    return b"".join([*parts, data[at:]])


def scan_padding(
    data: bytes, scan_ends: Iterable[int], tables: HuffmanTables, *, sequential: bool
) -> list[tuple[int, int]]:
    """Stretches before the markers that end scans which may be padding: one byte, repeated.

    Nothing is found where flat areas may be coded like the padding.
    """
    found = []
    for end in scan_ends:
        value, start = data[end - 1], end - 1
        while start > end - MOST_PADDING_BYTES and data[start - 1] == value:
            start -= 1
        # A zero after 0xFF is stuffed: it belongs to the coded data.
        if value == _STUFFED and data[start - 1] == _FILL:
            start += 1
        if end - start >= _LEAST_PADDING_BYTES and not _codes_flat_areas(value, tables, sequential):
            found.append((start, end))
    return found[:_MOST_PADDED_SCANS]


def proved(found: Iterable[tuple[int, int]], premature: Callable[[Ranges], bool]) -> Ranges | None:
    """Stretches that are padding beyond doubt; None where one of them is not.

    Parameters
    ----------
    found
        As `scan_padding` gives them.
    premature
        Whether the decoder lacks coded data when stretches are left out. Without the padding it
        must lack none, and without one byte more it must lack some: else coded data are missing or
        left over, as after damage.
    """
    chosen: Ranges = ()
    for start, end in found:
        if premature((*chosen, (start, end))) or not premature((*chosen, (start - 1, end))):
            return None
        chosen = (*chosen, (start, end))
    return chosen or None


def _codes_flat_areas(value: int, tables: HuffmanTables, sequential: bool) -> bool:
    """Whether blocks without change, one after the other, may be coded as one byte repeated."""
    ends = [_code(table, 0) for key, table in tables.items() if key >= AC_CLASS]
    if not sequential:
        # Progressive scans code runs of empty blocks: only zeros are judged, by the first symbol.
        return value != 0 or any(code is not None and "1" not in code for code in ends)
    same = [_code(table, 0) for key, table in tables.items() if key < AC_CLASS]
    blocks = [one + other for one in same for other in ends if one and other]
    # Of eight repeats every byte of the pattern is there, wherever a byte boundary falls.
    return any(f"{value:08b}" in block * 16 for block in blocks)


def _code(table: bytes, symbol: int) -> str | None:
    """Bits of a symbol's code in a Huffman table; None where the table does not have it."""
    code, at = 0, 16
    for length in range(1, 17):
        for _ in range(table[length - 1]):
            if at < len(table) and table[at] == symbol:
                return f"{code:0{length}b}"
            code, at = code + 1, at + 1
        code <<= 1
    return None


def silent(data: bytes, found: Iterable[tuple[int, int]]) -> bool:
    """Whether zeros are padding even though the decoder reported none.

    Where coded data are missing, the decoder reads the padding in their place.
    """
    return any(data[start] == _STUFFED for start, _ in found)
