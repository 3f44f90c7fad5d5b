from __future__ import annotations

import numpy as np
import pytest
from decoded import decode, real, reason_of, refused, same, share, twelve_bits
from film_files import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    RLE,
    dataset,
    dicom,
    film,
    meta_end,
    ramp,
    rle_frame,
)

from edge.errors import Reason


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


def test_deflated_real_object_decodes():
    assert decode(real("misc/image_dfl.dcm")).pixels.shape == (512, 512)


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


def test_float_pixels_are_refused():
    data = dataset(ramp())
    data.add_new(0x7FE00008, "OF", np.zeros(90 * 70, "<f4").tobytes())
    assert reason_of(dicom(data, None)) is Reason.UNSUPPORTED_PIXELS


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


def test_one_bit_objects_decode():
    image = ramp(64, 64) > 100
    raw = np.packbits(image.ravel(), bitorder="little").tobytes()
    data = dataset(ramp(64, 64), BitsAllocated=1, BitsStored=1, HighBit=0)
    assert np.array_equal(decode(dicom(data, raw)).pixels, image * np.uint8(255))
