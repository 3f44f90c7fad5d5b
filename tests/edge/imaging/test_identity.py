from __future__ import annotations

import json

import numpy as np
import pytest
from film_files import DATA, dataset, dicom, encoded, item, jpeg, ramp, smooth
from pydicom.sequence import Sequence

from edge.anatomy import Limb, View
from edge.imaging.decode import decode_film
from edge.imaging.words import limb_in, side_in, view_in
from edge.model import Laterality, LateralitySource, StatedIdentity
from phantom.command import write_patients

L, R = Laterality.LEFT, Laterality.RIGHT
HAND, FOOT = Limb.HAND, Limb.FOOT
DICOM, NAME = LateralitySource.DICOM, LateralitySource.FILENAME


def said_by_name(name):
    return decode_film(encoded(".png", ramp()), name, 1.0).stated


def said(name="film.dcm", **tags):
    return decode_film(dicom(dataset(ramp(), **tags), ramp().tobytes()), name, 1.0).stated


def code(value, meaning, scheme="SCT"):
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


# --- the file name


@pytest.mark.parametrize("separator", ["-", "_", " ", " - "])
@pytest.mark.parametrize(
    ("word", "side", "limb"), [("LH", L, HAND), ("RH", R, HAND), ("lf", L, FOOT), ("Rf", R, FOOT)]
)
def test_name_of_the_documented_form_says_side_limb_and_study(separator, word, side, limb):
    stated = said_by_name(f"UAB001{separator}{word}.jpg")
    assert stated == StatedIdentity(
        limb=limb, limb_source=NAME, laterality=side, laterality_source=NAME,
        study_key="UAB001", patient_key="UAB001",
    )  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["brightLH.jpg", "left hand.jpg", "LHassa.png", "UAB001-LHX.jpg", "UAB001LH.jpg", "RF2.jpg",
     "UAB001-LH-old.jpg", "UAB001-HL.jpg", "IMG0000030.jpg", "", "LH/film.jpg", "x-LH.jpg.part2b",
     "UAB001-LH.jpg\n"],
)  # fmt: skip
def test_sides_are_not_read_out_of_other_names(name):
    assert said_by_name(name) == StatedIdentity()


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("a/b/P-7_2-LH.jpg", "P-7_2"),
        ("..\\P7-LH", "P7"),
        ("P7.2-LH", "P7.2"),
        ("Ju\u0308rgen-LH.png", "J\u00fcrgen"),
        ("x" * 4000 + "-LH.jpg", "x" * 4000),
        ("LH.jpg", None),
    ],
)
def test_the_key_is_the_name_before_the_side(name, key):
    stated = said_by_name(name)
    assert (stated.laterality, stated.study_key) == (L, key)


def test_names_that_are_no_text_give_a_key_that_is():
    stated = said_by_name(b"M\xfcller-RF.jpg".decode("utf-8", "surrogateescape"))
    assert stated.laterality is R
    assert json.loads(json.dumps(stated.study_key).encode()) == stated.study_key
    assert stated.study_key.encode("utf-8")


# --- DICOM tags


def test_tags_speak_in_their_order_of_trust():
    region = item(AnatomicRegionModifierSequence=Sequence([code("24028007", "Right")]))
    region.CodeValue, region.CodingSchemeDesignator = "85562004", "SCT"
    region.CodeMeaning = "Hand"
    ladder = [
        {"ImageLaterality": "R"},
        {"Laterality": "R"},
        {"FrameLaterality": "R"},
        {"AnatomicRegionSequence": Sequence([region])},
        {"BodyPartExamined": "RIGHT HAND"},
        {"ViewPosition": "RIGHT PA"},
        {"SeriesDescription": "Hand rechts dp"},
        {"StudyDescription": "Main droite"},
    ]
    for tags in ladder:
        stated = said(**tags)
        assert (stated.laterality, stated.laterality_source) == (R, DICOM), tags
        assert stated.conflict is None


@pytest.mark.parametrize(
    ("tags", "conflict"),
    [
        ({"ImageLaterality": "L", "Laterality": "R"}, "ImageLaterality L, Laterality R"),
        ({"Laterality": "L", "SeriesDescription": "right hand"},
         "Laterality L, SeriesDescription R"),
        ({"BodyPartExamined": "LHAND", "StudyDescription": "Hand rechts"},
         "BodyPartExamined L, StudyDescription R"),
    ],
)  # fmt: skip
def test_two_tags_that_disagree_are_both_named(tags, conflict):
    stated = said(**tags)
    assert stated.conflict == conflict
    assert stated.laterality is L


