"""Reads the orientation of JPEG and PNG films, by one rule for every place that may hold it.

Layer: imaging; pure functions over bytes. Exif decides, then Exif that a converter put into a text
of a PNG, then XMP; a place without a valid value is passed over. TIFF has a tag of its own.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field

from edge.imaging.tiff import exif_orientation

EXIF_HEADER = b"Exif\0\0"
XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
_MOST_TEXT_BYTES = 1 << 20
_XMP_ORIENTATION = re.compile(
    rb"""tiff:Orientation\s*(?:=\s*["']\s*([1-8])\s*["']|>\s*([1-8])\s*</tiff:Orientation)"""
)
_RAW_PROFILE = re.compile(rb"\s*(\w+)\s+(\d+)\s+([0-9a-fA-F\s]*)\Z")
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_RAW_KEYWORD = b"Raw profile type "


@dataclass
class Orientations:
    """Orientation found in each place of one file; `decided` is the one that counts."""

    exif: int | None = None
    raw_exif: int | None = None
    xmp: int | None = None
    _left: int = field(default=_MOST_TEXT_BYTES, repr=False)

    @property
    def decided(self) -> int:
        """Orientation, 1 to 8; 1 (upright) where there is none."""
        return next((one for one in (self.exif, self.raw_exif, self.xmp) if one is not None), 1)

    def read_exif(self, block: bytes) -> None:
        """Read a block of Exif, with or without the header that JPEG puts before it."""
        found = exif_orientation(block.removeprefix(EXIF_HEADER))
        self.exif = found if self.exif is None else self.exif

    def read_app1(self, body: bytes) -> None:
        """Read an APP1 segment of a JPEG: Exif or XMP."""
        if body.startswith(EXIF_HEADER):
            self.read_exif(body)
        elif body.startswith(XMP_HEADER):
            self._read_xmp(body)

    def read_png_text(self, kind: bytes, body: bytes) -> None:
        """Read a text chunk (tEXt, zTXt, iTXt) of a PNG; unreadable text is passed over."""
        keyword, _, rest = body.partition(b"\0")
        if keyword != _XMP_KEYWORD and not keyword.startswith(_RAW_KEYWORD):
            return
        packed = kind == b"zTXt"
        if kind == b"zTXt":
            rest = rest[1:]
        elif kind == b"iTXt":
            packed = rest[:1] == b"\x01"
            rest = rest[2:].split(b"\0", 2)[-1]
        content = self._inflated(rest) if packed else rest
        if keyword == _XMP_KEYWORD:
            self._read_xmp(content)
        else:
            self._read_raw_profile(content)

    def _inflated(self, packed: bytes) -> bytes:
        """Text of a chunk; all chunks of one file together give no more than a limit."""
        if self._left <= 0:
            return b""
        try:
            content = zlib.decompressobj().decompress(packed, self._left)
        except zlib.error:
            return b""
        self._left -= len(content)
        return content

    def _read_raw_profile(self, content: bytes) -> None:
        """Read a profile as ImageMagick writes it: name, length, bytes in hexadecimal digits."""
        found = _RAW_PROFILE.match(content)
        if found is None or found[1].lower() not in {b"exif", b"app1", b"xmp"}:
            return
        digits = b"".join(found[3].split())
        block = bytes.fromhex(digits[: len(digits) // 2 * 2].decode("ascii"))
        if block.startswith(XMP_HEADER) or found[1].lower() == b"xmp":
            self._read_xmp(block)
        elif self.raw_exif is None:
            self.raw_exif = exif_orientation(block.removeprefix(EXIF_HEADER))

    def _read_xmp(self, packet: bytes) -> None:
        found = _XMP_ORIENTATION.search(packet)
        if found is not None and self.xmp is None:
            self.xmp = int(found[1] or found[2])
