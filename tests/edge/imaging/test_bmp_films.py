"""BMP: every header gives the picture that it describes, or is refused by name."""

from __future__ import annotations

import io
import struct
from contextlib import suppress

import cv2
import numpy as np
import pytest
from film_files import ramp
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from edge.errors import FilmError, Reason
from edge.imaging.decode import decode_film
from edge.intake.complete import Structure, structure_of

WEIGHTS = np.array([0.299, 0.587, 0.114])
CORE, INFO, V2, V3, V4, V5 = 12, 40, 52, 56, 108, 124
UNHURRIED = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def decode(data):
    return decode_film(data, "film", 50.0).pixels


def refused(data):
    with pytest.raises(FilmError) as caught:
        decode(data)
    return caught.value


def bmp(
    size, body, depth, *, head=INFO, compression=0, masks=(), palette=b"", colours=0, gap=0,
    top_down=False, packed=None,
):  # fmt: skip
    """A BMP of (height, width) around packed rows; ``gap`` moves the pixels from where they lie."""
    height, width = size
    if head == CORE:
        info = struct.pack("<IHHHH", head, width, height, 1, depth)
    else:
        length = len(body) if packed is None else packed
        info = struct.pack(
            "<IiiHHIIiiII", head, width, -height if top_down else height, 1, depth, compression,
            length, 0, 0, colours, 0,
        )  # fmt: skip
        inside = struct.pack(f"<{len(masks)}I", *masks)[: head - INFO]
        info += inside.ljust(head - INFO, b"\0")
    behind = struct.pack(f"<{len(masks)}I", *masks) if head == INFO else b""
    start = 14 + len(info) + len(behind) + len(palette) + gap
    before = info + behind + palette
    file = b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + before
    return file.ljust(start, b"\0")[: max(start, 0)] + body


def rows(image, *, top_down=False):
    """Rows of [h, bytes a row] padded to four bytes, from the bottom."""
    padded = np.pad(image, ((0, 0), (0, -image.shape[1] % 4)))
    return (padded if top_down else padded[::-1]).tobytes()


def grey_palette(colours=256, size=4):
    ramp_of = np.linspace(0, 255, colours).astype(np.uint8)
    return b"".join(bytes([v] * 3 + [0] * (size - 3)) for v in ramp_of)


