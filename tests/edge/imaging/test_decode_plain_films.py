from __future__ import annotations

import contextlib
import os
import struct
import threading
import zlib

import cv2
import numpy as np
import pytest
from film_files import (
    DATA,
    ORIENTATIONS,
    chunk,
    encoded,
    exif,
    jpeg,
    png,
    png16,
    ramp,
    smooth,
    tiff,
    turned,
)

from edge.errors import FilmError, Reason
from edge.imaging.decode import decode_film


def decode(data, name="film.bin", limit=10.0):
    return decode_film(data, name, limit)


def reason_of(data, limit=10.0):
    with pytest.raises(FilmError) as caught:
        decode(data, limit=limit)
    return caught.value.reason


def scaled(image, maximum):
    return np.floor(image.astype(float) * 255 / maximum + 0.5).astype(int)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", ["jpeg", "jpeg big-endian", "png", "tiff", "tiff big-endian"])
def test_film_is_turned_as_its_tag_says_and_boxes_find_their_way_back(kind, orientation):
    stored = smooth()
    stored[10:26, 16:40] = 20
    data = {
        "jpeg": lambda: jpeg(stored, orientation, quality=100),
        "jpeg big-endian": lambda: jpeg(stored, orientation, ">", quality=100),
        "png": lambda: png(stored, extra=chunk(b"eXIf", exif(orientation))),
        "tiff": lambda: tiff(stored, tags={274: orientation}),
        "tiff big-endian": lambda: tiff(stored, order=">", tags={274: orientation}),
    }[kind]()
    film = decode(data)
    assert film.stored_size == (112, 80)
    assert film.pixels.shape == turned(stored, orientation).shape
    assert np.abs(film.pixels.astype(int) - turned(stored, orientation)).max() <= 3
    for x, y in ((0, 0), (111, 0), (0, 79), (20, 12), (39, 25), (57, 60)):
        there_x, there_y, _ = film.stored_to_upright @ (x, y, 1)
        assert abs(int(film.pixels[round(there_y), round(there_x)]) - int(stored[y, x])) <= 3


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_means_upright(value):
    for data in (jpeg(smooth(), value), tiff(smooth(), tags={274: value})):
        assert np.array_equal(decode(data).stored_to_upright, np.eye(3))


def test_lossless_grey_comes_through_unchanged():
    image = ramp()
    for data in (encoded(".png", image), encoded(".bmp", image), encoded(".tiff", image),
                 tiff(image), tiff(image, deflate=True), tiff(image, tile=32),
                 tiff(image, order=">"), tiff(image, big=True)):  # fmt: skip
        assert np.array_equal(decode(data).pixels, image)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_sixteen_bit_files_that_hold_fewer_bits_are_not_black(bits):
    image = (ramp().astype(np.uint16) << (bits - 8)) + 1
    image[0, 0] = (1 << bits) - 1
    want = scaled(image, (1 << bits) - 1)
    for data in (png16(image), tiff(image), tiff(image, order=">"), tiff(image, tile=32)):
        assert np.abs(decode(data).pixels - want).max() <= 1


def test_the_stated_range_wins_over_the_range_found():
    image = ramp().astype(np.uint16) * 6
    want = scaled(image, 4095)
    assert np.abs(decode(png16(image, chunk(b"sBIT", b"\x0c"))).pixels - want).max() <= 1
    assert np.abs(decode(tiff(image, tags={281: 4095})).pixels - want).max() <= 1


def test_a_stated_range_that_the_samples_exceed_is_not_believed():
    image = ramp().astype(np.uint16) * 256
    want = scaled(image, 65535)
    assert np.abs(decode(png16(image, chunk(b"sBIT", b"\x0c"))).pixels - want).max() <= 1
    assert np.abs(decode(tiff(image, tags={281: 4095})).pixels - want).max() <= 1


@pytest.mark.parametrize("tile", [None, 32])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero_tiff_comes_bones_bright(dtype, tile):
    image = ramp().astype(dtype)
    full = np.iinfo(dtype).max
    image[0, 0] = full
    film = decode(tiff(full - image, tags={262: 0}, tile=tile))
    want = scaled(image, full)
    # Depth comes before polarity: with fewer bits the bright end must stay the bright end.
    assert np.abs(film.pixels - want).max() <= 1


