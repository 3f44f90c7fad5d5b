"""The Secondary Capture of a labelled picture."""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
import pytest
from dicom_films import INSTANCE, NAMES, SERIES, a_film, a_report, held, raw_value
from film_files import CR_CLASS, jpeg, ramp
from limb_results import a_result
from pydicom import dcmread

from edge.imaging.decode import decode_film
from edge.model import DISCLAIMER
from edge.outputs.dicom_sc import sc_of
from edge.outputs.dicom_source import read_source
from edge.outputs.dicom_sr import sr_of
from edge.pipeline.overlay import draw_film
from edge.pipeline.picture.words import Caption, strip_lines
from edge.scoring.drawing import as_jpeg

SOURCE = read_source(a_film())
PICTURE = jpeg(cv2.cvtColor(ramp(61, 45), cv2.COLOR_GRAY2BGR))


def document_of(**tags):
    return dcmread(BytesIO(sc_of(a_report(), read_source(a_film(**tags)), PICTURE)))


def test_the_pixels_are_those_of_the_picture():
    document = document_of()
    drawn = cv2.imdecode(np.frombuffer(PICTURE, np.uint8), cv2.IMREAD_COLOR)
    assert (document.pixel_array == drawn[:, :, ::-1]).all()
    assert (document.PhotometricInterpretation, document.BitsStored) == ("RGB", 8)
    assert document.LossyImageCompression == "01"


def test_the_same_picture_gives_the_same_bytes():
    assert sc_of(a_report(), SOURCE, PICTURE) == sc_of(a_report(), SOURCE, PICTURE)


@pytest.mark.parametrize("name", NAMES)
def test_patient_and_study_are_those_of_the_film(name):
    film = a_film(name)
    document = sc_of(a_report(), read_source(film), PICTURE)
    for keyword in (
        "PatientName",
        "PatientID",
        "PatientSex",
        "StudyInstanceUID",
        "AccessionNumber",
    ):
        assert raw_value(document, keyword) == raw_value(film, keyword)


def test_it_names_the_film_as_its_source():
    document = document_of()
    (source,) = document.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == INSTANCE
    assert source.ReferencedSOPClassUID == CR_CLASS
    assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    (series,) = document.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == SERIES


def test_it_lies_in_a_series_of_its_own():
    report = dcmread(BytesIO(sr_of(a_report(), SOURCE)))
    document = document_of()
    assert document.StudyInstanceUID == report.StudyInstanceUID
    assert len({document.SeriesInstanceUID, report.SeriesInstanceUID, SERIES}) == 3
    assert document.SOPInstanceUID != report.SOPInstanceUID


@pytest.mark.parametrize(
    ("stated", "wanted"), [("NO", "NO"), ("YES", "YES"), ("", "YES"), (None, "YES")]
)
def test_burned_in_annotation_is_denied_only_where_the_film_denies_it(stated, wanted):
    assert document_of(BurnedInAnnotation=stated).BurnedInAnnotation == wanted


def test_the_notice_stands_in_the_tags_and_is_drawn_into_the_picture():
    document = document_of()
    assert DISCLAIMER in document.SeriesDescription
    assert document.ImageComments.lower() == f"{DISCLAIMER}."
    for result in (a_result(), held()):
        lines = [line.text for line in strip_lines(result, Caption())]
        assert lines[-1].lower() == f"{DISCLAIMER}."


def test_a_picture_of_a_result_is_taken():
    film = a_film(size=(2000, 1600))
    drawn = as_jpeg(draw_film(decode_film(film, "f.dcm", 80), a_result(), (1024, 1024), Caption()))
    document = dcmread(BytesIO(sc_of(a_report(), read_source(film), drawn)))
    assert document.Rows > 1000


def test_what_is_no_picture_is_refused():
    with pytest.raises(ValueError, match="cannot be decoded"):
        sc_of(a_report(), SOURCE, b"no picture")
