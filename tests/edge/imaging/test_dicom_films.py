from __future__ import annotations

import io
import struct
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from film_files import (
    DATA,
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    RLE,
    dataset,
    dicom,
    film,
    item,
    meta_end,
    ramp,
    rle_frame,
    smooth,
    table_item,
)
from pydicom.sequence import Sequence

from edge.errors import FilmError, Reason
from edge.imaging.decode import decode_film

STREAMS = Path(__file__).parent / "streams"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"


def decode(data, limit=50.0):
    return decode_film(data, "film", limit)


def refused(data, limit=50.0):
    with pytest.raises(FilmError) as caught:
        decode(data, limit)
    return caught.value


def reason_of(data, limit=50.0):
    return refused(data, limit).reason


def twelve_bits():
    """[70, 90] uint16 over the whole of 12 bits."""
    image = ramp().astype(np.uint16) * 16
    image[0, 0], image[0, 1] = 0, 4095
    return image


def share(values, low, high):
    return np.floor(np.clip((values.astype(float) - low) / (high - low), 0, 1) * 255 + 0.5)


def same(pixels, want, most=1):
    return np.abs(pixels.astype(int) - want).max() <= most


def stretched(values):
    """The values present from 0 to 255, as a film without a window comes."""
    return share(values, values.min(), values.max())


# --- real objects


def real(name):
    path = DATA / "dicom" / name
    if not path.exists():
        pytest.skip(f"no {name} under {DATA}")
    return path.read_bytes()


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


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("chrJapMulti", Reason.NO_PIXELS),
        ("MR_truncated", Reason.OTHER_MODALITY),
        ("ExplVR_BigEndNoMeta", Reason.NO_PIXELS),
        ("ExplVR_BigEnd", Reason.OTHER_MODALITY),
    ],
)
def test_objects_without_a_film_say_why(name, reason):
    assert reason_of(real(f"misc/{name}.dcm")) is reason


def test_monochrome1_of_a_real_unit_comes_bones_bright():
    film_bytes = real("wg04/RG3_UNC.dcm")
    raw = pydicom.dcmread(io.BytesIO(film_bytes))
    pixels = decode(film_bytes).pixels
    assert raw.PhotometricInterpretation == "MONOCHROME1"
    assert np.corrcoef(raw.pixel_array.ravel(), pixels.ravel())[0, 1] < -0.9


def test_modality_table_of_a_real_unit_is_applied():
    film_bytes = real("misc/CR-ModalitySequenceLUT.dcm")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = pydicom.dcmread(io.BytesIO(film_bytes))
        stored = whole.pixel_array
        table = np.frombuffer(whole.ModalityLUTSequence[0].LUTData, "<u2").astype(float)
    assert whole.PhotometricInterpretation == "MONOCHROME1"
    assert same(decode(film_bytes).pixels, 255 - table[stored] / table.max() * 255)


def test_deflated_real_object_decodes():
    assert decode(real("misc/image_dfl.dcm")).pixels.shape == (512, 512)


# --- layout of the file


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_every_native_syntax_gives_the_same_film(syntax, dtype):
    stored = ramp().astype(dtype)
    if dtype is np.int16:
        stored -= 5
    want = stored if dtype is np.uint8 else share(stored, stored.min(), stored.max())
    assert same(decode(film(stored, syntax=syntax)).pixels, want)


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG])
def test_without_a_meta_header_the_syntax_is_guessed_and_flagged(syntax):
    order = ">" if syntax == EXPLICIT_BIG else "<"
    raw = twelve_bits().astype(f"{order}u2").tobytes()
    bare = dicom(dataset(twelve_bits(), bits=12), raw, syntax, meta=False)
    decoded = decode(bare)
    assert decoded.flags == ("no_file_meta",)
    assert same(decoded.pixels, share(twelve_bits(), 0, 4095))


def test_a_missing_preamble_is_no_damage():
    whole = film(twelve_bits(), bits=12)
    decoded = decode(whole[132:])
    assert decoded.flags == ()
    assert same(decoded.pixels, share(twelve_bits(), 0, 4095))


def test_implicit_data_under_an_explicit_syntax_decode():
    data = dicom(dataset(twelve_bits(), bits=12), twelve_bits().tobytes(), IMPLICIT_LITTLE)
    lie = data.replace(b"1.2.840.10008.1.2\0", b"1.2.840.10008.1.2\0")
    explicit = film(twelve_bits(), bits=12)
    mixed = explicit[: meta_end(explicit)] + lie[meta_end(lie) :]
    assert same(decode(mixed).pixels, share(twelve_bits(), 0, 4095))


