from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from film_files import (
    DEFLATED,
    EXPLICIT_BIG,
    IMPLICIT_LITTLE,
    RLE,
    chunk,
    dataset,
    dicom,
    encoded,
    exif,
    film,
    jpeg,
    png,
    ramp,
    rle_frame,
    smooth,
    table_item,
    tiff,
)
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom.sequence import Sequence

from edge.errors import FilmError, Reason
from edge.imaging.decode import decode_film
from edge.model import Radiograph

STREAMS = Path(__file__).parent / "streams"
LIMIT_MEGAPIXELS = 0.05
KINDS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0*", b"II+\0",
         b"\0" * 128 + b"DICM", b"\x08\0\x05\0CS", b"\0\x08\0\x05")  # fmt: skip


def _seeds():
    small = ramp(64, 64)
    sixteen = small.astype(np.uint16) * 16
    done, stream = cv2.imencode(".jpg", smooth(64, 64))
    assert done
    tags = {
        "WindowCenter": "2000", "WindowWidth": "900", "PatientAge": "060Y",
        "VOILUTSequence": Sequence([table_item(np.arange(256))]), "ImageLaterality": "L",
        "StudyDescription": "Hand links d.p.", "PixelPaddingValue": 0,
    }  # fmt: skip
    return (
        jpeg(smooth(64, 64), 6),
        encoded(".jpg", smooth(64, 64), cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        png(small, extra=chunk(b"eXIf", exif(5))),
        encoded(".bmp", small),
        tiff(small, tags={274: 6}),
        tiff(sixteen, tile=32, deflate=True),
        tiff(small, big=True, order=">"),
        encoded(".tiff", small),
        film(sixteen, bits=12, **tags),
        film(sixteen, bits=12, syntax=IMPLICIT_LITTLE, **tags),
        film(sixteen, bits=12, syntax=EXPLICIT_BIG),
        film(sixteen, bits=12, syntax=DEFLATED),
        dicom(dataset(sixteen, bits=12), [rle_frame(sixteen)], RLE),
        dicom(dataset(smooth(64, 64)), [stream.tobytes()], "1.2.840.10008.1.2.4.50"),
        dicom(dataset(sixteen, bits=12), sixteen.tobytes(), meta=False),
        *(path.read_bytes() for path in sorted(STREAMS.glob("*_s12.dcm"))),
        (STREAMS / "jpeg_u12.dcm").read_bytes(),
        (STREAMS / "jls_u7.dcm").read_bytes(),
    )


SEEDS = _seeds()
UNHURRIED = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def decoded_or_refused(data, name="film"):
    """The one promise: a film within the budget, or `FilmError`."""
    try:
        film = decode_film(data, name, LIMIT_MEGAPIXELS)
    except FilmError:
        return
    assert isinstance(film, Radiograph)
    assert film.pixels.dtype == np.uint8
    assert 64 * 64 <= film.pixels.size <= LIMIT_MEGAPIXELS * 1e6
    assert sorted(film.pixels.shape) == sorted(film.stored_size)


@UNHURRIED
@given(st.sampled_from(KINDS), st.binary(max_size=400))
def test_rubbish_behind_any_magic_number_is_refused(magic, rubbish):
    decoded_or_refused(magic + rubbish)


@UNHURRIED
@given(st.binary(max_size=300), st.text(max_size=40))
@example(b"\x08\0\x05\0CS\xff\xff", "\udcff-LH")
def test_rubbish_is_refused_under_any_name(rubbish, name):
    decoded_or_refused(rubbish, name)


edits = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)), max_size=8
)


@pytest.mark.parametrize("seed", range(len(SEEDS)))
@settings(UNHURRIED, max_examples=60)
@given(edits, st.floats(0.02, 1), st.booleans())
def test_a_changed_film_is_decoded_or_refused(seed, edits, kept, at_head):
    data = bytearray(SEEDS[seed])
    for place, patch in edits:
        # Half of the edits go where the lengths, sizes and kinds are.
        at = int(place * min(len(data), 700 if at_head else len(data)))
        data[at : at + len(patch)] = patch
    decoded_or_refused(bytes(data[: int(len(data) * kept)]))


@UNHURRIED
@given(st.integers(0, len(SEEDS) - 1), st.integers(0, len(SEEDS) - 1), st.floats(0, 1))
def test_two_films_spliced_are_decoded_or_refused(first, second, place):
    one, other = SEEDS[first], SEEDS[second]
    decoded_or_refused(one[: int(len(one) * place)] + other[int(len(other) * place) :])


def with_entries(file, *entries):
    """A TIFF whose directory is repeated at its end with further entries before the others."""
    start = struct.unpack_from("<I", file, 4)[0]
    count = struct.unpack_from("<H", file, start)[0]
    old = file[start + 2 : start + 2 + 12 * count]
    new = b"".join(struct.pack("<HHII", tag, 4, values, value) for tag, values, value in entries)
    at = len(file) + len(file) % 2
    directory = struct.pack("<H", count + len(entries)) + new + old + bytes(4)
    return file[:4] + struct.pack("<I", at) + file[8:].ljust(at - 8, b"\0") + directory


def test_of_two_sizes_in_a_tiff_the_one_that_is_decoded_is_held_to_the_limit():
    small = tiff(ramp(64, 64))
    for first, second in (((1, 70_000), (1, 64)), ((1, 64), (1, 70_000))):
        data = with_entries(small, (256, *first), (257, *first), (256, *second), (257, *second))
        if first == (1, 64):
            assert np.array_equal(decode_film(data, "film", LIMIT_MEGAPIXELS).pixels, ramp(64, 64))
        else:
            with pytest.raises(FilmError) as refused:
                decode_film(data, "film", LIMIT_MEGAPIXELS)
            assert refused.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("tag", [256, 258, 273, 274, 284, 339])
def test_a_tiff_tag_of_endless_values_is_refused_by_name_in_a_short_message(tag):
    data = with_entries(tiff(ramp(64, 64)), (tag, 3_000_000, 8)) + bytes(12_000_000)
    with pytest.raises(FilmError, match=f"tag {tag} with 3000000 values") as refused:
        decode_film(data, "film", LIMIT_MEGAPIXELS)
    assert refused.value.reason is Reason.CORRUPT


@pytest.mark.parametrize(("tag", "values"), [(258, 1), (339, 5)])
def test_samples_without_number_are_named_in_a_short_message(tag, values):
    tags = {tag: (values, values + 1) * 250_000}
    with pytest.raises(FilmError) as refused:
        decode_film(tiff(ramp(64, 64), tags=tags), "film", LIMIT_MEGAPIXELS)
    assert len(str(refused.value)) < 300


def test_an_rle_segment_longer_than_the_film_is_unpacked_no_further():
    sixteen = ramp(64, 64).astype(np.uint16)
    packed = b"\x81\x07" * 500_000
    frame = struct.pack("<16I", 2, 64, 64 + len(packed), *[0] * 13) + packed * 2
    data = dicom(dataset(sixteen, bits=12), [frame], RLE)
    tracemalloc.start()
    try:
        assert decode_film(data, "film", LIMIT_MEGAPIXELS).pixels.shape == (64, 64)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 16 * len(data)
