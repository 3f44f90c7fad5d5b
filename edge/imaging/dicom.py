"""Decodes DICOM pixel data as stored, by the tags on bits, colour and polarity.

Layer: imaging; bytes in, arrays out.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edge.errors import FilmError, Reason
from edge.imaging.calibration import pixel_size_of
from edge.imaging.codestream import (
    JP2_SIGNATURE,
    FrameSize,
    Samples,
    decode_frame,
    decode_rle,
    looks_like_rle,
)
from edge.imaging.dicom_file import (
    NATIVE,
    RLE,
    UNDEFINED_LENGTH,
    OpenedDicom,
    fragments_of,
    open_dicom,
)
from edge.imaging.identity import identity_of_tags
from edge.imaging.picture import Picture, check_size, luminance
from edge.imaging.subject import check_subject
from edge.imaging.tags import integer, text
from edge.imaging.voi import grey_scale, palette_grey, shade

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from edge.imaging.voi import Shown
    from edge.model import GreyImage, PixelSize, StatedIdentity

_GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})
_LUMINANCE_FIRST = frozenset({"YBR_FULL", "YBR_FULL_422"})
_COLOUR = frozenset({"RGB", "YBR_RCT", "YBR_ICT"}) | _LUMINANCE_FIRST
_ALLOCATED_BITS = frozenset({1, 8, 16, 32})
_NEW_FRAME = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", JP2_SIGNATURE)


@dataclass(frozen=True)
class DicomFilm:
    """A decoded object: the picture as stored, and what its tags state.

    ``shown`` is None for colour, where no window applies.
    """

    picture: Picture
    stated: StatedIdentity
    shown: Shown | None = None
    pixel_size: PixelSize | None = None


@dataclass(frozen=True)
class _Layout:
    """How samples lie in their cells: the tags' word, put right where it cannot be."""

    rows: int
    columns: int
    samples: int
    planar: bool
    allocated_bits: int
    stored_bits: int
    high_bit: int
    signed: bool
    photometric: str

    @property
    def size(self) -> FrameSize:
        """What a compressed stream is held to."""
        return FrameSize(self.rows, self.columns, self.samples, self.allocated_bits)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame."""
        a_pixel = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return (self.rows * self.columns * a_pixel * self.allocated_bits + 7) // 8


def decode_dicom(data: bytes, max_megapixels: float) -> DicomFilm:
    """Decode a DICOM object of one frame.

    Raises `FilmError` with ``truncated``, ``corrupt``, ``too_large``, ``too_small``,
    ``no_pixels``, ``multi_frame``, ``unsupported_pixels``, ``unsupported_transfer_syntax`` (whose
    detail is the syntax's UID), ``other_modality`` or ``not_a_patient``.
    """
    with warnings.catch_warnings():
        # pydicom warns of every departure from the standard; the departures are handled here.
        warnings.simplefilter("ignore")
        opened = open_dicom(data, max_megapixels)
        check_subject(opened.tags)
        frames = integer(opened.tags, "NumberOfFrames")
        if frames is not None and frames > 1:
            raise FilmError(Reason.MULTI_FRAME, f"{frames} frames")
        layout = _layout(opened.tags)
        check_size(layout.columns, layout.rows, max_megapixels)
        picture, shown = _picture(opened, layout)
        tags = opened.tags
        return DicomFilm(picture, identity_of_tags(tags), shown, pixel_size_of(tags))


def _layout(tags: Dataset) -> _Layout:
    allocated = integer(tags, "BitsAllocated") or 16
    samples = integer(tags, "SamplesPerPixel") or 1
    photometric = text(tags, "PhotometricInterpretation").upper()
    if not photometric:
        photometric = "MONOCHROME2" if samples == 1 else "RGB"
    stored = integer(tags, "BitsStored") or allocated
    high = integer(tags, "HighBit")
    stored = stored if 0 < stored <= allocated else allocated
    if high is None or not stored - 1 <= high < allocated:
        high = stored - 1
    known = _GREY | _COLOUR | {"PALETTE COLOR"}
    if (
        photometric not in known
        or samples != (3 if photometric in _COLOUR else 1)
        or allocated not in _ALLOCATED_BITS
        or stored > 16
    ):
        raise FilmError(
            Reason.UNSUPPORTED_PIXELS,
            f"{photometric}, {samples} samples of {stored} bits in {allocated}",
        )
    signed = integer(tags, "PixelRepresentation") == 1
    if photometric not in _GREY and (signed or allocated != stored or allocated not in {8, 16}):
        raise FilmError(
            Reason.UNSUPPORTED_PIXELS,
            f"{photometric}, {'signed ' if signed else ''}samples of {stored} bits in {allocated}",
        )
    return _Layout(
        rows=integer(tags, "Rows") or 0,
        columns=integer(tags, "Columns") or 0,
        samples=samples,
        planar=integer(tags, "PlanarConfiguration") == 1,
        allocated_bits=allocated,
        stored_bits=stored,
        high_bit=high,
        signed=signed,
        photometric=photometric,
    )


def _picture(opened: OpenedDicom, layout: _Layout) -> tuple[Picture, Shown | None]:
    samples = _samples(opened, layout)
    flags = (*opened.flags, *samples.flags)
    if layout.photometric in _GREY:
        stored = _stored_values(samples, layout)
        scale = grey_scale(
            opened.tags,
            layout.stored_bits,
            stored,
            signed=layout.signed,
            inverted=layout.photometric == "MONOCHROME1",
        )
        grey = shade(stored, scale)
        return Picture(grey, flags=(*flags, *scale.flags)), scale.shown
    if layout.photometric == "PALETTE COLOR":
        table = palette_grey(opened.tags, layout.stored_bits)
        return Picture(np.take(table, _stored_values(samples, layout)), flags=flags), None
    return Picture(_colour_grey(samples, layout), flags=flags), None


def _stored_values(samples: Samples, layout: _Layout) -> npt.NDArray[np.int32]:
    """Cut the stored bits out of their cells and extend the sign, whatever decoded them."""
    cells = samples.values.astype(np.int64 if layout.allocated_bits == 32 else np.int32)
    if samples.precision_bits > layout.high_bit:
        cells = cells >> (layout.high_bit + 1 - layout.stored_bits)
    whole = (1 << layout.stored_bits) - 1
    # A lossy coder overshoots at white edges: cut off by bits, these would come out black.
    cells = np.minimum(cells, whole) if samples.lossy and not layout.signed else cells & whole
    if layout.signed:
        sign = 1 << (layout.stored_bits - 1)
        cells = (cells ^ sign) - sign
    return cells.astype(np.int32, copy=False)


def _colour_grey(samples: Samples, layout: _Layout) -> GreyImage:
    values = samples.values
    if values.dtype.itemsize == 2:
        values = values >> 8 if samples.precision_bits > 8 else values
    eight = values.astype(np.uint8)
    if eight.ndim == 2:
        return np.ascontiguousarray(eight)
    # JPEG 2000's own colour transform is undone by its decoder; the plain YBR forms are not.
    if layout.photometric in _LUMINANCE_FIRST:
        return np.ascontiguousarray(eight[:, :, 0])
    return luminance(eight[:, :, ::-1])


def _samples(opened: OpenedDicom, layout: _Layout) -> Samples:
    native = opened.pixel_length != UNDEFINED_LENGTH
    if native and (
        opened.syntax is None
        or opened.syntax in NATIVE
        # Some archives decompress and leave the old syntax's UID in place.
        or opened.pixel_length in {layout.frame_bytes, layout.frame_bytes + 1}
    ):
        return _native(opened, layout)
    if native:
        raise FilmError(Reason.CORRUPT, f"{opened.syntax} without fragments")
    listed, fragments = fragments_of(opened)
    rle = opened.syntax == RLE or (opened.syntax is None and looks_like_rle(fragments[0]))
    starts = sum(looks_like_rle(f) if rle else f.startswith(_NEW_FRAME) for f in fragments)
    if listed > 1 or starts > 1:
        raise FilmError(Reason.MULTI_FRAME, f"{max(listed, starts)} frames in the pixel data")
    stream = b"".join(fragments)
    if rle:
        return decode_rle(stream, layout.size)
    return decode_frame(stream, layout.size, opened.syntax)


def _native(opened: OpenedDicom, layout: _Layout) -> Samples:
    needed = layout.frame_bytes
    there = min(opened.pixel_length, len(opened.data) - opened.pixels_at)
    if there < needed:
        raise FilmError(Reason.TRUNCATED, f"{there} bytes of pixel data, {needed} needed")
    if there >= 2 * needed:
        raise FilmError(Reason.MULTI_FRAME, f"{there} bytes of pixel data, one frame is {needed}")
    raw = opened.data[opened.pixels_at : opened.pixels_at + needed + needed % 2]
    order = "<" if opened.little else ">"
    if layout.allocated_bits == 1:
        bits = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")
        cells: npt.NDArray[Any] = bits[: layout.rows * layout.columns]
    elif layout.allocated_bits == 8:
        cells = np.frombuffer(raw, np.uint8)
        # Bytes in words: big-endian writers swap them in pairs.
        if not opened.little and opened.pixel_vr == "OW" and len(cells) % 2 == 0:
            cells = cells.reshape(-1, 2)[:, ::-1].reshape(-1)
        cells = cells[:needed]
    else:
        cells = np.frombuffer(raw[:needed], f"{order}u{layout.allocated_bits // 8}")
    return Samples(_shaped(cells, layout), layout.allocated_bits)


def _shaped(cells: npt.NDArray[Any], layout: _Layout) -> npt.NDArray[Any]:
    rows, columns = layout.rows, layout.columns
    if layout.photometric == "YBR_FULL_422":
        if columns % 2:
            raise FilmError(Reason.UNSUPPORTED_PIXELS, f"YBR_FULL_422 with {columns} columns")
        cells = cells.reshape(-1, 4)[:, :2]
    if layout.samples == 1 or cells.size == rows * columns:
        shape: tuple[int, ...] = (rows, columns)
    elif layout.planar:
        return np.moveaxis(cells.reshape(layout.samples, rows, columns), 0, 2)
    else:
        shape = (rows, columns, layout.samples)
    return np.asarray(cells.reshape(shape))