def test_odd_lengths_and_trailing_bytes_decode():
    odd = ramp(65, 67)
    whole = film(odd)
    assert whole[-1:] == b"\0"
    for data in (whole[:-1], whole, whole + b"\0" * 500, whole + b"rubbish"):
        assert np.array_equal(decode(data).pixels, odd)
    extra = dicom(dataset(odd), odd.tobytes() + b"\1" * 101)
    assert np.array_equal(decode(extra).pixels, odd)


def test_too_few_bytes_are_refused_with_the_numbers():
    stored = twelve_bits()
    error = refused(dicom(dataset(stored, bits=12), stored.tobytes()[:-200]))
    assert error.reason is Reason.TRUNCATED
    assert "12400" in error.detail
    assert "12600" in error.detail
    assert reason_of(film(stored, bits=12)[:-10]) is Reason.TRUNCATED


def test_a_second_frame_is_refused_whether_stated_or_found():
    stored = twelve_bits()
    twice = stored.tobytes() * 2
    assert reason_of(dicom(dataset(stored, NumberOfFrames=2), twice)) is Reason.MULTI_FRAME
    assert reason_of(dicom(dataset(stored), twice)) is Reason.MULTI_FRAME
    frames = [rle_frame(stored), rle_frame(stored)]
    assert reason_of(dicom(dataset(stored), frames, RLE)) is Reason.MULTI_FRAME


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.201", "1.2.3.4"]
)
def test_an_unknown_syntax_is_refused_by_its_uid(syntax):
    error = refused(dicom(dataset(ramp()), [b"\xff\xd8\xff\xe0" + b"\0" * 99], syntax))
    assert error.reason is Reason.UNSUPPORTED_TRANSFER_SYNTAX
    assert syntax in error.detail


