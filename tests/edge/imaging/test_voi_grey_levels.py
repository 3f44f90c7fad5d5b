"""Depth, sign, polarity and window: whatever they are, the film comes as its plain copy does."""

from __future__ import annotations

import numpy as np
import pytest
from film_files import chunk, film, png16, table_item, tiff
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.sequence import Sequence

from edge.imaging.decode import decode_film
from edge.imaging.stretch import PresentValues

DEPTHS_BITS = (8, 10, 12, 14, 16)
ALIKE = 3.0
"""Mean difference in grey levels that a film may have from its plain copy."""


def plain():
    """[96, 80] uint8 from 0 to 255: a bright limb with soft edges on a dark, uneven ground."""
    y, x = np.mgrid[:96, :80]
    limb = np.clip(1.3 - np.hypot((x - 40) / 24, (y - 48) / 40), 0, 1) * 200
    picture = limb + 20 + 10 * np.sin(x / 3) + 10 * np.cos(y / 5)
    picture = (picture - picture.min()) / np.ptp(picture)
    return np.rint(picture * 255).astype(np.uint8)


def decoded(data):
    return decode_film(data, "film", 50.0)


def apart(pixels, want=None):
    return float(np.abs(pixels.astype(int) - (plain() if want is None else want)).mean())


def used(bits):
    """The plain film in values of 0 to (1 << bits) - 1, as int64."""
    return plain().astype(np.int64) * ((1 << bits) - 1) // 255


WINDOWS = (
    "none", "empty", "full", "of another depth", "left of the values", "right of the values",
    "far too wide",
)  # fmt: skip


def window(kind, stored_bits, signed):
    low = -(1 << (stored_bits - 1)) if signed else 0
    centre, width = {
        "empty": (0, 0),
        "full": (low + (1 << (stored_bits - 1)), 1 << stored_bits),
        "of another depth": (2048, 4096) if stored_bits > 12 else (8192, 16384),
        "left of the values": (-300_000, 400),
        "right of the values": (300_000, 400),
        "far too wide": (0, 1 << 24),
    }[kind]
    return {"WindowCenter": str(centre), "WindowWidth": str(width)}


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("kind", WINDOWS)
@pytest.mark.parametrize("stored_bits", DEPTHS_BITS)
def test_every_depth_sign_polarity_and_useless_window_gives_the_plain_film(
    stored_bits, kind, photometric, signed
):
    for used_bits in (bits for bits in DEPTHS_BITS if bits <= stored_bits - signed or bits == 8):
        values = used(used_bits)
        if photometric == "MONOCHROME1":
            values = values.max() - values
        # Signed values lie round zero where they need all stored bits, else above it.
        if signed and used_bits >= stored_bits:
            values = values - (1 << (used_bits - 1))
        kind_of_cell = f"{'i' if signed else 'u'}{1 if stored_bits == 8 else 2}"
        tags = {"PhotometricInterpretation": photometric}
        if kind != "none":
            tags |= window(kind, stored_bits, signed)
        it = decoded(film(values.astype(kind_of_cell), bits=stored_bits, **tags))
        assert apart(it.pixels) <= ALIKE, (stored_bits, used_bits)
        if used_bits <= stored_bits - 2 and kind != "of another depth":
            assert "stretched_by_values" in it.flags
        if kind not in {"none", "full", "of another depth"}:
            assert "window_ignored" in it.flags


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_window_that_suits_the_film_is_applied_and_not_flagged(photometric):
    values = used(12)
    low, high = 400, 3200
    it = decoded(
        film(
            values.astype(np.uint16), bits=16, PhotometricInterpretation=photometric,
            WindowCenter=str((low + high) / 2), WindowWidth=str(high - low),
            VOILUTFunction="LINEAR_EXACT",
        )
    )  # fmt: skip
    want = np.clip((values - low) / (high - low), 0, 1) * 255
    want = 255 - want if photometric == "MONOCHROME1" else want
    assert apart(it.pixels, want) < 1
    assert it.flags == ()


def test_a_window_that_clips_most_of_the_limb_is_not_used():
    it = decoded(film(used(12).astype(np.uint16), bits=12, WindowCenter="600", WindowWidth="700"))
    assert apart(it.pixels) <= ALIKE
    assert it.flags == ("window_ignored",)