def test_one_bit_films_are_black_and_white():
    image = ramp() > 120
    packed = np.packbits(image, axis=1)
    wide = np.pad(image, ((0, 0), (0, packed.shape[1] * 8 - image.shape[1])))
    assert np.array_equal(decode(png(packed, depth=1)).pixels, wide * np.uint8(255))
    as_tiff = tiff(packed, tags={256: 90}, bits=1)
    assert np.array_equal(decode(as_tiff).pixels, image * np.uint8(255))
    white_is_zero = tiff(255 - packed, tags={256: 90, 262: 0}, bits=1)
    assert np.array_equal(decode(white_is_zero).pixels, image * np.uint8(255))


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_tiff_samples_packed_without_gaps_decode(bits):
    image = ramp().astype(np.uint16)
    places = np.arange(bits - 1, -1, -1)
    for used in range(8, bits + 1, 2):
        samples = (image << (used - 8))[:, :, None] >> places & 1
        packed = np.packbits(samples.reshape(70, -1).astype(np.uint8), axis=1)
        film = decode(tiff(packed, tags={256: 90}, bits=bits))
        assert np.abs(film.pixels - scaled(image << (used - 8), (1 << used) - 1)).max() <= 1


def test_four_bit_grey_tiff_is_refused_by_its_bits():
    with pytest.raises(FilmError, match="4") as caught:
        decode(tiff(ramp(70, 45), tags={256: 90}, bits=4))
    assert caught.value.reason is Reason.UNSUPPORTED_PIXELS


def test_palette_colours_become_their_luminance():
    palette = np.random.default_rng(1).integers(0, 256, (256, 3), np.uint8)
    index = ramp()
    want = palette[index] @ np.array([0.299, 0.587, 0.114])
    as_png = png(index, colour=3, extra=chunk(b"PLTE", palette.tobytes()))
    map16 = tuple(int(v) * 257 for v in palette.T.ravel())
    as_tiff = tiff(index, tags={262: 3, 320: map16})
    for data in (as_png, as_tiff):
        assert np.abs(decode(data).pixels - want).max() <= 1


def test_colour_becomes_grey_by_luminance_in_every_format():
    rng = np.random.default_rng(2)
    small = rng.integers(0, 256, (20, 24, 3), np.uint8)
    colour = cv2.resize(small, (120, 100), interpolation=cv2.INTER_CUBIC)
    want = colour @ np.array([0.114, 0.587, 0.299])
    tolerance = {".png": 1, ".bmp": 1, ".tiff": 1, ".jpg": 12}
    for suffix, most in tolerance.items():
        assert np.abs(decode(encoded(suffix, colour)).pixels - want).max() <= most


def test_alpha_lays_the_film_over_black_unless_it_is_zero_everywhere():
    image = ramp()
    bgra = np.dstack([image, image, image, np.full_like(image, 255)])
    bgra[:, :20, 3] = 0
    pixels = decode(encoded(".png", bgra)).pixels
    assert pixels[:, :20].max() == 0
    assert np.array_equal(pixels[:, 20:], image[:, 20:])
    bgra[:, :, 3] = 0
    assert np.array_equal(decode(encoded(".png", bgra)).pixels, image)
    with_grey = png(np.dstack([image, np.full_like(image, 255)]).reshape(len(image), -1), colour=4)
    assert np.array_equal(decode(with_grey).pixels, image)


