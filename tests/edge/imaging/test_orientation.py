"""Orientation of JPEG and PNG films is found wherever it is written; transparency is not grey."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from film_files import ORIENTATIONS, chunk, exif, jpeg, png, ramp, smooth, turned
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.imaging.decode import decode_film
from edge.imaging.orientation import XMP_HEADER, Orientations


def decode(data):
    return decode_film(data, "film", 50.0).pixels


def xmp(orientation, form="attribute"):
    said = {
        "attribute": f'<rdf:Description tiff:Orientation="{orientation}"/>',
        "quotes": f"<rdf:Description tiff:Orientation = '{orientation}'/>",
        "element": f"<tiff:Orientation> {orientation} </tiff:Orientation>",
    }[form]
    return f"<x:xmpmeta><rdf:RDF>{said}</rdf:RDF></x:xmpmeta>".encode()


def raw_profile(name, block):
    digits = block.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return f"\n{name}\n{len(block):8d}\n{lines}\n".encode()


def text(keyword, content, kind):
    head = keyword.encode() + b"\0"
    if kind == "zTXt":
        return chunk(b"zTXt", head + b"\0" + zlib.compress(content))
    if kind == "iTXt":
        return chunk(b"iTXt", head + b"\0\0en\0\0" + content)
    if kind == "iTXt packed":
        return chunk(b"iTXt", head + b"\1\0\0\0" + zlib.compress(content))
    return chunk(b"tEXt", head + content)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt", "iTXt packed"])
@pytest.mark.parametrize("profile", ["exif", "APP1", "xmp", "XML:com.adobe.xmp"])
def test_orientation_in_any_text_of_a_png_is_applied(profile, kind, orientation):
    if profile == "XML:com.adobe.xmp":
        extra = text(profile, xmp(orientation), kind)
    else:
        block = xmp(orientation) if profile == "xmp" else b"Exif\0\0" + exif(orientation, ">")
        extra = text(f"Raw profile type {profile}", raw_profile(profile, block), kind)
    assert np.array_equal(decode(png(ramp(), extra=extra)), turned(ramp(), orientation))


@pytest.mark.parametrize("form", ["attribute", "quotes", "element"])
def test_xmp_says_it_in_every_form_in_jpeg_too(form):
    body = XMP_HEADER + xmp(6, form)
    data = jpeg(smooth())
    marked = data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]
    assert np.array_equal(decode(marked), turned(decode(data), 6))


def test_exif_comes_before_a_text_and_a_text_before_xmp():
    raw = text("Raw profile type exif", raw_profile("exif", b"Exif\0\0" + exif(3)), "zTXt")
    packet = text("XML:com.adobe.xmp", xmp(8), "iTXt")
    own = chunk(b"eXIf", exif(6))
    for extra, orientation in (
        (raw + packet + own, 6),
        (packet + raw, 3),
        (packet, 8),
        (chunk(b"eXIf", exif(99)) + packet, 8),
        (chunk(b"eXIf", exif(1)) + packet + raw, 1),
    ):
        assert np.array_equal(decode(png(ramp(), extra=extra)), turned(ramp(), orientation))


@pytest.mark.parametrize(
    "content",
    [b"", b"\nexif\n 12\nzz", b"\nicc\n 4\n00000000", b"\nexif\n 3\n4949", zlib.compress(b"x")[:3]],
)
def test_texts_that_say_nothing_sound_leave_the_film_upright(content):
    for kind in ("tEXt", "zTXt", "iTXt"):
        extra = text("Raw profile type exif", content, kind)
        assert np.array_equal(decode(png(ramp(), extra=extra)), ramp())
    assert np.array_equal(decode(png(ramp(), extra=chunk(b"zTXt", b"Raw profile type exif\0\0x"))),
                          ramp())  # fmt: skip


def test_a_text_that_swells_is_read_to_a_limit():
    swollen = raw_profile("exif", b"Exif\0\0" + exif(6)).ljust(40 << 20)
    extra = text("Raw profile type exif", swollen, "zTXt") * 3
    assert decode(png(ramp(), extra=extra)).shape in {ramp().shape, ramp().T.shape}


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([b"tEXt", b"zTXt", b"iTXt"]), st.binary(max_size=80), st.booleans())
def test_no_text_makes_it_raise(kind, body, known):
    said = Orientations()
    said.read_png_text(kind, b"Raw profile type exif\0" + body if known else body)
    said.read_app1(body)
    said.read_exif(body)
    assert said.decided in range(1, 9)


@pytest.mark.parametrize(("colour", "depth"), [(0, 8), (0, 16), (2, 8), (2, 16), (3, 8)])
@pytest.mark.parametrize("key", [0, 10, 250])
def test_a_transparent_colour_changes_no_grey(colour, depth, key):
    samples = np.repeat(ramp()[:, :, None], 3 if colour == 2 else 1, axis=2)
    if depth == 16:
        samples = (samples.astype(np.uint16) * 257).astype(">u2")
    rows = samples.view(np.uint8).reshape(len(samples), -1)
    palette = chunk(b"PLTE", bytes(v for v in range(256) for _ in range(3))) if colour == 3 else b""
    value = struct.pack(">H", key * (257 if depth == 16 else 1)) * (3 if colour == 2 else 1)
    if colour == 3:
        value = bytes(0 if i == key else 255 for i in range(256))
    data = png(rows, colour, depth, palette + chunk(b"tRNS", value))
    assert np.array_equal(decode(data), ramp())
