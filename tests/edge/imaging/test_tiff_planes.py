"""TIFF colour, interleaved or in separate planes: the same picture, or refused by name."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from film_files import ORIENTATIONS, ramp, tiff, turned
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import FilmError, Reason
from edge.imaging.decode import decode_film

WEIGHTS = np.array([0.299, 0.587, 0.114])


def decode(data):
    return decode_film(data, "film", 50.0).pixels


def refused(data):
    with pytest.raises(FilmError) as caught:
        decode(data)
    return caught.value


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(64, 90), st.integers(64, 90), st.sampled_from(["u1", "u2"]), st.booleans(),
    st.sampled_from("<>"), st.booleans(), st.booleans(),
    st.one_of(st.integers(1, 90).map(lambda rows: {"rows": rows}), st.just({"tile": 32})),
)  # fmt: skip
def test_planes_apart_and_together_give_the_picture(
    height, width, kind, apart, order, big, deflate, blocks
):
    full = np.iinfo(kind).max
    colour = np.random.default_rng(height * width).integers(0, full, (height, width, 3), kind)
    colour[0, 0] = full
    data = tiff(colour, order=order, big=big, deflate=deflate, apart=apart, **blocks)
    assert np.abs(decode(data) - colour @ WEIGHTS * 255 / full).max() <= 1.5


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_planes_apart_are_turned_once(orientation):
    colour = np.repeat(ramp()[:, :, None], 3, axis=2).astype(np.uint16) * 257
    data = tiff(colour, apart=True, tags={274: orientation})
    assert np.array_equal(decode(data), turned(ramp(), orientation))


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_packed_planes_are_decoded(bits):
    places = np.arange(bits - 1, -1, -1)
    values = ramp().astype(np.uint16) << (bits - 8)
    row = np.packbits((values[:, :, None] >> places & 1).reshape(70, -1).astype(np.uint8), axis=1)
    planes = np.stack([row] * 3, axis=2)
    data = tiff(planes, apart=True, tags={256: 90, 258: (bits,) * 3})
    want = np.floor(values.astype(int) * 255 / ((1 << bits) - 1) + 0.5)
    assert np.abs(decode(data).astype(int) - want).max() <= 1


@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_stated_ranges_of_planes_apart_are_read(kind):
    colour = np.repeat(ramp()[:, :, None], 3, axis=2).astype(kind)
    tags = {280: (0, 0, 0), 281: (255, 255, 255), 339: (1, 1, 1)}
    assert np.abs(decode(tiff(colour, apart=True, tags=tags)).astype(int) - ramp()).max() <= 1


@pytest.mark.parametrize(
    ("samples", "tags"),
    [(2, {262: 1, 338: 2}), (4, {262: 2, 338: 2}), (3, {262: 6}), (5, {262: 2}), (3, {262: 1})],
)
@pytest.mark.parametrize("apart", [False, True])
def test_other_planes_are_decoded_right_or_refused_by_name(samples, tags, apart):
    image = np.repeat(ramp()[:, :, None], samples, axis=2).astype(np.uint16) * 257
    if samples in {2, 4}:
        image[:, :, -1] = 65535
    data = tiff(image, apart=apart, tags=tags)
    if apart or samples == 5 or (samples == 3 and tags[262] == 1):
        error = refused(data)
        assert error.reason is Reason.UNSUPPORTED_PIXELS
        assert str(samples) in error.detail
    elif samples != 3:
        assert np.abs(decode(data).astype(int) - ramp()).max() <= 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_separate_planes_with_a_damaged_directory_are_decoded_or_refused(data):
    colour = np.repeat(ramp()[:, :, None], 3, axis=2).astype(np.uint16) * 257
    file = bytearray(tiff(colour, apart=True, rows=9))
    start = int.from_bytes(file[4:8], "little")
    for _ in range(data.draw(st.integers(1, 3))):
        file[data.draw(st.integers(start, len(file) - 1))] = data.draw(st.integers(0, 255))
    with suppress(FilmError):
        decode(bytes(file))
