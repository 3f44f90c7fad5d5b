"""Films as files, built byte by byte, so that tests can say exactly what is odd about each."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from warnings import catch_warnings, simplefilter

import cv2
import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID

DATA = Path(__file__).parents[4] / "shared" / "data"
CR_CLASS = "1.2.840.10008.5.1.4.1.1.1"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
RLE = "1.2.840.10008.1.2.5"
ORIENTATIONS = range(1, 9)


def ramp(height=70, width=90):
    """8-bit grey: no two rows, columns, turns or mirrors of it are alike."""
    y, x = np.mgrid[:height, :width]
    return ((x * 2 + y) % 251).astype(np.uint8)


def smooth(height=80, width=112):
    """8-bit grey that JPEG keeps almost exactly; brightest at the top left."""
    y, x = np.mgrid[:height, :width]
    return (250 - x - y).clip(0, 255).astype(np.uint8)


def turned(stored, orientation):
    """The picture that tag 274 asks for, by numpy's own words."""
    return {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.T,
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).T,
        8: lambda a: np.rot90(a, 1),
    }[orientation](stored)


def encoded(suffix, image, *options):
    done, data = cv2.imencode(suffix, image, list(options))
    assert done
    return data.tobytes()


def exif(orientation, order="<"):
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(order + "HHIHH", 274, 3, 1, orientation, 0)
    return mark + struct.pack(order + "IH", 8, 1) + entry + struct.pack(order + "I", 0)


def jpeg(image, orientation=None, order="<", quality=95):
    data = encoded(".jpg", image, cv2.IMWRITE_JPEG_QUALITY, quality)
    if orientation is None:
        return data
    body = b"Exif\0\0" + exif(orientation, order)
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(samples, colour=0, depth=8, extra=b"", end=True):
    """PNG of packed rows: ``samples`` is [h, bytes a row] uint8."""
    height, row_bytes = samples.shape
    width = row_bytes * 8 // (depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour])
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra
    data += chunk(b"IDAT", zlib.compress(rows))
    return data + (chunk(b"IEND", b"") if end else b"")


def png16(image, extra=b""):
    return png(image.astype(">u2").view(np.uint8).reshape(len(image), -1), 0, 16, extra)


