from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from benchmarks.films import FORMATS, encoded, patient_films
from edge.errors import EdgeError
from edge.imaging.decode import decode_film

SIZE = (550, 700)


@pytest.fixture(scope="module")
def drawn():
    return patient_films()[:1]


def test_every_format_decodes_to_the_size_and_nearly_the_same_picture(drawn):
    pictures = {}
    for form in FORMATS:
        (film,) = encoded(drawn, SIZE, form)
        found = decode_film(film.data, film.name, 80.0)
        assert found.pixels.shape == SIZE[::-1]
        assert (film.size, film.format) == ("550x700", form)
        pictures[form] = found.pixels.astype(float)
    for picture in pictures.values():
        assert np.corrcoef(picture.ravel(), pictures["PNG"].ravel())[0, 1] > 0.99


def test_dicom_is_lossless_jpeg_2000(drawn):
    (film,) = encoded(drawn, SIZE, "DICOM JPEG 2000")
    assert film.data[128:132] == b"DICM"
    assert b"1.2.840.10008.1.2.4.90" in film.data
    assert b"\xff\x4f\xff\x51" in film.data


def test_joints_lie_on_the_resized_film_where_they_lay(drawn):
    (film,) = encoded(drawn, SIZE, "PNG")
    zoom = min(SIZE[0] / drawn[0].film.grey.shape[1], SIZE[1] / drawn[0].film.grey.shape[0])
    for before, after in zip(drawn[0].film.joints, film.joints, strict=True):
        assert after.name == before.name
        if before.centre is not None:
            assert after.centre == pytest.approx([zoom * part for part in before.centre])


def test_a_missing_encoder_is_told_with_the_fix(drawn, monkeypatch):
    monkeypatch.setitem(sys.modules, "gdcm", None)
    with pytest.raises(EdgeError, match=r"no encoder is installed \(fix: pip install"):
        encoded(drawn, SIZE, "DICOM JPEG 2000")
    monkeypatch.setattr(cv2, "imencode", lambda *_: (False, None))
    with pytest.raises(EdgeError, match="cannot encode PNG"):
        encoded(drawn, SIZE, "PNG")
