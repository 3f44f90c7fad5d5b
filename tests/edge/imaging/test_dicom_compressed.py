"""Compressed streams give the very pixels, or are refused by their name."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from decoded import decode, real, reason_of, refused, same, share, stretched, twelve_bits
from film_files import (
    RLE,
    dataset,
    dicom,
    ramp,
    rle_frame,
    smooth,
)

from edge.errors import Reason

STREAMS = Path(__file__).parent / "streams"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"


@pytest.mark.parametrize("form", ["J2KR", "JLSL", "JPLL", "RLE"])
def test_lossless_forms_give_the_very_pixels_of_the_uncompressed_reference(form):
    reference = decode(real("wg04/RG3_UNC.dcm")).pixels
    assert np.array_equal(decode(real(f"wg04/RG3_{form}.dcm")).pixels, reference)


def test_lossless_forms_of_one_film_agree():
    first, *others = (decode(real(f"wg04/RG2_{f}.dcm")).pixels for f in ("J2KR", "JLSL", "JPLL"))
    for other in others:
        assert np.array_equal(first, other)


@pytest.mark.parametrize(("film_name", "form"), [("RG2", "JLSN"), ("RG3", "JLSN"), ("RG3", "J2KI")])
def test_lossy_forms_stay_near(film_name, form):
    reference = decode(real(f"wg04/{film_name}_J2KR.dcm")).pixels
    assert same(decode(real(f"wg04/{film_name}_{form}.dcm")).pixels, reference, most=3)


@pytest.mark.parametrize("film_name", ["RG2", "RG3"])
def test_real_twelve_bit_jpeg_stays_near_the_lossless_form(film_name):
    reference = decode(real(f"wg04/{film_name}_J2KR.dcm")).pixels
    lossy = decode(real(f"wg04/{film_name}_JPLY.dcm")).pixels
    # Not the same greys: the few values beyond the film's own range move its ends.
    assert np.corrcoef(lossy.ravel(), reference.ravel())[0, 1] > 0.999


def test_twelve_bit_jpeg_decodes():
    decoded = decode((STREAMS / "jpeg_u12.dcm").read_bytes())
    assert np.abs(decoded.pixels.astype(int) - stretched(smooth(64, 64))).mean() < 2


def test_lossy_values_beyond_the_stored_bits_are_white_not_black():
    data = (STREAMS / "jpeg_u12.dcm").read_bytes()
    for tag, value in ((0x101, 11), (0x102, 10)):
        said = struct.pack("<HH2sHH", 0x28, tag, b"US", 2, value + 1)
        assert data.count(said) == 1
        data = data.replace(said, struct.pack("<HH2sHH", 0x28, tag, b"US", 2, value))
    pixels = decode(data).pixels
    assert pixels[:20, :20].min() == 255


def test_other_twelve_bit_processes_are_refused_by_name():
    data = (STREAMS / "jpeg_u12.dcm").read_bytes()
    error = refused(data.replace(b"\xff\xc1\x00\x0b\x0c", b"\xff\xc2\x00\x0b\x0c"))
    assert error.reason is Reason.UNSUPPORTED_TRANSFER_SYNTAX
    assert "12 bits" in error.detail


def test_a_twelve_bit_scan_without_its_huffman_tables_is_refused():
    data = (STREAMS / "jpeg_u12.dcm").read_bytes()
    assert reason_of(data.replace(b"\xff\xc4", b"\xff\xe5")) is Reason.CORRUPT


@pytest.mark.parametrize("bits", [6, 7])
def test_jpeg_ls_of_few_bits_decodes(bits):
    pytest.importorskip("jpeg_ls", reason="pyjpegls is not installed")
    decoded = decode((STREAMS / f"jls_u{bits}.dcm").read_bytes())
    want = smooth(64, 64) >> (8 - bits)
    assert same(decoded.pixels, want * (255 / ((1 << bits) - 1)))


def test_jpeg_ls_of_few_bits_is_refused_by_name_where_its_decoder_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "jpeg_ls", None)
    error = refused((STREAMS / "jls_u7.dcm").read_bytes())
    assert error.reason is Reason.UNSUPPORTED_TRANSFER_SYNTAX
    assert "pip install pyjpegls" in error.detail


def box(kind, body, *, wide=False, open_end=False):
    if wide:
        return struct.pack(">I4sQ", 1, kind, len(body) + 16) + body
    return struct.pack(">I4s", 0 if open_end else len(body) + 8, kind) + body


JP2_HEAD = b"\0\0\0\x0cjP  \r\n\x87\n" + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")


def jpeg_2000():
    done, data = cv2.imencode(".jp2", ramp(), [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])
    assert done
    whole = data.tobytes()
    return whole, whole[whole.index(b"\xff\x4f\xff\x51") :]


@pytest.mark.parametrize("form", ["as written", "plain", "wide", "open end", "odd length"])
def test_jpeg_2000_inside_a_jp2_file_is_unwrapped_and_flagged(form):
    whole, stream = jpeg_2000()
    boxed = {
        "as written": whole,
        "plain": JP2_HEAD + box(b"jp2c", stream),
        "wide": JP2_HEAD + box(b"jp2h", b"") + box(b"jp2c", stream, wide=True),
        "open end": JP2_HEAD + box(b"jp2c", stream, open_end=True),
        "odd length": JP2_HEAD + box(b"uuid", b"\0" * 17) + box(b"jp2c", stream),
    }[form]
    syntax = "1.2.840.10008.1.2.4.90"
    bare = decode(dicom(dataset(ramp()), [stream], syntax))
    decoded = decode(dicom(dataset(ramp()), [boxed], syntax))
    assert np.array_equal(decoded.pixels, bare.pixels)
    assert decoded.flags == ("jp2_boxed", *bare.flags)


def test_jp2_files_that_cannot_be_unwrapped_are_refused():
    _, stream = jpeg_2000()
    syntax = "1.2.840.10008.1.2.4.90"

    def reason(body):
        return reason_of(dicom(dataset(ramp()), [JP2_HEAD + body], syntax))

    assert reason(b"") is Reason.TRUNCATED
    assert reason(box(b"jp2c", stream)[: len(stream) // 2]) is Reason.TRUNCATED
    assert reason(struct.pack(">I4s", 3, b"free")) is Reason.CORRUPT
    palette = box(b"jp2h", box(b"pclr", b"\0" * 8)) + box(b"jp2c", stream)
    assert reason(palette) is Reason.UNSUPPORTED_PIXELS
    two = [JP2_HEAD + box(b"jp2c", stream)] * 2
    assert reason_of(dicom(dataset(ramp()), two, syntax)) is Reason.MULTI_FRAME


def test_a_stream_of_another_size_than_the_tags_is_corrupt():
    done, stream = cv2.imencode(".jpg", smooth(80, 112))
    assert done
    good = dicom(dataset(smooth(80, 112)), [stream.tobytes()], JPEG_BASELINE)
    assert same(decode(good).pixels, smooth(80, 112), most=3)
    bad = dicom(dataset(smooth(80, 110)), [stream.tobytes()], JPEG_BASELINE)
    assert reason_of(bad) is Reason.CORRUPT


def test_rle_segments_at_odd_offsets_decode():
    stored = twelve_bits()[:69, :91]
    frame = rle_frame(stored)
    assert struct.unpack_from("<3I", frame)[2] % 2 == 1
    decoded = decode(dicom(dataset(stored, bits=12), [frame], RLE))
    assert same(decoded.pixels, share(stored, 0, 4095))


@pytest.mark.parametrize("form", ["jpll", "jls", "j2k"])
@pytest.mark.parametrize("cells", ["s12", "u16", "u8", "s8"])
def test_compressed_cells_of_every_width_and_sign_are_exact(form, cells):
    data = (STREAMS / f"{form}_{cells}.dcm").read_bytes()
    bits, signed = int(cells[1:]), cells[0] == "s"
    stored = ramp(64, 64).astype(int) * 16
    stored[0, 1] = 4095
    stored = {8: stored // 16, 12: stored, 16: stored * 16 + 7}[bits]
    # Signed films were stored shifted down by half their range: the grey is the same.
    assert data.count(struct.pack("<HH2sHH", 0x28, 0x103, b"US", 2, signed)) == 1
    high = 255 if bits == 8 else np.unique(stored)[-2]
    assert same(decode(data).pixels, share(stored, 0, high))


@pytest.mark.parametrize("form", ["jpll", "jls", "j2k"])
def test_compressed_streams_cut_anywhere_are_refused(form):
    data = (STREAMS / f"{form}_s12.dcm").read_bytes()
    for part in range(10, 100):
        cut = data[: max(len(data) * part // 100, 140)]
        assert reason_of(cut) in {Reason.TRUNCATED, Reason.NO_PIXELS}


def test_a_lossless_scan_without_its_huffman_table_is_refused():
    data = (STREAMS / "jpll_u8.dcm").read_bytes()
    assert reason_of(data.replace(b"\xff\xc4\0", b"\xff\xfe\0", 1)) is Reason.CORRUPT
