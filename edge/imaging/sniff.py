"""Identifies a file by its first bytes, never by its name.

Layer: imaging; pure, looks at the first 262 bytes only.
"""

from __future__ import annotations

import struct

from edge.enums import StrEnum

PREAMBLE_BYTES = 128


class Kind(StrEnum):
    """Kinds of file that are decoded."""

    DICOM = "DICOM"
    JPEG = "JPEG"
    PNG = "PNG"
    BMP = "BMP"
    TIFF = "TIFF"


_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"\xff\xd8", Kind.JPEG),
    (b"\x89PNG\r\n\x1a\n", Kind.PNG),
    (b"II*\0", Kind.TIFF),
    (b"MM\0*", Kind.TIFF),
    (b"II+\0", Kind.TIFF),
    (b"MM\0+", Kind.TIFF),
    (b"BM", Kind.BMP),
)
_FOREIGN: tuple[tuple[int, bytes, str], ...] = (
    (0, b"GIF8", "GIF"),
    (8, b"WEBP", "WebP"),
    (4, b"ftypheic", "HEIC"),
    (4, b"ftypheix", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (4, b"ftypavif", "AVIF"),
    (4, b"jP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL \r\n\x87\n", "JPEG XL"),
    (0, b"8BPS", "Photoshop"),
    (0, b"%PDF-", "PDF"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"v/1\1", "OpenEXR"),
    (0, b"\x59\xa6\x6a\x95", "Sun raster"),
)
_PACKED: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PK\3\4", "ZIP"),
    (0, b"PK\5\6", "ZIP"),
    (0, b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (0, b"Rar!\x1a\7", "RAR"),
    (0, b"\x1f\x8b\x08", "gzip"),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"BZh", "bzip2"),
    (0, b"\x28\xb5\x2f\xfd", "Zstandard"),
    (257, b"ustar", "tar"),
    (0, b"MSCF", "Cabinet"),
)
_VIDEO: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftyp", "MP4"),
    (4, b"moov", "QuickTime"),
    (8, b"AVI ", "AVI"),
    (0, b"\x1aE\xdf\xa3", "Matroska"),
    (0, b"\0\0\1\xba", "MPEG"),
    (0, b"\0\0\1\xb3", "MPEG"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "Windows Media"),
    (0, b"FLV\1", "Flash Video"),
)
"""Asked after `_FOREIGN`, whose HEIF images start with ``ftyp`` too."""
_NETPBM = tuple(f"P{n}".encode() for n in "1234567")
_VALUE_REPRESENTATIONS = frozenset(
    b"AE AS AT CS DA DS DT FL FD IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN "
    b"UR US UT UV".split()
)
_LONGEST_FIRST_VALUE_BYTES = 256


def sniff(data: bytes) -> Kind | None:
    """Kind of a file; None when it is none of those that are decoded."""
    if data[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] == b"DICM":
        return Kind.DICOM
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return kind
    if first_element(data) is not None:
        return Kind.DICOM
    return None


def foreign_name(data: bytes) -> str | None:
    """Name of an image format that is known but not decoded; None for anything else."""
    if data.startswith(_NETPBM) and data[2:3].isspace():
        return "Netpbm"
    return _named(data, _FOREIGN)


def packed_name(data: bytes) -> str | None:
    """Name of an archive's format, in which films may lie; None for anything else."""
    return _named(data, _PACKED)


def video_name(data: bytes) -> str | None:
    """Name of a video's format; None for anything else. Ask `foreign_name` first."""
    return _named(data, _VIDEO)


def _named(data: bytes, table: tuple[tuple[int, bytes, str], ...]) -> str | None:
    return next((name for at, magic, name in table if data.startswith(magic, at)), None)


def first_element(data: bytes, offset: int = 0) -> tuple[bool, bool] | None:
    """How a DICOM data set at ``offset`` is written: (little endian, explicit VR).

    None when no plausible first element of group 0002 or 0008 is there.
    """
    head = data[offset : offset + 8]
    if len(head) < 8:
        return None
    for little, order in ((True, "<"), (False, ">")):
        group, element = struct.unpack_from(order + "HH", head)
        if group not in {2, 8} or element > 0x3000:
            continue
        if head[4:6] in _VALUE_REPRESENTATIONS:
            return little, True
        if struct.unpack_from(order + "I", head, 4)[0] <= _LONGEST_FIRST_VALUE_BYTES:
            return little, False
    return None