def test_a_film_cut_anywhere_says_so():
    for whole in (
        film(ramp(64, 64)),
        dicom(
            dataset(ramp(64, 64).astype(np.uint16)),
            [rle_frame(ramp(64, 64).astype(np.uint16))],
            RLE,
        ),
    ):
        for part in range(1, 100):
            cut = whole[: max(len(whole) * part // 100, 140)]
            assert reason_of(cut) in {Reason.TRUNCATED, Reason.NO_PIXELS, Reason.CORRUPT}


def test_the_budget_is_judged_from_the_tags():
    huge = dataset(ramp(), Rows=65_000, Columns=65_000)
    assert reason_of(dicom(huge, ramp().tobytes())) is Reason.TOO_LARGE
    assert reason_of(film(ramp(63, 80))) is Reason.TOO_SMALL
    assert reason_of(film(ramp(1000, 1001)), 1.0) is Reason.TOO_LARGE


def test_a_deflated_object_that_swells_is_stopped():
    stored = ramp()
    bomb = dicom(dataset(stored), stored.tobytes() + b"\0" * (80 << 20), DEFLATED)
    assert len(bomb) < 1 << 20
    assert reason_of(bomb, 1.0) is Reason.TOO_LARGE


def test_a_stream_of_another_size_than_the_tags_is_corrupt():
    done, stream = cv2.imencode(".jpg", smooth(80, 112))
    assert done
    good = dicom(dataset(smooth(80, 112)), [stream.tobytes()], JPEG_BASELINE)
    assert same(decode(good).pixels, smooth(80, 112), most=3)
    bad = dicom(dataset(smooth(80, 110)), [stream.tobytes()], JPEG_BASELINE)
    assert reason_of(bad) is Reason.CORRUPT


def test_float_pixels_are_refused():
    data = dataset(ramp())
    data.add_new(0x7FE00008, "OF", np.zeros(90 * 70, "<f4").tobytes())
    assert reason_of(dicom(data, None)) is Reason.UNSUPPORTED_PIXELS


# --- bits


def test_rle_segments_at_odd_offsets_decode():
    stored = twelve_bits()[:69, :91]
    frame = rle_frame(stored)
    assert struct.unpack_from("<3I", frame)[2] % 2 == 1
    decoded = decode(dicom(dataset(stored, bits=12), [frame], RLE))
    assert same(decoded.pixels, share(stored, 0, 4095))


@pytest.mark.parametrize("high_bit", [11, 13, 15])
def test_stored_bits_are_cut_out_by_bits_stored_and_high_bit(high_bit):
    stored = twelve_bits()
    shift = high_bit - 11
    rng = np.random.default_rng(3)
    rubbish = rng.integers(0, 1 << 16, stored.shape) & ~(0xFFF << shift)
    cells = ((stored.astype(np.int64) << shift) | rubbish).astype(np.uint16)
    decoded = decode(film(cells, bits=12, HighBit=high_bit))
    assert same(decoded.pixels, share(stored, 0, 4095))


def test_signed_samples_are_extended_from_their_own_sign_bit():
    signed = twelve_bits().astype(np.int32) - 2048
    cells = (signed & 0xFFF).astype(np.uint16)
    native = decode(film(cells, bits=12, PixelRepresentation=1))
    as_rle = decode(dicom(dataset(cells, bits=12, PixelRepresentation=1), [rle_frame(cells)], RLE))
    for decoded in (native, as_rle):
        assert same(decoded.pixels, share(signed, -2048, 2047))


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


def test_one_bit_objects_decode():
    image = ramp(64, 64) > 100
    raw = np.packbits(image.ravel(), bitorder="little").tobytes()
    data = dataset(ramp(64, 64), BitsAllocated=1, BitsStored=1, HighBit=0)
    assert np.array_equal(decode(dicom(data, raw)).pixels, image * np.uint8(255))


# --- polarity, windows, tables


@pytest.mark.parametrize("shape", [None, "IDENTITY", "INVERSE"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_photometric_interpretation_alone_decides_polarity(photometric, shape):
    tags = {"PhotometricInterpretation": photometric}
    if shape:
        tags["PresentationLUTShape"] = shape
    decoded = decode(film(twelve_bits(), bits=12, **tags))
    want = share(twelve_bits(), 0, 4095)
    assert same(decoded.pixels, 255 - want if photometric == "MONOCHROME1" else want)
    odd = (photometric, shape) in {("MONOCHROME1", "IDENTITY"), ("MONOCHROME2", "INVERSE")}
    assert decoded.flags == (("presentation_lut_contradicts",) if odd else ())


def test_a_negative_slope_turns_the_film_once():
    tags = {"RescaleSlope": "-1", "RescaleIntercept": "4095"}
    plain = decode(film(twelve_bits(), bits=12, **tags)).pixels
    windowed = decode(
        film(twelve_bits(), bits=12, WindowCenter="2048", WindowWidth="4096", **tags)
    ).pixels
    want = 255 - share(twelve_bits(), 0, 4095)
    assert same(plain, want)
    assert same(windowed, want)


def test_the_window_comes_after_the_modality_step_and_before_the_inversion():
    decoded = decode(
        film(
            twelve_bits(), bits=12, RescaleSlope="2", RescaleIntercept="-1000",
            WindowCenter="1500", WindowWidth="4000", PhotometricInterpretation="MONOCHROME1",
        )
    )  # fmt: skip
    values = twelve_bits().astype(float) * 2 - 1000
    want = np.clip((values - 1499.5) / 3999 + 0.5, 0, 1) * 255
    assert same(decoded.pixels, 255 - want)


@pytest.mark.parametrize(
    ("function", "curve"),
    [
        ("LINEAR", lambda v: np.clip((v - 1999.5) / 2999 + 0.5, 0, 1)),
        ("linear ", lambda v: np.clip((v - 1999.5) / 2999 + 0.5, 0, 1)),
        ("LINEAR_EXACT", lambda v: np.clip((v - 2000) / 3000 + 0.5, 0, 1)),
        ("Linear Exact", lambda v: np.clip((v - 2000) / 3000 + 0.5, 0, 1)),
        ("SIGMOID", lambda v: 1 / (1 + np.exp(-4 * (v - 2000) / 3000))),
        ("sigmoid", lambda v: 1 / (1 + np.exp(-4 * (v - 2000) / 3000))),
        ("", lambda v: np.clip((v - 1999.5) / 2999 + 0.5, 0, 1)),
    ],
)
def test_window_functions_in_every_spelling(function, curve):
    decoded = decode(
        film(twelve_bits(), bits=12, WindowCenter="2000", WindowWidth="3000",
             VOILUTFunction=function)
    )  # fmt: skip
    assert same(decoded.pixels, curve(twelve_bits().astype(float)) * 255)


def test_of_several_windows_the_first_counts():
    decoded = decode(
        film(twelve_bits(), bits=12, WindowCenter=["1800", "2000"], WindowWidth=["3000", "3600"])
    )
    assert same(decoded.pixels, np.clip((twelve_bits() - 1799.5) / 2999 + 0.5, 0, 1) * 255)
    assert decoded.flags == ()


@pytest.mark.parametrize("width", ["0", "0.5", "-100", "1"])
def test_a_window_that_shows_nothing_is_ignored(width):
    decoded = decode(film(twelve_bits(), bits=12, WindowCenter="0", WindowWidth=width))
    assert same(decoded.pixels, share(twelve_bits(), 0, 4095))
    assert decoded.flags == ("window_ignored",)


def test_a_narrow_window_over_optical_density_is_meant():
    decoded = decode(
        film(twelve_bits(), bits=12, RescaleSlope="0.0001", RescaleIntercept="0",
             WindowCenter="0.2", WindowWidth="0.4")
    )  # fmt: skip
    assert same(decoded.pixels, np.clip(twelve_bits() * 0.0001 / 0.4, 0, 1) * 255)


def test_empty_windows_rescales_and_table_items_are_skipped():
    decoded = decode(
        film(twelve_bits(), bits=12, RescaleSlope="", RescaleIntercept="", WindowCenter="",
             WindowWidth="", VOILUTSequence=Sequence([item()]), ModalityLUTSequence=Sequence([]))
    )  # fmt: skip
    assert same(decoded.pixels, share(twelve_bits(), 0, 4095))
    assert decoded.flags == ()


def curve_table(entries=4096, top=4095):
    x = np.linspace(0, 1, entries)
    return np.rint(np.sqrt(x) * top).astype(np.uint16)


@pytest.mark.parametrize("vr", ["US", "OW"])
def test_a_table_beside_a_window_wins(vr):
    table = curve_table()
    lut = table_item(table, vr=vr)
    decoded = decode(
        film(twelve_bits(), bits=12, WindowCenter="100", WindowWidth="50",
             VOILUTSequence=Sequence([item(), lut]))
    )  # fmt: skip
    assert same(decoded.pixels, table[twelve_bits()] / 4095 * 255)


@pytest.mark.parametrize("stated_bits", [8, 12, 16])
def test_table_bits_that_disagree_with_the_data_do_not_blacken_the_film(stated_bits):
    table = curve_table()
    lut = table_item(table, bits=stated_bits)
    decoded = decode(film(twelve_bits(), bits=12, VOILUTSequence=Sequence([lut])))
    assert same(decoded.pixels, table[twelve_bits()] / 4095 * 255)


@pytest.mark.parametrize("stated_entries", [4096, 5000, 0])
def test_a_table_length_that_disagrees_takes_the_entries_there_are(stated_entries):
    table = curve_table(4096)
    lut = table_item(table, stated_entries)
    decoded = decode(film(twelve_bits(), bits=12, VOILUTSequence=Sequence([lut])))
    assert same(decoded.pixels, table[twelve_bits()] / 4095 * 255)


def test_a_table_of_65536_entries_is_written_as_0():
    stored = twelve_bits() * 16 + 15
    table = curve_table(65536, 65535)
    lut = table_item(table, 0, 16, "OW")
    data = dataset(stored)
    data.VOILUTSequence = Sequence([lut])
    decoded = decode(dicom(data, stored.tobytes(), IMPLICIT_LITTLE))
    assert same(decoded.pixels, table[stored] / 65535 * 255)


def test_the_first_value_of_a_table_may_be_negative():
    signed = (twelve_bits().astype(np.int32) - 2048).astype(np.int16)
    table = curve_table()
    lut = item()
    lut.add_new(0x00283002, "SS", [4096, -2048, 12])
    lut.add_new(0x00283006, "OW", table.tobytes())
    decoded = decode(film(signed, bits=12, VOILUTSequence=Sequence([lut])))
    assert same(decoded.pixels, table[signed.astype(int) + 2048] / 4095 * 255)


def test_eight_bit_entries_packed_two_to_a_word():
    table = curve_table(4096, 255).astype(np.uint8)
    lut = item(LUTDescriptor=[4096, 0, 8])
    lut.add_new(0x00283006, "OW", table.tobytes())
    decoded = decode(film(twelve_bits(), bits=12, VOILUTSequence=Sequence([lut])))
    assert same(decoded.pixels, table[twelve_bits()])


@pytest.mark.parametrize("vr", ["US", "OW"])
def test_big_endian_tables_are_read_in_their_order(vr):
    table = curve_table()
    lut = table_item(table, vr=vr, order=">")
    decoded = decode(
        film(twelve_bits(), bits=12, syntax=EXPLICIT_BIG, VOILUTSequence=Sequence([lut]))
    )
    assert same(decoded.pixels, table[twelve_bits()] / 4095 * 255)


def test_a_modality_table_comes_before_the_window():
    table = curve_table()
    lut = table_item(table)
    decoded = decode(
        film(twelve_bits(), bits=12, ModalityLUTSequence=Sequence([lut]), WindowCenter="2048",
             WindowWidth="4096")
    )  # fmt: skip
    assert same(decoded.pixels, table[twelve_bits()] / 4095 * 255)


def test_without_window_or_table_the_values_present_are_stretched():
    narrow = (ramp().astype(np.uint16) + 1500).clip(0, 4095)
    decoded = decode(film(narrow, bits=12))
    assert same(decoded.pixels, share(narrow, narrow.min(), narrow.max()))
    assert decoded.flags == ("stretched_by_values",)


def test_eight_bits_without_a_window_stay_as_stored():
    dark = (ramp() // 2).astype(np.uint8) + 20
    decoded = decode(film(dark))
    assert np.array_equal(decoded.pixels, dark)
    assert decoded.flags == ()


def test_padding_stays_out_of_the_range_and_is_black_outside_the_film():
    stored = (ramp(100, 100).astype(np.uint16) * 4).clip(1, 1000)
    stored[:20] = 4095
    stored[60:63, 60:63] = 4095
    decoded = decode(
        film(stored, bits=12, PixelPaddingValue=2000, PixelPaddingRangeLimit=4095,
             PhotometricInterpretation="MONOCHROME2")
    )  # fmt: skip
    assert decoded.pixels[:20].max() == 0
    assert decoded.pixels[60:63, 60:63].min() == 255
    assert same(decoded.pixels[20:60], share(stored[20:60], 1, stored[20:60].max()))
    inverted = decode(
        film(stored, bits=12, PixelPaddingValue=4095, PhotometricInterpretation="MONOCHROME1")
    )
    assert inverted.pixels[:20].max() == 0


# --- colour


@pytest.mark.parametrize("planar", [0, 1])
def test_colour_becomes_grey_by_luminance(planar):
    colour = np.random.default_rng(4).integers(0, 256, (70, 90, 3), np.uint8)
    raw = colour.transpose(2, 0, 1).tobytes() if planar else colour.tobytes()
    decoded = decode(dicom(dataset(colour, PlanarConfiguration=planar), raw))
    assert same(decoded.pixels, colour @ np.array([0.299, 0.587, 0.114]))


def test_of_ybr_the_first_sample_is_the_grey():
    colour = np.random.default_rng(4).integers(0, 256, (70, 90, 3), np.uint8)
    full = dataset(colour, PhotometricInterpretation="YBR_FULL", PlanarConfiguration=0)
    assert np.array_equal(decode(dicom(full, colour.tobytes())).pixels, colour[:, :, 0])
    halved = np.zeros((70, 45, 4), np.uint8)
    halved[:, :, :2] = colour[:, :, 0].reshape(70, 45, 2)
    half = dataset(colour, PhotometricInterpretation="YBR_FULL_422", PlanarConfiguration=0)
    assert np.array_equal(decode(dicom(half, halved.tobytes())).pixels, colour[:, :, 0])


def test_a_palette_becomes_its_luminance():
    palette = np.random.default_rng(5).integers(0, 256, (256, 3)).astype(np.uint16) * 257
    data = dataset(ramp(), PhotometricInterpretation="PALETTE COLOR")
    for i, name in enumerate(("Red", "Green", "Blue")):
        setattr(data, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(data, f"{name}PaletteColorLookupTableData", palette[:, i].tobytes())
    want = (palette @ np.array([0.299, 0.587, 0.114])) / 257
    assert same(decode(dicom(data, ramp().tobytes())).pixels, want[ramp()])


def test_colour_that_cannot_be_read_is_refused_by_name():
    colour = np.zeros((70, 90, 4), np.uint8)
    error = refused(dicom(dataset(colour, PhotometricInterpretation="CMYK"), colour.tobytes()))
    assert error.reason is Reason.UNSUPPORTED_PIXELS
    assert "CMYK" in error.detail