def test_progressive_jpeg_decodes():
    data = encoded(".jpg", smooth(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert np.abs(decode(data).pixels.astype(int) - smooth()).max() <= 4


@pytest.mark.parametrize("make", [jpeg, lambda a: encoded(".png", a), lambda a: encoded(".bmp", a),
                                  tiff, lambda a: tiff(a, deflate=True),
                                  lambda a: tiff(a, tile=32)])  # fmt: skip
def test_a_file_cut_anywhere_says_so(make):
    data = make(ramp(64, 64))
    for share in range(1, 100):
        cut = data[: max(len(data) * share // 100, 12)]
        assert reason_of(cut) in {Reason.TRUNCATED, Reason.CORRUPT}
    assert reason_of(data[:-1]) is Reason.TRUNCATED


def test_a_jpeg_cut_short_is_not_saved_by_an_end_marker():
    data = jpeg(ramp(200, 200))
    assert reason_of(data[: len(data) // 2] + b"\xff\xd9") in {Reason.TRUNCATED, Reason.CORRUPT}


def test_a_png_whose_rows_are_missing_is_truncated():
    rows = ramp()
    short = png(rows[:40])
    claims_more = short[:16] + chunk(b"IHDR", struct.pack(">IIBBBBB", 90, 70, 8, 0, 0, 0, 0))[8:]
    assert reason_of(claims_more + short[33:]) is Reason.TRUNCATED


def test_damage_told_by_a_checksum_is_corrupt():
    data = bytearray(png(ramp()))
    data[60] ^= 1
    assert reason_of(bytes(data)) is Reason.CORRUPT


def test_a_claim_over_the_budget_is_refused_before_anything_is_decoded():
    side = 65_000
    jpeg_head = b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 11, 8, side, side, 1) + b"\1\x11\0"
    jpeg_scan = b"\xff\xda" + struct.pack(">HB", 8, 1) + b"\1\0\0\x3f\0" + b"\0" * 99 + b"\xff\xd9"
    png_head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    bombs = (
        jpeg_head + jpeg_scan,
        b"\x89PNG\r\n\x1a\n" + png_head + chunk(b"IEND", b""),
        b"BM" + struct.pack("<IIIIiiHHI", 99, 0, 54, 40, side, -side, 1, 8, 0) + b"\0" * 99,
        tiff(ramp(), tags={256: side, 257: side}),
    )
    for data in bombs:
        assert reason_of(data) is Reason.TOO_LARGE
    assert reason_of(encoded(".png", np.zeros((1100, 1000), np.uint8)), 1.0) is Reason.TOO_LARGE
    assert decode(encoded(".png", np.zeros((1000, 1000), np.uint8)), limit=1.0)


@pytest.mark.parametrize("make", [jpeg, lambda a: encoded(".png", a), lambda a: encoded(".bmp", a),
                                  tiff])  # fmt: skip
def test_a_preview_is_too_small(make):
    assert reason_of(make(ramp(63, 200))) is Reason.TOO_SMALL
    assert decode(make(ramp(64, 64))).pixels.shape == (64, 64)


def test_zero_size_is_corrupt():
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 90, 8, 0, 0, 0, 0))
    assert reason_of(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IEND", b"")) is Reason.CORRUPT


def test_pixels_that_mean_something_else_are_refused_by_name():
    floats = tiff(ramp().astype(np.float32), tags={339: 3})
    assert reason_of(floats) is Reason.UNSUPPORTED_PIXELS
    nan = np.full((70, 90), np.nan, np.float32)
    assert reason_of(tiff(nan, tags={339: 3})) is Reason.UNSUPPORTED_PIXELS
    assert reason_of(tiff(ramp().astype(np.uint16), tags={339: 2})) is Reason.UNSUPPORTED_PIXELS
    assert reason_of(tiff(ramp().astype(np.uint32))) is Reason.UNSUPPORTED_PIXELS
    cmyk = np.dstack([ramp()] * 4)
    assert reason_of(tiff(cmyk, tags={262: 5})) is Reason.UNSUPPORTED_PIXELS
    four = bytearray(jpeg(ramp()))
    frame = four.index(b"\xff\xc0")
    body = struct.pack(">HBHHB", 20, 8, 70, 90, 4) + b"\1\x11\0\2\x11\0\3\x11\0\4\x11\0"
    assert reason_of(bytes(four[: frame + 2] + body + four[frame + 13 :])) is (
        Reason.UNSUPPORTED_PIXELS
    )
    twelve = bytearray(jpeg(ramp()))
    twelve[frame + 1], twelve[frame + 4] = 0xC1, 12
    assert reason_of(bytes(twelve)) is Reason.UNSUPPORTED_PIXELS


def test_several_pages_or_frames_are_refused():
    assert reason_of(tiff(ramp(), pages=2)) is Reason.MULTI_FRAME
    animated = png(ramp(), extra=chunk(b"acTL", struct.pack(">II", 3, 0)))
    assert reason_of(animated) is Reason.MULTI_FRAME


def test_other_formats_are_named_and_other_bytes_are_no_image():
    assert reason_of(b"") is Reason.EMPTY_FILE
    for foreign in (b"GIF89a" + b"\0" * 99, b"RIFF\0\0\0\0WEBPVP8 ", b"%PDF-1.7\n", b"8BPS\0\1",
                    b"\0\0\0\x18ftypheic\0\0", b"P5\n64 64\n255\n"):  # fmt: skip
        assert reason_of(foreign) is Reason.UNSUPPORTED_FORMAT
    for other in (b"\0" * 500, b"hello", b"\0", bytes(range(256))):
        assert reason_of(other) is Reason.NOT_AN_IMAGE


def test_the_kind_is_told_from_the_bytes_and_never_from_the_name():
    assert np.array_equal(decode(encoded(".png", ramp()), "P1-LH.dcm").pixels, ramp())


def test_unknown_tiff_compression_is_named():
    with pytest.raises(FilmError, match="50000") as caught:
        decode(tiff(ramp(), tags={259: 50000}))
    assert caught.value.reason is Reason.UNSUPPORTED_FORMAT


def test_a_circle_of_tiff_directories_ends():
    data = bytearray(tiff(ramp(), pages=2))
    first = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, first)[0]
    struct.pack_into("<I", data, first + 2 + 12 * count, first)
    assert np.array_equal(decode(bytes(data)).pixels, ramp())


def test_nothing_is_written_to_standard_error(capfd):
    broken = bytearray(jpeg(ramp(200, 200)))
    broken[len(broken) // 2 :: 7] = b"\x55" * len(broken[len(broken) // 2 :: 7])
    damaged = bytearray(tiff(ramp(), deflate=True))
    damaged[300] ^= 0xFF
    for data in (bytes(broken), bytes(damaged), jpeg(ramp())[:900]):
        with contextlib.suppress(FilmError):
            decode(data)
    assert capfd.readouterr().err == ""


def test_real_films_that_end_early_are_truncated_and_whole_ones_decode():
    cut = sorted(DATA.glob("*/fracatlas_truncated/*.jpg"))
    if not cut:
        pytest.skip(f"no films under {DATA}")
    for path in cut:
        assert reason_of(path.read_bytes()) is Reason.TRUNCATED
    whole = sorted(DATA.glob("hands/fracatlas_hires/*.jpg"))[:3]
    for path in [*whole, *sorted(DATA.glob("feet/fracatlas_std/*.jpg"))[:10]]:
        data = path.read_bytes()
        want = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert np.array_equal(decode(data, path.name).pixels, want)


def test_damage_that_opencv_only_mentions_is_corrupt():
    data = bytearray(tiff(ramp(), deflate=True))
    packed_at = 8
    data[packed_at + 200] ^= 0xFF
    assert reason_of(bytes(data)) is Reason.CORRUPT


def test_words_of_other_threads_are_not_taken_for_damage():
    noise = "scoring TIFF_error/Premature-LH.tif: corrupt? error?\n"
    stop = threading.Event()

    def chatter():
        while not stop.is_set():
            os.write(2, noise.encode())

    thread = threading.Thread(target=chatter)
    thread.start()
    try:
        for _ in range(20):
            assert np.array_equal(decode(tiff(ramp())).pixels, ramp())
            assert decode(jpeg(smooth())).pixels.shape == (80, 112)
    finally:
        stop.set()
        thread.join()


def test_a_png_whose_rows_go_on_for_ever_is_refused_before_they_are_inflated():
    whole = png(smooth(100, 80))
    rows = zlib.compress(bytes(1 << 28), 9)
    data = whole[:33] + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    with pytest.raises(FilmError) as refused:
        decode_film(data, "a.png", 80.0)
    assert refused.value.reason is Reason.CORRUPT
