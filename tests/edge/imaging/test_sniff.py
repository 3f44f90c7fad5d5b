from __future__ import annotations

import gzip
import io
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import FilmError, Reason
from edge.imaging.decode import decode_film
from edge.imaging.sniff import foreign_name, packed_name, sniff, video_name


def a_zip():
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        file.writestr("film.jpg", b"film" * 100)
    return held.getvalue()


def a_tar():
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as file:
        file.addfile(tarfile.TarInfo("film.jpg"))
    return held.getvalue()


def reason_of(data):
    with pytest.raises(FilmError) as caught:
        decode_film(data, "film", 80.0)
    return caught.value.reason, caught.value


@pytest.mark.parametrize(
    ("data", "name"),
    [(a_zip(), "ZIP"), (a_tar(), "tar"), (gzip.compress(b"film", mtime=0), "gzip"),
     (b"Rar!\x1a\x07\x01\x00", "RAR"), (b"7z\xbc\xaf\x27\x1c\0\4", "7-Zip")],
)  # fmt: skip
def test_an_archive_is_to_be_unpacked(data, name):
    assert packed_name(data) == name
    assert reason_of(data)[0] is Reason.PACKED


@pytest.mark.parametrize(
    ("data", "name"),
    [(b"\0\0\0\x18ftypisom\0\0\2\0", "MP4"), (b"\0\0\0\x14ftypqt  \0\0\0\0", "MP4"),
     (b"RIFF\0\0\0\0AVI LIST", "AVI"), (b"\x1aE\xdf\xa3\x01\0\0\0", "Matroska")],
)  # fmt: skip
def test_a_video_is_named_as_one(data, name):
    assert video_name(data) == name
    assert reason_of(data)[0] is Reason.VIDEO


def test_an_image_of_a_phone_is_no_video():
    data = b"\0\0\0\x18ftypheic\0\0\0\0"
    assert foreign_name(data) == "HEIC"
    assert reason_of(data)[0] is Reason.UNSUPPORTED_FORMAT


@given(st.binary(max_size=300))
def test_whatever_the_bytes_are_at_most_one_kind_is_read(data):
    if sniff(data) is None and data:
        assert reason_of(data)[0] in {
            Reason.NOT_AN_IMAGE, Reason.UNSUPPORTED_FORMAT, Reason.PACKED, Reason.VIDEO,
        }  # fmt: skip
