"""What documents take from a film: its elements as they lie there, calibration, grey values."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from dicom_films import MOMENT, NAMES, STUDY, a_film, a_report, raw_value
from film_files import DATA, DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, jpeg, ramp
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from edge.imaging.voi import ShownBy
from edge.outputs.dicom_codes import AT_DETECTOR, CALIBRATED, MAGNIFICATION_CORRECTED
from edge.outputs.dicom_source import NoSourceError, calibration_of, read_source
from edge.outputs.dicom_sr import sr_of

COPIED = ("SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
          "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID",
          "ReferringPhysicianName", "IssuerOfPatientID", "PatientAge")  # fmt: skip
SYNTAXES = [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED]


@pytest.mark.parametrize("name", NAMES)
def test_patient_and_study_are_copied_byte_for_byte(name):
    film = a_film(name)
    document = sr_of(a_report(), read_source(film))
    for keyword in COPIED:
        if keyword == "SpecificCharacterSet" and NAMES[name][0] is None:
            continue
        assert raw_value(document, keyword) == raw_value(film, keyword), keyword


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_is_copied_does_not_depend_on_the_films_encoding(syntax):
    film = a_film("japanese", syntax=syntax)
    document = sr_of(a_report(), read_source(film))
    plain = sr_of(a_report(), read_source(a_film("japanese")))
    assert document == plain


def test_texts_that_do_not_fit_their_character_set_are_copied_all_the_same():
    film = a_film("latin").replace(b"ISO_IR 100", b"ISO_IR 999")
    document = sr_of(a_report(), read_source(film))
    assert raw_value(document, "PatientName") == "Müller^Jürgen".encode("latin-1") + b" "
    assert b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 999" in document


def test_a_film_without_patient_gives_empty_elements():
    film = a_film(PatientName=None, PatientID="", PatientSex=None, AccessionNumber=None)
    document = sr_of(a_report(), read_source(film))
    for keyword in ("PatientName", "PatientID", "PatientSex", "AccessionNumber"):
        assert not raw_value(document, keyword)


def test_real_films_are_copied_byte_for_byte():
    films = [path for path in (DATA / "dicom").rglob("*.dcm") if _is_source(path)]
    if not films:
        pytest.skip("no real DICOM films: ../shared/data/dicom is missing")
    for path in films:
        film = path.read_bytes()
        document = sr_of(a_report(), read_source(film))
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate"):
            wanted = raw_value(film, keyword)
            assert raw_value(document, keyword) == wanted, (path.name, keyword)


def _is_source(path):
    try:
        source = read_source(path.read_bytes())
    except NoSourceError:
        return False
    # Implicit and big-endian films are compared above.
    return source.modality in {"CR", "DX"} and "BigEnd" not in path.name


@pytest.mark.parametrize(
    ("tags", "word"),
    [
        ({"StudyInstanceUID": ""}, "StudyInstanceUID"),
        ({"SeriesInstanceUID": ""}, "SeriesInstanceUID"),
        ({"SOPInstanceUID": "1." + "2" * 5000}, "SOPInstanceUID"),
        ({"SOPInstanceUID": "../../etc/passwd"}, "SOPInstanceUID"),
        ({"SOPClassUID": "1.2.3\0.4"}, "SOPClassUID"),
        ({"SOPClassUID": "1.2.3.4.5"}, "no image class"),
    ],
)
def test_a_film_without_valid_uids_is_refused_with_the_tags_name(tags, word):
    film = a_film(**tags)
    with pytest.raises(NoSourceError, match=word):
        read_source(film)


@pytest.mark.parametrize("data", [b"", b"x" * 200, jpeg(ramp())])
def test_what_is_no_dicom_object_is_refused(data):
    with pytest.raises(NoSourceError, match="no DICOM object"):
        read_source(data)


def test_a_film_whose_pixels_cannot_be_decoded_is_a_source_without_grey_values():
    film = a_film()
    source = read_source(film[:-1000])
    assert (source.study, source.shown) == (STUDY, None)


def test_the_window_that_was_used_is_stated():
    shown = read_source(a_film(WindowCenter="120", WindowWidth="200")).shown
    assert shown.by is ShownBy.WINDOW
    assert (shown.low, shown.high) == (20, 219)


def test_a_window_that_was_not_used_is_not_stated():
    shown = read_source(a_film(WindowCenter="120", WindowWidth="1")).shown
    assert shown.by is not ShownBy.WINDOW


def tags(**values):
    data = Dataset()
    for keyword, value in values.items():
        setattr(data, keyword, value)
    return data


millimetres = st.floats(0.01, 1).map(lambda value: round(value, 4))


@given(millimetres, millimetres)
def test_pixel_spacing_alone_is_calibrated(row_mm, column_mm):
    found = calibration_of(tags(PixelSpacing=[row_mm, column_mm]))
    assert (found.spacing_mm, found.state) == ((row_mm, column_mm), CALIBRATED)


@given(millimetres, st.floats(1, 2).map(lambda value: round(value, 3)))
def test_spacing_at_the_detector_is_divided_by_the_magnification(mm, factor):
    found = calibration_of(
        tags(ImagerPixelSpacing=[mm, mm], EstimatedRadiographicMagnificationFactor=factor)
    )
    assert found.state is MAGNIFICATION_CORRECTED
    assert found.spacing_mm[0] == pytest.approx(mm / factor)


def test_the_magnification_follows_from_the_distances():
    data = tags(
        ImagerPixelSpacing=[0.2, 0.1], DistanceSourceToDetector=1100, DistanceSourceToPatient=1000
    )
    found = calibration_of(data)
    assert found.state is MAGNIFICATION_CORRECTED
    assert found.spacing_mm == pytest.approx((0.2 / 1.1, 0.1 / 1.1))


def test_spacing_at_the_detector_without_magnification_says_so():
    assert calibration_of(tags(ImagerPixelSpacing=[0.2, 0.1])).state is AT_DETECTOR
    # The same value under both names was copied, not calibrated.
    both = tags(ImagerPixelSpacing=[0.2, 0.1], PixelSpacing=[0.2, 0.1])
    assert calibration_of(both).state is AT_DETECTOR


@pytest.mark.parametrize("spacing", [None, [0, 0.1], [0.1], [20, 20]])
def test_without_a_usable_spacing_there_are_no_millimetres(spacing):
    assert calibration_of(tags() if spacing is None else tags(PixelSpacing=spacing)) is None


def test_times_are_written_in_the_films_time_zone():
    source = read_source(a_film(TimezoneOffsetFromUTC="+0900"))
    assert source.local(MOMENT).hour == (MOMENT + timedelta(hours=9)).hour
    document = sr_of(a_report(), source)
    assert raw_value(document, "ContentTime") == b"193105.250000 "
    unstated = read_source(a_film())
    own = datetime(2026, 3, 4, 12, tzinfo=timezone(timedelta(hours=2)))
    assert unstated.local(own) == own


@pytest.mark.parametrize("end", ["1", "1.1", "1.1.1", "7", "7.2", "7.4"])
def test_every_class_that_rooms_use_is_a_source(end):
    film = a_film(SOPClassUID=f"1.2.840.10008.5.1.4.1.1.{end}")
    assert sr_of(a_report(), read_source(film))
