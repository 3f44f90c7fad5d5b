"""Padding in a JPEG is left out with a flag; damage in the middle is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from film_files import dataset, dicom, encoded, ramp
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from edge.errors import FilmError, Reason
from edge.imaging.decode import decode_film
from edge.imaging.jpeg_padding import scan_padding
from edge.imaging.raster import read_jpeg

UNHURRIED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def picture(height=96, width=80):
    y, x = np.mgrid[:height, :width]
    limb = np.clip(1.2 - np.hypot((x - 40) / 20, (y - 48) / 40), 0, 1) * 220
    noise = np.random.default_rng(3).integers(0, 12, (height, width))
    image = limb + noise
    image[-24:] = 0  # a black border: flat areas at the end of the scan
    return image.astype(np.uint8)


def written(*, progressive=False, optimised=False, restart=0):
    return encoded(
        ".jpg", picture(), cv2.IMWRITE_JPEG_QUALITY, 92,
        cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive),
        cv2.IMWRITE_JPEG_OPTIMIZE, int(optimised), cv2.IMWRITE_JPEG_RST_INTERVAL, restart,
    )  # fmt: skip


PLAIN = written()
KINDS = {
    "baseline": PLAIN,
    "restart markers": written(restart=8),
    "progressive": written(progressive=True),
}


def decode(data):
    return decode_film(data, "film", 50.0)


def segments(data):
    """Places where header segments start, the first after SOI."""
    at, found = 2, []
    while data[at + 1] != 0xDA:
        found.append(at)
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return [*found, at]


def inside(data, where, extra):
    return data[:where] + extra + data[where:]


@pytest.mark.parametrize("kind", KINDS)
@UNHURRIED
@given(st.data(), st.integers(0, 255), st.integers(1, 40))
def test_padding_between_header_segments_is_left_out_with_a_flag(kind, data, value, length):
    film = KINDS[kind]
    where = data.draw(st.sampled_from(segments(film)))
    padded = decode(inside(film, where, bytes([value]) * length))
    assert np.array_equal(padded.pixels, decode(film).pixels)
    assert padded.flags == (() if value == 0xFF else ("jpeg_padding",))


@pytest.mark.parametrize("kind", ["baseline", "restart markers"])
@pytest.mark.parametrize("length", [1, 2, 3, 5, 8, 12, 13, 64, 1000])
@pytest.mark.parametrize("value", [0x00, 0xFF, 0x20])
def test_padding_before_the_end_marker_is_left_out(kind, length, value):
    film = KINDS[kind]
    padded = decode(film[:-2] + bytes([value]) * length + film[-2:])
    assert np.array_equal(padded.pixels, decode(film).pixels)
    # The decoder passes over a few bytes in silence, and 0xFF fills any gap.
    if value != 0xFF and length >= (12 if value else 4):
        assert padded.flags == ("jpeg_padding",)


def test_both_kinds_of_padding_in_one_film_and_inside_dicom():
    film = inside(PLAIN[:-2] + b"\0" * 12 + PLAIN[-2:], 20, b"\0\0")
    padded = decode(film)
    assert np.array_equal(padded.pixels, decode(PLAIN).pixels)
    assert padded.flags == ("jpeg_padding",)
    syntax = "1.2.840.10008.1.2.4.50"
    data = dicom(dataset(picture()), [film], syntax)
    plain = dicom(dataset(picture()), [PLAIN], syntax)
    assert np.array_equal(decode(data).pixels, decode(plain).pixels)
    assert "jpeg_padding" in decode(data).flags


def test_bytes_that_are_no_padding_are_refused():
    for film in (inside(PLAIN, 20, b"\0\1\2\3"), PLAIN[:-2] + bytes(range(1, 30)) + PLAIN[-2:]):
        with pytest.raises(FilmError) as caught:
            decode(film)
        assert caught.value.reason is Reason.CORRUPT


def test_zeros_that_may_be_coded_flat_areas_are_not_taken_for_padding():
    film = written(optimised=True)
    head = read_jpeg(film)
    padded = film[:-2] + b"\0" * 12 + film[-2:]
    flat = {0x00: b"\1" + bytes(15) + b"\0", 0x10: b"\1" + bytes(15) + b"\0"}
    ends = [len(padded) - 2]
    assert scan_padding(padded, ends, flat, sequential=True) == []
    assert scan_padding(padded, ends, read_jpeg(PLAIN).tables, sequential=True)
    assert head.scan_ends == (len(film) - 2,)


@pytest.mark.parametrize("kind", ["baseline", "restart markers"])
@UNHURRIED
@given(st.data(), st.integers(1, 40))
def test_padding_never_lets_a_damaged_scan_pass(kind, data, cut):
    """A stretch of a scan is lost: with padding it is read exactly where it is read without."""
    film = KINDS[kind]
    start = segments(film)[-1] + 14
    at = data.draw(st.integers(start, len(film) - 60))
    assume(0xFF not in film[at - 1 : at + cut + 1])
    damaged = film[:at] + film[at + cut :]
    padded = damaged[:-2] + b"\0" * 24 + damaged[-2:]
    try:
        result = decode(padded)
    except FilmError:
        return
    assert np.array_equal(result.pixels, decode(damaged).pixels)


@pytest.mark.parametrize("pad", [b"", b"\0" * 12])
def test_wrong_restart_markers_and_a_missing_end_stay_refused(pad):
    film = KINDS["restart markers"]
    wrong = film.replace(b"\xff\xd3", b"\xff\xd6", 1)[:-2] + pad + film[-2:]
    for damaged in (wrong, PLAIN[:-2] + pad):
        with pytest.raises(FilmError):
            decode(damaged)


def test_a_film_without_padding_has_no_flag():
    for film in KINDS.values():
        assert decode(film).flags == ()
    assert decode(encoded(".jpg", ramp())).flags == ()