def tiff(
    image, *, order="<", tags=None, tile=None, rows=None, deflate=False, pages=1, bits=None,
    big=False, apart=False,
):  # fmt: skip
    """TIFF of strips of ``rows`` (one of all) or of tiles; ``apart`` keeps colour planes apart.

    ``tags`` adds or replaces {number: value or values}.
    """
    height, width = image.shape[:2]
    samples = image.shape[2] if image.ndim == 3 else 1
    raw = image.astype(image.dtype.newbyteorder(order)) if image.dtype.itemsize > 1 else image
    entries = {
        256: width,
        257: height,
        258: bits or (image.dtype.itemsize * 8,) * samples,
        259: 8 if deflate else 1,
        262: 2 if samples == 3 else 1,
        277: samples,
    }
    planes = [raw[:, :, i] for i in range(samples)] if apart else [raw]
    if apart:
        entries |= {284: 2}
    if tile:
        down, across = -(-height // tile), -(-width // tile)
        padded = np.zeros(
            (len(planes), down * tile, across * tile, *planes[0].shape[2:]), raw.dtype
        )
        padded[:, :height, :width] = planes
        blocks = [
            plane[y * tile : (y + 1) * tile, x * tile : (x + 1) * tile].tobytes()
            for plane in padded
            for y in range(down)
            for x in range(across)
        ]
        entries |= {322: tile, 323: tile}
    else:
        entries[278] = rows or height
        blocks = [
            plane[y : y + entries[278]].tobytes()
            for plane in planes
            for y in range(0, height, entries[278])
        ]
    if deflate:
        blocks = [zlib.compress(b) for b in blocks]
    entries |= tags or {}
    at = 16 if big else 8
    starts = [at + sum(len(b) for b in blocks[:i]) for i in range(len(blocks))]
    entries |= {324: tuple(starts), 325: tuple(map(len, blocks))} if tile else {
        273: tuple(starts), 279: tuple(map(len, blocks))
    }  # fmt: skip
    word = "Q" if big else "I"
    body = b"".join(blocks)
    body += b"\0" * (len(body) % 2)
    mark = b"II" if order == "<" else b"MM"
    head = mark + (
        struct.pack(order + "HHHQ", 43, 8, 0, at + len(body))
        if big
        else struct.pack(order + "HI", 42, at + len(body))
    )
    out = bytearray(head + body)
    for page in range(pages):
        entry_bytes, count_bytes = (20, 8) if big else (12, 2)
        ifd_bytes = count_bytes + entry_bytes * len(entries) + (8 if big else 4)
        extra_at = len(out) + ifd_bytes
        ifd, extra = struct.pack(order + ("Q" if big else "H"), len(entries)), b""
        for number in sorted(entries):
            values = entries[number] if isinstance(entries[number], tuple) else (entries[number],)
            short = (
                number in {258, 259, 262, 274, 277, 281, 284, 320, 338, 339} and max(values) < 65536
            )
            packed = struct.pack(f"{order}{len(values)}{'H' if short else 'I'}", *values)
            if len(packed) > (8 if big else 4):
                where, extra = extra_at + len(extra), extra + packed
                packed = struct.pack(order + word, where)
            ifd += struct.pack(order + "HH" + word, number, 3 if short else 4, len(values))
            ifd += packed.ljust(8 if big else 4, b"\0")
        following = extra_at + len(extra) if page + 1 < pages else 0
        out += ifd + struct.pack(order + word, following) + extra
    return bytes(out)


def dataset(stored, *, bits=None, **tags):
    """Data set of a CR film: [h, w] or [h, w, 3] integers, tags by keyword."""
    data = Dataset()
    data.SOPClassUID = CR_CLASS
    data.SOPInstanceUID = "2.25.1"
    data.StudyInstanceUID = "2.25.2"
    data.Modality = "CR"
    data.PatientID = "P1"
    data.Rows, data.Columns = stored.shape[:2]
    data.SamplesPerPixel = stored.shape[2] if stored.ndim == 3 else 1
    data.PhotometricInterpretation = "RGB" if stored.ndim == 3 else "MONOCHROME2"
    data.BitsAllocated = stored.dtype.itemsize * 8
    data.BitsStored = bits or data.BitsAllocated
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(np.issubdtype(stored.dtype, np.signedinteger))
    with catch_warnings():
        simplefilter("ignore")
        for keyword, value in tags.items():
            setattr(data, keyword, value)
    return data


def dicom(data, pixels, syntax=EXPLICIT_LITTLE, *, implicit=None, meta=True):
    """A file of a data set and its pixel bytes (or list of frames, then encapsulated)."""
    little = syntax != EXPLICIT_BIG
    implicit = syntax == IMPLICIT_LITTLE if implicit is None else implicit
    data = FileDataset(None, data, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    data.file_meta.MediaStorageSOPClassUID = UID(CR_CLASS)
    data.file_meta.MediaStorageSOPInstanceUID = UID("2.25.1")
    data.file_meta.TransferSyntaxUID = UID(syntax)
    if isinstance(pixels, list):
        data.add_new(0x7FE00010, "OB", encapsulate(pixels))
        data["PixelData"].is_undefined_length = True
    elif pixels is not None:
        data.add_new(0x7FE00010, "OW" if data.BitsAllocated > 8 else "OB", pixels)
    out = io.BytesIO()
    with catch_warnings():
        simplefilter("ignore")
        dcmwrite(out, data, implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    whole = out.getvalue()
    return whole if meta else whole[meta_end(whole) :]


def meta_end(whole):
    """Where the file meta header of a well-formed file ends."""
    return 144 + struct.unpack_from("<I", whole, 140)[0]


def film(stored, *, bits=None, syntax=EXPLICIT_LITTLE, **tags):
    """A whole CR file of stored integers, native."""
    order = ">" if syntax == EXPLICIT_BIG else "<"
    raw = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    return dicom(dataset(stored, bits=bits, **tags), raw, syntax)


def pack_bits(plane):
    """PackBits of a byte plane in literal runs of odd length."""
    return b"".join(
        bytes([len(part) - 1]) + part
        for part in (plane[i : i + 127] for i in range(0, len(plane), 127))
    )


def rle_frame(stored):
    """RLE frame whose segments are not padded, so that some start at odd offsets."""
    cells = stored.astype("<u2").tobytes()
    segments = [pack_bits(cells[1::2]), pack_bits(cells[0::2])]
    offsets = [64, 64 + len(segments[0])]
    return struct.pack("<16I", 2, *offsets, *[0] * 13) + b"".join(segments)


def item(**tags):
    one = Dataset()
    for keyword, value in tags.items():
        setattr(one, keyword, value)
    return one


def table_item(table, stated=None, bits=12, vr="US", order="<"):
    """Item of a table sequence: entries as numbers (US) or as words (OW)."""
    one = Dataset()
    one.LUTDescriptor = [len(table) if stated is None else stated, 0, bits]
    words = np.asarray(table).astype(order + "u2").tobytes()
    one.add_new(0x00283006, vr, np.asarray(table).tolist() if vr == "US" else words)
    return one