@pytest.mark.parametrize(("name", "other"), [("P1-RH.dcm", "R hand"), ("P1-LF.dcm", "L foot")])
def test_tags_and_file_name_that_disagree_are_a_conflict(name, other):
    stated = said(name, ImageLaterality="L", BodyPartExamined="HAND")
    assert stated.conflict == f"dicom L hand, filename {other}"
    assert (stated.laterality, stated.laterality_source) == (L, DICOM)
    assert (stated.limb, stated.limb_source) == (HAND, DICOM)


def test_the_file_name_fills_what_the_tags_leave_open():
    stated = said("P9-RF.dcm", ImageLaterality="", BodyPartExamined="FOOT")
    assert (stated.limb, stated.limb_source) == (FOOT, DICOM)
    assert (stated.laterality, stated.laterality_source) == (R, NAME)
    assert stated.conflict is None


@pytest.mark.parametrize("letter", ["B", "U", "", "?"])
def test_both_or_unpaired_is_no_side(letter):
    assert said(ImageLaterality=letter).laterality is None


def test_bilateral_orders_say_no_side():
    stated = said(Laterality="L", StudyDescription="XR hands bilateral, left and right")
    assert stated.laterality is L
    assert stated.conflict is None


@pytest.mark.parametrize(
    ("value", "years"),
    [("060Y", 60), ("018M", 1.5), ("026W", 0.498), ("010D", 0.027), ("45", 45), ("000Y", None),
     ("", None), ("999Y", None), ("XYZ", None)],
)  # fmt: skip
def test_age_in_every_unit(value, years):
    assert said(PatientAge=value).age_years == (years and pytest.approx(years, abs=0.01))


def test_age_from_birth_date_where_none_is_stated():
    stated = said(PatientBirthDate="20080401", StudyDate="20240401")
    assert stated.age_years == pytest.approx(16, abs=0.01)
    assert said(PatientBirthDate="20080401", StudyDate="").age_years is None
    assert said(PatientBirthDate="20089901", StudyDate="20240401").age_years is None


def test_keys_fall_back_from_study_uid_to_patient_and_date_to_name():
    assert said().study_key == "2.25.2"
    assert said(StudyInstanceUID="", StudyDate="20240401").study_key == "P1/20240401"
    assert said("N7-LH.dcm", StudyInstanceUID="").study_key == "N7"
    assert said(StudyInstanceUID="").study_key is None
    assert said("N7-LH.dcm", StudyInstanceUID="", PatientID="").patient_key == "N7"
    assert said("N7-LH.dcm").patient_key == "P1"


@pytest.mark.parametrize(
    ("tags", "taken"),
    [
        ({"AcquisitionDate": "20260304", "AcquisitionTime": "103155.5"}, "2026-03-04 10:31"),
        ({"AcquisitionDate": "20260304", "AcquisitionTime": ""}, "2026-03-04"),
        ({"StudyDate": "20260304", "StudyTime": "1031"}, "2026-03-04 10:31"),
        # A time belongs to its own day only.
        ({"AcquisitionDate": "20260304", "StudyTime": "1031"}, "2026-03-04"),
        ({"AcquisitionDate": "20260304", "AcquisitionTime": "991000"}, "2026-03-04"),
        ({"AcquisitionDate": "20261304"}, None),
    ],
)
def test_the_day_and_time_of_the_exposure_are_those_of_one_pair_of_tags(tags, taken):
    none = dict.fromkeys(("StudyDate", "StudyTime", "ContentDate", "SeriesDate"), "")
    assert said(**{**none, **tags}).taken == taken


def test_burned_in_annotation_is_carried():
    assert said(BurnedInAnnotation="YES").burned_in_annotation
    assert not said(BurnedInAnnotation="NO").burned_in_annotation
    assert not said().burned_in_annotation


@pytest.mark.parametrize(
    ("tags", "view"),
    [
        ({"ViewPosition": "PA"}, View.PA),
        ({"ViewPosition": "AP"}, View.AP),
        ({"ViewPosition": "LL"}, View.LATERAL),
        ({"ViewPosition": "RLO"}, View.OBLIQUE),
        ({"ViewPosition": "DP", "BodyPartExamined": "HAND"}, View.PA),
        ({"ViewPosition": "DP", "BodyPartExamined": "FOOT"}, View.AP),
        ({"ViewPosition": ""}, View.UNKNOWN),
        ({"SeriesDescription": "Hand links schräg"}, View.OBLIQUE),
        ({"SeriesDescription": "pied droit profil"}, View.LATERAL),
        ({"StudyDescription": "Hand 3 views PA, oblique, lateral"}, View.UNKNOWN),
        ({"ViewPosition": "PA", "StudyDescription": "Hand oblique"}, View.PA),
    ],
)
def test_view_from_position_code_or_description(tags, view):
    assert said(**tags).view is view
    by_code = Sequence([code("R-10242", "oblique")])
    assert said(ViewCodeSequence=by_code).view is View.OBLIQUE


