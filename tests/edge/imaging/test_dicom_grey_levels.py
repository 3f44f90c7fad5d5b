"""From stored values to grey: polarity, modality, windows, tables, padding and colour."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pydicom
import pytest
from decoded import decode, real, refused, same, share, twelve_bits
from film_files import (
    EXPLICIT_BIG,
    IMPLICIT_LITTLE,
    dataset,
    dicom,
    film,
    item,
    ramp,
    table_item,
)
from pydicom.sequence import Sequence

from edge.errors import Reason


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
