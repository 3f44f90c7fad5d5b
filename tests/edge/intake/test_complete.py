from __future__ import annotations

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from edge.intake.complete import Structure, structure_of

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
PIXELS = np.random.default_rng(7).integers(1, 255, (96, 80), np.uint8)


def structure(data):
    return structure_of(io.BytesIO(data), len(data))


def encoded(suffix):
    ok, data = cv2.imencode(suffix, PIXELS)
    assert ok
    return data.tobytes()


def dicom(syntax=ExplicitVRLittleEndian, pixels=PIXELS):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    film = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    film.SOPClassUID, film.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.3"
    item = pydicom.Dataset()
    item.CodeMeaning = "Hand"
    film.AnatomicRegionSequence = [item]
    film["AnatomicRegionSequence"].is_undefined_length = True
    film.Rows, film.Columns = pixels.shape
    film.SamplesPerPixel, film.PhotometricInterpretation = 1, "MONOCHROME2"
    film.BitsAllocated = film.BitsStored = 8
    film.HighBit, film.PixelRepresentation = 7, 0
    film.PixelData = pixels.tobytes()
    out = io.BytesIO()
    film.save_as(out, enforce_file_format=True)
    return out.getvalue()


FILMS = {
    "jpeg": encoded(".jpg"),
    "png": encoded(".png"),
    "tiff": encoded(".tif"),
    "bmp": encoded(".bmp"),
    "dicom": dicom(),
    "deflated dicom": dicom(DeflatedExplicitVRLittleEndian),
}


@pytest.mark.parametrize("kind", FILMS)
def test_a_whole_film_is_complete(kind):
    assert structure(FILMS[kind]) is Structure.COMPLETE


@pytest.mark.parametrize("kind", FILMS)
def test_a_film_cut_anywhere_is_not_complete(kind):
    data = FILMS[kind]
    for percent in range(1, 100):
        assert structure(data[: len(data) * percent // 100]) is not Structure.COMPLETE, percent
    assert structure(data[:-3]) is not Structure.COMPLETE


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "bmp", "dicom"])
def test_a_preallocated_film_is_not_complete(kind):
    data = FILMS[kind]
    written = len(data) // 4
    assert structure(data[:written] + b"\0" * (len(data) - written)) is not Structure.COMPLETE


def test_a_black_border_at_the_end_is_told_apart_from_a_cut():
    pixels = PIXELS.copy()
    pixels[40:] = 0
    padded = np.vstack([pixels, np.zeros((100, 80), np.uint8)])
    assert structure(dicom(pixels=padded)) is Structure.ZERO_TAIL


def test_a_jpeg_with_a_padded_tail_is_complete():
    assert structure(FILMS["jpeg"] + b"\0" * 100) is Structure.COMPLETE


@given(st.binary(max_size=400))
def test_no_bytes_make_it_raise(data):
    structure(data)


@given(
    st.sampled_from(sorted(FILMS)),
    st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), min_size=1, max_size=20),
)
def test_no_damage_makes_it_raise(kind, changes):
    data = bytearray(FILMS[kind])
    for at, value in changes:
        data[at % len(data)] = value
    structure(bytes(data))


def test_a_png_of_endless_empty_chunks_ends_soon():
    chunk = struct.pack(">I4sI", 0, b"teXt", 0)
    assert structure(FILMS["png"][:8] + chunk * 300_000) is Structure.UNKNOWN


@pytest.mark.skipif(not DATA.is_dir(), reason=f"real films are not at {DATA}")
def test_real_films_are_complete_and_cut_ones_are_not():
    films = [*(DATA / "hands").rglob("*.jpg"), *(DATA / "dicom" / "wg04").rglob("*.dcm")]
    whole = [p for p in films if "truncated" not in str(p)]
    complete = [p for p in whole if structure(p.read_bytes()) is Structure.COMPLETE]
    assert len(complete) >= 0.97 * len(whole)
    for path in (DATA / "hands" / "fracatlas_truncated").glob("*.jpg"):
        assert structure(path.read_bytes()) is Structure.INCOMPLETE
