"""Decodes one compressed DICOM frame by the decoder that its own stream asks for.

Layer: imaging; bytes in, arrays out. JPEG of 8 bits goes to OpenCV, JPEG of 12 bits, lossless JPEG,
JPEG-LS and JPEG 2000 to GDCM. RLE is decoded here: GDCM ends the process on some RLE streams, and
pydicom unpacks a segment to its end, up to 64 times its length, however small the film is. GDCM
fails on JPEG-LS of fewer than 8 bits, which pyjpegls reads where it is installed. A stream's own
size is held to the tags' before anything decodes it, because decoders believe the stream.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Any, Final

import gdcm
import numpy as np
import numpy.typing as npt

from edge.errors import FilmError, Reason
from edge.imaging.jpeg_padding import without
from edge.imaging.quiet import native_messages
from edge.imaging.raster import (
    EXTENDED_FRAME,
    HUFFMAN_DCT_FRAMES,
    JPEG_LS_FRAME,
    JPEG_PADDING,
    LOSSLESS_FRAME,
    JpegHead,
    jpeg_grey,
    read_jpeg,
)

_EXTENDED: Final = "1.2.840.10008.1.2.4.51"
_LOSSLESS: Final = "1.2.840.10008.1.2.4.57"
_JPEG_LS: Final = "1.2.840.10008.1.2.4.81"
_JPEG_2000: Final = "1.2.840.10008.1.2.4.91"
JP2_SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
_JP2_BOXED = "jp2_boxed"
_MOST_BOXES = 1000
_RLE_HEADER_BYTES = 64
_RLE_MOST_SEGMENTS = 15
_END_BYTES = 32


@dataclass(frozen=True)
class FrameSize:
    """Size and layout of one frame by its tags; the stream must agree."""

    rows: int
    columns: int
    samples: int
    allocated_bits: int


@dataclass(frozen=True, eq=False)
class Samples:
    """[rows, columns] or [rows, columns, samples] unsigned, as the stream holds them.

    ``precision_bits`` is the stream's own; ``luminance`` says that colour became grey on the way;
    ``lossy`` that values may lie beyond the stored bits; ``flags`` say what was odd of the stream.
    """

    values: npt.NDArray[Any]
    precision_bits: int
    luminance: bool = False
    lossy: bool = False
    flags: tuple[str, ...] = ()


def decode_frame(stream: bytes, size: FrameSize, syntax: str | None) -> Samples:
    """Decode a JPEG, JPEG-LS or JPEG 2000 stream, the last also inside a JP2 file.

    Raises `FilmError` with ``truncated``, ``corrupt``, ``unsupported_pixels`` (a JP2 file with a
    palette) or ``unsupported_transfer_syntax``.
    """
    if stream.startswith(b"\xff\xd8"):
        return _jpeg(stream, size, syntax)
    if stream.startswith(b"\xff\x4f\xff\x51"):
        return _jpeg_2000(stream, size)
    if stream.startswith(JP2_SIGNATURE):
        return replace(_jpeg_2000(_unboxed(stream), size), flags=(_JP2_BOXED,))
    raise FilmError(Reason.CORRUPT, f"compressed pixel data start with {stream[:4].hex(' ')}")


def _jpeg(stream: bytes, size: FrameSize, syntax: str | None) -> Samples:
    head = read_jpeg(stream)
    _agree(size, head.columns_rows_components)
    if not head.complete:
        raise FilmError(Reason.TRUNCATED, f"JPEG stream of {len(stream)} bytes without its end")
    if head.frame in HUFFMAN_DCT_FRAMES and head.precision_bits == 8:
        grey, flags = jpeg_grey(stream, head)
        return Samples(grey, 8, luminance=size.samples > 1, flags=flags)
    flags = (JPEG_PADDING,) if head.padding else ()
    whole, stream = stream, without(stream, head.padding)
    if head.frame == EXTENDED_FRAME and head.precision_bits == 12 and head.components == 1:
        # GDCM ends the process over a JFIF segment of another version.
        stream = without(whole, [*head.padding, *head.notes])
        return replace(_gdcm(stream, size, _EXTENDED, 12), lossy=True, flags=flags)
    if head.frame == LOSSLESS_FRAME:
        return replace(_gdcm(stream, size, _LOSSLESS, head.precision_bits), flags=flags)
    if head.frame == JPEG_LS_FRAME and head.precision_bits < 8:
        return Samples(_pyjpegls(stream, size, head), head.precision_bits, flags=flags)
    if head.frame == JPEG_LS_FRAME:
        return replace(_gdcm(stream, size, _JPEG_LS, head.precision_bits), flags=flags)
    raise FilmError(
        Reason.UNSUPPORTED_TRANSFER_SYNTAX,
        f"{syntax or 'JPEG'} (process SOF{head.frame & 0x0F}, {head.precision_bits} bits)",
    )


def _pyjpegls(stream: bytes, size: FrameSize, head: JpegHead) -> npt.NDArray[np.uint8]:
    """Decode JPEG-LS of one component with pyjpegls, which is not installed everywhere."""
    name = f"JPEG-LS of {head.precision_bits} bits"
    if head.components != 1:
        raise FilmError(Reason.UNSUPPORTED_TRANSFER_SYNTAX, f"{name}, {head.components} components")
    try:
        # Imported here: an extra, wanted by few films.
        import jpeg_ls  # noqa: PLC0415
    except ImportError as error:
        raise FilmError(
            Reason.UNSUPPORTED_TRANSFER_SYNTAX, f"{name} needs: pip install pyjpegls"
        ) from error
    try:
        decoded = np.asarray(jpeg_ls.decode(np.frombuffer(stream, np.uint8)))
    except (RuntimeError, ValueError) as error:
        raise FilmError(Reason.CORRUPT, f"{name}: {error}") from error
    if decoded.shape != (size.rows, size.columns) or decoded.dtype != np.uint8:
        raise FilmError(Reason.CORRUPT, f"{name} came as {decoded.dtype} {decoded.shape}")
    return decoded


def _unboxed(file: bytes) -> bytes:
    """Codestream of a JP2 file, whose boxes some writers leave around it."""
    at = len(JP2_SIGNATURE)
    for _ in range(_MOST_BOXES):
        if at + 8 > len(file):
            break
        length, kind = struct.unpack_from(">I4s", file, at)
        body_at, end = at + 8, at + length
        if length == 1 and at + 16 <= len(file):
            body_at, end = at + 16, at + struct.unpack_from(">Q", file, at + 8)[0]
        elif length == 0:
            end = len(file)
        if end < body_at:
            raise FilmError(Reason.CORRUPT, f"JP2 box of {length} bytes at {at}")
        if kind == b"jp2h" and b"pclr" in file[body_at:end]:
            raise FilmError(Reason.UNSUPPORTED_PIXELS, "JP2 file with a palette")
        if kind == b"jp2c":
            if end > len(file) + len(file) % 2:
                raise FilmError(
                    Reason.TRUNCATED, f"JP2 box of {length} bytes, {len(file) - at} there"
                )
            return file[body_at:end]
        at = end
    raise FilmError(Reason.TRUNCATED, f"JP2 file of {len(file)} bytes without its codestream")


def _jpeg_2000(stream: bytes, size: FrameSize) -> Samples:
    try:
        _, width, height, left, top, tile_width, tile_height, _, _, components = struct.unpack_from(
            ">H8IH", stream, 6
        )
        parts = [struct.unpack_from(">BBB", stream, 42 + 3 * i) for i in range(components)]
    except struct.error as error:
        raise FilmError(Reason.TRUNCATED, f"JPEG 2000 stream of {len(stream)} bytes") from error
    _agree(size, (width - left, height - top, components))
    precisions = {(part[0] & 0x7F) + 1 for part in parts}
    precision = max(precisions)
    tiles = -(-width // max(tile_width, 1)) * -(-height // max(tile_height, 1))
    if len(precisions) > 1 or any(part[1:] != (1, 1) for part in parts) or tiles > 65535:
        raise FilmError(Reason.CORRUPT, f"JPEG 2000 of {tiles} tiles, components {parts}")
    if b"\xff\xd9" not in stream[-_END_BYTES:]:
        raise FilmError(Reason.TRUNCATED, f"JPEG 2000 of {len(stream)} bytes without its end")
    return _gdcm(stream, size, _JPEG_2000, precision)


def _agree(size: FrameSize, stream: tuple[int, int, int]) -> None:
    tags = (size.columns, size.rows, size.samples)
    if tags != stream:
        said = " x ".join(map(str, stream))
        raise FilmError(
            Reason.CORRUPT, f"tags say {' x '.join(map(str, tags))}, the stream says {said}"
        )


def _gdcm(stream: bytes, size: FrameSize, syntax: str, precision_bits: int) -> Samples:
    if not 1 < precision_bits <= 16:
        raise FilmError(Reason.UNSUPPORTED_PIXELS, f"compressed samples of {precision_bits} bits")
    cell_bits = 8 if precision_bits <= 8 else 16
    with native_messages() as messages:
        text = _image(stream, size, syntax, cell_bits).GetBuffer()
    damage = messages.line_with("Corrupt JPEG data", "Premature end", "inconsistent with stream")
    if text is None or damage is not None:
        raise FilmError(Reason.CORRUPT, f"compressed pixel data: {damage or 'decoder refuses'}")
    # GDCM hands bytes out as text in which each stray byte is a surrogate.
    raw = text.encode("utf-8", "surrogateescape")
    shape = (size.rows, size.columns) + ((size.samples,) if size.samples > 1 else ())
    wanted = int(np.prod(shape)) * cell_bits // 8
    if len(raw) != wanted:
        raise FilmError(Reason.CORRUPT, f"{len(raw)} bytes came of a frame of {wanted}")
    values = np.frombuffer(raw, np.uint8 if cell_bits == 8 else "<u2").reshape(shape)
    return Samples(values, precision_bits)


def _image(stream: bytes, size: FrameSize, syntax: str, cell_bits: int) -> Any:
    """Undecoded image for GDCM: whole cells, unsigned, so that nothing is reinterpreted."""
    colour = gdcm.PhotometricInterpretation.RGB
    grey = gdcm.PhotometricInterpretation.MONOCHROME2
    frame = gdcm.Fragment()
    frame.SetByteStringValue(stream + b"\0" * (len(stream) % 2))
    frames = gdcm.SequenceOfFragments.New()
    frames.AddFragment(frame)
    pixel_data = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    pixel_data.SetValue(frames.__ref__())
    image = gdcm.Image()
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    image.SetNumberOfDimensions(2)
    image.SetDimensions((size.columns, size.rows, 1))
    image.SetPixelFormat(gdcm.PixelFormat(size.samples, cell_bits, cell_bits, cell_bits - 1, 0))
    image.SetPhotometricInterpretation(
        gdcm.PhotometricInterpretation(colour if size.samples > 1 else grey)
    )
    image.SetDataElement(pixel_data)
    return image


def looks_like_rle(fragment: bytes) -> bool:
    """Whether a fragment starts with an RLE header, as each RLE frame does."""
    if len(fragment) < _RLE_HEADER_BYTES:
        return False
    count, first = struct.unpack_from("<2I", fragment)
    return bool(1 <= count <= _RLE_MOST_SEGMENTS and first == _RLE_HEADER_BYTES)


def decode_rle(stream: bytes, size: FrameSize) -> Samples:
    """Decode an RLE frame: byte planes, most significant first, sample after sample.

    Raises `FilmError` with ``truncated`` or ``corrupt``.
    """
    if len(stream) < _RLE_HEADER_BYTES:
        raise FilmError(Reason.TRUNCATED, f"RLE frame of {len(stream)} bytes")
    count, *offsets = struct.unpack_from("<16I", stream)
    cell_bytes = size.allocated_bits // 8
    if count != cell_bytes * size.samples or size.allocated_bits % 8:
        raise FilmError(
            Reason.CORRUPT,
            f"RLE frame of {count} segments for {size.samples} x {size.allocated_bits} bits",
        )
    ends = [*offsets[1:count], len(stream)]
    pixels = size.rows * size.columns
    planes = np.empty((size.samples, cell_bytes, pixels), np.uint8)
    for i in range(count):
        start, end = offsets[i], min(ends[i], len(stream))
        if not _RLE_HEADER_BYTES <= start <= end:
            raise FilmError(Reason.CORRUPT, f"RLE segment {i} at {start} to {end}")
        # Byte planes come most significant first, cells here are little endian.
        planes[i // cell_bytes, cell_bytes - 1 - i % cell_bytes] = _unpack_bits(
            stream[start:end], pixels
        )
    cells = np.ascontiguousarray(planes.transpose(2, 0, 1))
    values = cells.view(f"<u{cell_bytes}").reshape(size.rows, size.columns, size.samples)
    return Samples(values[:, :, 0] if size.samples == 1 else values, size.allocated_bits)


def _unpack_bits(packed: bytes, wanted: int) -> npt.NDArray[np.uint8]:
    out = bytearray()
    at, end = 0, len(packed)
    while len(out) < wanted and at < end:
        head = packed[at]
        if head < 128:
            out += packed[at + 1 : at + 2 + head]
            at += 2 + head
        elif head > 128:
            out += packed[at + 1 : at + 2] * (257 - head)
            at += 2
        else:
            at += 1
    if len(out) < wanted:
        raise FilmError(Reason.TRUNCATED, f"RLE segment gives {len(out)} bytes of {wanted}")
    return np.frombuffer(bytes(out[:wanted]), np.uint8)