def field(image, mask):
    """Values of a channel, 8-bit grey, in the bits of a mask."""
    shift = (mask & -mask).bit_length() - 1
    return (image.astype(np.uint64) * (mask >> shift) // 255) << shift


@st.composite
def channel_masks(draw, depth):
    """Three channels of 3 to 10 bits each somewhere in a pixel, in any order."""
    widths = [draw(st.integers(3, min(10, depth // 3))) for _ in range(3)]
    gaps = [draw(st.integers(0, 3)) for _ in range(3)]
    assume(sum(widths) + sum(gaps) <= depth)
    at, found = 0, []
    for width, gap in zip(widths, gaps, strict=True):
        at += gap
        found.append(((1 << width) - 1) << at)
        at += width
    return tuple(draw(st.permutations(found)))


@UNHURRIED
@given(st.data(), st.sampled_from([16, 32]), st.sampled_from([INFO, V2, V3, V4, V5]), st.booleans())
def test_any_channel_masks_behind_or_inside_any_header_are_applied(data, depth, head, top_down):
    masks = data.draw(channel_masks(depth))
    image = ramp()
    kind = "<u2" if depth == 16 else "<u4"
    cells = sum(field(image, mask) for mask in masks).astype(kind)
    body = rows(cells.view(np.uint8).reshape(70, -1), top_down=top_down)
    file = bmp((70, 90), body, depth, head=head, compression=3, masks=masks, top_down=top_down)
    coarsest = min(mask.bit_count() for mask in masks)
    assert np.abs(decode(file).astype(int) - image).max() <= 255 / ((1 << coarsest) - 1) + 1


@pytest.mark.parametrize(
    "masks",
    [(0, 0xFF00, 0xFF), (0xFF0000, 0xFF00, 0xF0F), (0xFFFF00, 0xFF00, 0xFF), (0, 0, 0)],
)
def test_channel_masks_that_make_no_sense_are_refused_by_name(masks):
    body = rows(np.zeros((70, 360), np.uint8))
    error = refused(bmp((70, 90), body, 32, compression=3, masks=masks))
    assert error.reason is Reason.UNSUPPORTED_PIXELS
    assert "masks" in error.detail


@pytest.mark.parametrize("head", [INFO, V4, V5])
@pytest.mark.parametrize("depth", [16, 24, 32])
@pytest.mark.parametrize("top_down", [False, True])
def test_colour_without_masks_is_blue_green_red(head, depth, top_down):
    colour = np.random.default_rng(1).integers(0, 256, (70, 90, 3), np.uint8)
    if depth == 16:
        five = (colour >> 3).astype(np.uint16)
        image = (five[..., 2] | five[..., 1] << 5 | five[..., 0] << 10)[..., None].view(np.uint8)
        want = np.rint(five * (255 / 31)) @ WEIGHTS
    else:
        filler = np.full((70, 90, depth // 8 - 3), 7, np.uint8)
        image = np.concatenate([colour[..., ::-1], filler], axis=2)
        want = colour @ WEIGHTS
    body = rows(image.reshape(70, -1), top_down=top_down)
    file = bmp((70, 90), body, depth, head=head, top_down=top_down)
    assert np.abs(decode(file) - want).max() <= 1


@pytest.mark.parametrize("head", [CORE, 16, INFO, 64, V4, V5])
@pytest.mark.parametrize("depth", [1, 4, 8])
def test_palettes_of_every_depth_and_header_are_applied(head, depth):
    index = ramp(70, 96) >> (8 - depth)
    shifts = np.arange(8 - depth, -1, -depth)
    packed = (index.reshape(70, -1, 8 // depth).astype(int) << shifts).sum(axis=2)
    size = 3 if head == CORE else 4
    palette = grey_palette(1 << depth, size)
    if head == 16:
        info = struct.pack("<IiiHH", 16, 96, 70, 1, depth)
        start = 14 + 16 + len(palette)
        file = b"BM" + struct.pack("<IHHI", 0, 0, 0, start) + info + palette
        file += rows(packed.astype(np.uint8))
    else:
        file = bmp((70, 96), rows(packed.astype(np.uint8)), depth, head=head, palette=palette)
    want = np.linspace(0, 255, 1 << depth).astype(np.uint8)[index]
    assert np.array_equal(decode(file), want)


@pytest.mark.parametrize("gap", [-1024, -700, -4, -1])
def test_pixels_inside_the_palette_are_refused(gap):
    file = bmp((70, 90), rows(ramp()), 8, palette=grey_palette(), gap=gap)
    error = refused(file)
    assert error.reason is Reason.CORRUPT
    assert "palette" in error.detail


def test_a_gap_before_the_pixels_is_passed_over():
    file = bmp((70, 90), rows(ramp()), 8, palette=grey_palette(), gap=10)
    assert np.array_equal(decode(file), ramp())


def test_a_colour_beyond_a_short_palette_is_refused():
    file = bmp((70, 90), rows(ramp()), 8, palette=grey_palette(100), colours=100)
    assert refused(file).reason is Reason.CORRUPT


def run_length(image, *, depth=8, pad=0, absolute=False, end=b"\0\1", line=b"\0\0"):
    """Rows from the bottom as runs, or as stretches of their own values."""
    body = b""
    for row in image[::-1]:
        values = [*row.tolist(), *[0] * pad]
        at = 0
        while at < len(values):
            if absolute and len(values) - at >= 3:
                part = values[at : at + 200]
                if depth == 4:
                    both = [*part, 0][: len(part) + len(part) % 2]
                    packed = bytes(a << 4 | b for a, b in zip(both[::2], both[1::2], strict=True))
                else:
                    packed = bytes(part)
                body += bytes([0, len(part)]) + packed + b"\0" * (len(packed) % 2)
                at += len(part)
                continue
            stop = at
            while stop < len(values) and stop - at < 255 and values[stop] == values[at]:
                stop += 1
            value = values[at] << 4 | values[at] if depth == 4 else values[at]
            body += bytes([stop - at, value])
            at = stop
        body += line
    return body + end


@UNHURRIED
@given(
    st.integers(64, 100), st.sampled_from([4, 8]), st.booleans(), st.booleans(), st.booleans(),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
@example(65, 8, True, True, False, 1)
def test_run_length_rows_give_the_picture_whether_padded_or_not(
    width, depth, padded, absolute, sized, seed
):
    rng = np.random.default_rng(seed)
    image = np.repeat(rng.integers(0, 1 << depth, (64, width)), 5, axis=1)[:, :width]
    body = run_length(image, depth=depth, pad=-width % 4 if padded else 0, absolute=absolute)
    file = bmp(
        (64, width), body, depth, compression=1 if depth == 8 else 2,
        palette=grey_palette(1 << depth), packed=None if sized else 0,
    )  # fmt: skip
    want = np.linspace(0, 255, 1 << depth).astype(np.uint8)[image]
    assert np.array_equal(decode(file), want)
    assert structure_of(io.BytesIO(file), len(file)) is Structure.COMPLETE


def rle8(body, size=(70, 90)):
    return bmp(size, body, 8, compression=1, palette=grey_palette())


def test_run_length_rows_that_do_not_fit_are_refused():
    image = ramp()
    for pad in (3, 4, 90):
        assert refused(rle8(run_length(image, pad=pad))).reason is Reason.CORRUPT
    assert refused(rle8(run_length(image[:, :-1]))).reason is Reason.CORRUPT
    assert refused(rle8(run_length(image, line=b""))).reason is Reason.CORRUPT
    assert refused(rle8(run_length(image[1:]))).reason is Reason.TRUNCATED
    assert refused(rle8(run_length(image)[:-200])).reason is Reason.TRUNCATED
    assert refused(rle8(b"\0\2\1\1" + run_length(image))).reason is Reason.UNSUPPORTED_PIXELS
    assert np.array_equal(decode(rle8(run_length(image, end=b""))), image)


@pytest.mark.parametrize(
    ("depth", "compression", "head"),
    [(8, 2, INFO), (4, 1, INFO), (24, 3, INFO), (8, 4, INFO), (8, 5, INFO), (2, 0, INFO),
     (24, 4, 64), (1, 3, 64), (8, 11, V4), (8, 0, 20)],
)  # fmt: skip
def test_other_compressions_and_headers_are_refused_by_name(depth, compression, head):
    body = b"\0" * 30_000
    file = bmp(
        (70, 90), body, depth, compression=compression, head=max(head, INFO), palette=b"\0" * 1024
    )
    if head == 20:
        file = file[:14] + struct.pack("<I", 20) + file[18:]
    assert refused(file).reason is Reason.UNSUPPORTED_FORMAT


@UNHURRIED
@given(
    st.sampled_from([1, 4, 8, 16, 24, 32]), st.integers(0, 6), st.integers(0, 140),
    st.integers(0, 3000), st.binary(max_size=60), st.integers(-100, 100),
)  # fmt: skip
def test_any_header_is_decoded_or_refused(depth, compression, head, start, extra, height):
    info = struct.pack("<IiiHHIIiiII", head, 70, height, 1, depth, compression, 0, 0, 0, 0, 0)
    file = b"BM" + struct.pack("<IHHI", 0, 0, 0, start) + info + extra
    with suppress(FilmError):
        decode(file.ljust(14_000, b"\x55"))


def test_what_opencv_writes_comes_back():
    done, data = cv2.imencode(".bmp", ramp())
    assert done
    assert np.array_equal(decode(data.tobytes()), ramp())