def test_a_side_in_view_position_is_not_the_side_of_the_beam():
    assert said(ViewPosition="LL").laterality is None
    assert said(ViewPosition="RLO").laterality is None


# --- words


@pytest.mark.parametrize(
    ("text", "limb", "side"),
    [
        ("Left hand PA", HAND, L), ("HAND R", HAND, R), ("XR FOOT LT 3V", FOOT, L),
        ("Hand li. d.p.", HAND, L), ("Vorfuß rechts", FOOT, R), ("FUSS RE AP", FOOT, R),
        ("Röntgen Hände beidseits", HAND, None), ("main gauche face", HAND, L),
        ("Main D face", HAND, R), ("PIED DROIT", FOOT, R), ("mano izquierda", HAND, L),
        ("pie derecho", FOOT, R), ("mano sinistra", HAND, L), ("piede dx", FOOT, R),
        ("mão esquerda", HAND, L), ("PE DIREITO", None, R), ("linker voet", FOOT, L),
        ("höger hand", HAND, R), ("venstre fot", FOOT, L), ("Hand sin", HAND, L),
        ("ręka lewa", HAND, L), ("stopa prawa", FOOT, R), ("правая кисть", HAND, R),
        ("левой стопы", FOOT, L), ("左手", HAND, L), ("右足", FOOT, R), ("HAND_LEFT", HAND, L),
        ("Toes left", FOOT, L),
        ("Röntgen der Hand", HAND, None), ("Hand d.p.", HAND, None), ("Hände und Füße", None, None),
        ("DX HAND", HAND, None), ("Handgelenk links", HAND, L), ("Left ankle", FOOT, L),
        ("handle with care", None, None),
        ("re-check", None, None), ("CR CHEST PA", None, None), ("L5 spine", None, None),
        ("left and right hand", HAND, None), ("", None, None), ("mano sin contraste", HAND, None),
    ],
)  # fmt: skip
def test_descriptions_of_several_languages(text, limb, side):
    assert (limb_in(text), side_in(text)) == (limb, side)


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("Hand a.p.", View.AP), ("p.a.", View.PA), ("dorso-palmar", View.PA),
        ("Fuß d.p.", View.UNKNOWN), ("oblicua", View.OBLIQUE), ("seitlich", View.LATERAL),
        ("Zitherspieler", View.OBLIQUE), ("bilateral", View.UNKNOWN), ("laterality", View.UNKNOWN),
        ("PA / OBL", View.UNKNOWN), ("postero-anterior", View.PA), ("skośna", View.OBLIQUE),
    ],
)  # fmt: skip
def test_views_of_several_languages(text, view):
    assert view_in(text) is view


# --- whole files


def test_malformed_tags_never_hide_the_film():
    data = dataset(
        ramp(), PatientAge="?!", StudyDate="yesterday", ViewPosition="PA", ImageLaterality="\xff",
        SpecificCharacterSet="NO_SUCH_SET", RescaleSlope="1",
    )  # fmt: skip
    whole = dicom(data, ramp().tobytes())
    malformed = whole.replace(b"DS\x02\x001 ", b"DS\x02\x00?!")
    assert malformed != whole
    film = decode_film(malformed, "P1-LH.dcm", 1.0)
    assert np.array_equal(film.pixels, ramp())
    assert film.stated.view is View.PA
    assert film.stated.laterality_source is NAME


def test_a_plain_film_without_a_name_says_nothing():
    assert decode_film(jpeg(smooth()), "scan.jpg", 1.0).stated == StatedIdentity()


def test_films_of_the_simulated_scanner_are_read_right(tmp_path):
    summary = write_patients(tmp_path, 1, 5, image_format="dicom")
    assert summary.films == 4
    keys = set()
    for word, side, limb in (("LH", L, HAND), ("RH", R, HAND), ("LF", L, FOOT), ("RF", R, FOOT)):
        data = (tmp_path / f"P0001-{word}.dcm").read_bytes()
        film = decode_film(data, "unnamed", 50.0)
        stated = film.stated
        keys.add((stated.study_key, stated.patient_key))
        assert (stated.limb, stated.laterality, stated.laterality_source) == (limb, side, DICOM)
        assert stated.view is (View.PA if limb is HAND else View.AP)
        assert stated.age_years == 60
        assert stated.conflict is None
        assert film.flags == ()
        assert film.pixels.std() > 20
    assert len(keys) == 1


def test_side_of_a_real_unit_is_read():
    path = DATA / "dicom" / "wg04" / "RG3_UNC.dcm"
    if not path.exists():
        pytest.skip(f"no {path.name} under {DATA}")
    stated = decode_film(path.read_bytes(), "film", 50.0).stated
    assert (stated.laterality, stated.limb, stated.view) == (R, None, View.AP)