def test_the_first_window_that_suits_is_used():
    it = decoded(
        film(used(12).astype(np.uint16), bits=16, WindowCenter=["90000", "2048"],
             WindowWidth=["100", "4096"])
    )  # fmt: skip
    assert apart(it.pixels) <= 1
    assert it.flags == ("window_ignored",)


@pytest.mark.parametrize("table", [np.arange(65536), np.full(65536, 65535)])
def test_a_table_that_leaves_too_few_levels_is_not_used(table):
    it = decoded(
        film(used(10).astype(np.uint16), bits=16,
             VOILUTSequence=Sequence([table_item(table.astype(np.uint16), 0, 16, "OW")]))
    )  # fmt: skip
    assert apart(it.pixels) <= ALIKE
    assert it.flags == ("voi_lut_ignored", "stretched_by_values")


@pytest.mark.parametrize("used_bits", DEPTHS_BITS)
@pytest.mark.parametrize("stated", [None, 16, 15])
def test_every_depth_in_sixteen_bit_files_gives_the_plain_film(used_bits, stated):
    image = used(used_bits).astype(np.uint16)
    files = [
        png16(image, chunk(b"sBIT", bytes([stated])) if stated else b""),
        tiff(image, tags={281: (1 << stated) - 1} if stated else None),
        tiff(image.max() - image, tags={262: 0}),
    ]
    for data in files:
        it = decoded(data)
        # A stated range is used where it leaves enough levels.
        if not (stated == 15 and used_bits == 14):
            assert apart(it.pixels) <= ALIKE


@pytest.mark.parametrize("used_bits", [10, 12, 14])
@pytest.mark.parametrize("where", ["high", "low", "both"])
def test_hot_and_dead_pixels_do_not_squeeze_the_film(used_bits, where):
    values = used(used_bits) + 3000
    if where != "low":
        values[5, 5] = 65535
    if where != "high":
        values[60, 7] = 0
    it = decoded(film(values.astype(np.uint16), bits=16))
    assert apart(it.pixels) <= ALIKE
    assert it.flags == ("outliers_clipped", "stretched_by_values")
    if where == "high":
        image = used(used_bits).astype(np.uint16)
        image[5, 5] = 65535
        for data in (png16(image), tiff(image)):
            assert apart(decoded(data).pixels) <= ALIKE
            assert decoded(data).flags == ("outliers_clipped",)


def test_burned_in_text_does_not_squeeze_the_film():
    values = used(12)
    values[2:8, 2:40] = 65535
    it = decoded(film(values.astype(np.uint16), bits=16))
    assert apart(it.pixels[10:], plain()[10:]) <= ALIKE
    assert it.pixels[4, 4] == 255


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("declared", [False, True])
def test_a_background_far_below_the_values_does_not_squeeze_the_film(photometric, declared):
    values = used(12)
    if photometric == "MONOCHROME1":
        values = values.max() - values
    values[:, :20] = -32768
    padding = {"PixelPaddingValue": -32768} if declared else {}
    it = decoded(
        film(values.astype(np.int16), bits=16, PhotometricInterpretation=photometric, **padding)
    )
    assert apart(it.pixels[:, 20:], plain()[:, 20:]) <= ALIKE


def test_a_film_of_two_values_stays_black_and_white():
    image = (plain() > 100).astype(np.uint16) * 65535
    assert set(np.unique(decoded(film(image, bits=16)).pixels)) == {0, 255}
    assert set(np.unique(decoded(png16(image)).pixels)) == {0, 255}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.integers(-(2**20), 2**20), st.integers(0, 10**6)), min_size=1, max_size=60
    ).filter(lambda pairs: any(count for _, count in pairs))
)
def test_the_body_of_any_values_is_some_of_them_and_holds_most_pixels(pairs):
    values = np.array([value for value, _ in pairs], np.float64)
    counts = np.array([count for _, count in pairs], np.int64)
    present = PresentValues.of(values, counts)
    body = present.body()
    assert present.low <= body.low <= body.high <= present.high
    assert body.clipped == (len(body.values) < len(present.values))
    assert set(body.values) <= set(values)
    assert present.counts.sum() == counts.sum()
    shares = body.stretched(body.values)
    assert shares.min() >= 0
    assert shares.max() <= 1


def test_an_even_spread_has_no_outliers():
    present = PresentValues.of(np.arange(4096.0), np.ones(4096, np.int64))
    assert not present.body().clipped
