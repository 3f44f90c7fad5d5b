"""Coded tags decide what a DICOM object shows, before anybody looks at its picture."""

from __future__ import annotations

import pytest
from film_files import film, item, ramp
from pydicom.sequence import Sequence

from edge.errors import FilmError, Reason
from edge.imaging.decode import decode_film

OTHER_MODALITIES = "MR CT NM US MG PT XA RF IO PX OP SM SR XC HC ES"
PARTS = """CHEST KNEE ELBOW SHOULDER HIP PELVIS SKULL CSPINE LSPINE ABDOMEN LEG ARM FEMUR TIBIA
    HUMERUS FOREARM JAW BREAST HEAD RIB CLAVICLE THORAX PATELLA"""


def decoded(**tags):
    return decode_film(film(ramp(), **tags), "X1-LH.dcm", 50.0)


def region(code="", meaning=""):
    return {"AnatomicRegionSequence": Sequence([item(CodeValue=code, CodeMeaning=meaning)])}


def refused(**tags):
    with pytest.raises(FilmError) as caught:
        decoded(**tags)
    return caught.value


@pytest.mark.parametrize(
    "tags",
    [
        *(
            {"Modality": term}
            for term in [
                "MR",
                "CT",
                "NM",
                "US",
                "MG",
                "PT",
                "XA",
                "RF",
                "IO",
                "PX",
                "OP",
                "SM",
                "SR",
                "XC",
                "HC",
                "ES",
            ]
        ),
        {"Modality": "ct "},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2"},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.12.2"},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.4"},
        {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]},
        {"ImageType": ["DERIVED", "SECONDARY", "", "MIP"]},
        {"ImageType": ["DERIVED", "PRIMARY", "PROJECTION IMAGE"]},
        {"ConversionType": "SD"},
        {"ConversionType": "DV"},
    ],
)
def test_another_kind_of_image_is_rejected_by_the_name_of_its_tag(tags):
    error = refused(**tags)
    assert error.reason is Reason.OTHER_MODALITY
    assert error.detail.startswith(next(iter(tags)))


@pytest.mark.parametrize(
    "tags",
    [
        {"QualityControlImage": "YES"},
        {"ImageComments": "QC PHANTOM"},
        {"PatientID": "QC TEST"},
        {"PatientID": "qc"},
        {"PatientName": "PHANTOM^HAND"},
        {"PatientName": "Test_Object^A"},
        {"StudyDescription": "Konstanzprüfung"},
        {"SeriesDescription": "Prüfkörper links"},
        {"ProtocolName": "Contrôle de qualité"},
        {"StudyDescription": "Controllo di qualità"},
        {"StudyDescription": "Control de calidad"},
        {"SeriesDescription": "Flat-field"},
        {"PatientSpeciesDescription": "CANINE"},
        {"PatientSpeciesDescription": "Felis catus"},
        {"PatientBreedDescription": "German Shepherd"},
        {"PatientSexNeutered": "ALTERED"},
        {"PatientSpeciesCodeSequence": Sequence([item(CodeValue="L-80700", CodeMeaning="Dog")])},
        {"PatientSpeciesCodeSequence": Sequence([item(CodeValue="448771007")])},
    ],
)
def test_an_animal_or_a_test_object_is_rejected_by_the_name_of_its_tag(tags):
    error = refused(**tags)
    assert error.reason is Reason.NOT_A_PATIENT
    assert error.detail.startswith(next(iter(tags)))


def test_what_patients_are_called_is_not_repeated():
    assert "MILLER" not in refused(PatientName="MILLER^QC TEST").detail


@pytest.mark.parametrize(
    "tags",
    [
        *({"Modality": term} for term in ("CR", "DX", "RG", "OT", "", "XR", "dx")),
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1"},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"},
        {"SOPClassUID": "1.2.276.0.99"},
        {"SOPClassUID": ""},
        {"ImageType": ["DERIVED", "PRIMARY", "POST_PROCESSED", "RT", "", "150000"]},
        {"ImageType": "ORIGINAL"},
        {"ConversionType": "DF"},
        {"QualityControlImage": "NO"},
        {"StudyDescription": "Phantom limb pain, hand"},
        {"PatientName": "Phan^Tom"},
        {"PatientName": "Qatar^Ann"},
        {"PatientID": "QA12345"},
        {"PatientID": "TEST"},
        {"PatientSpeciesDescription": "Homo sapiens"},
        {"PatientSpeciesDescription": "HUMAN"},
        {"PatientSpeciesDescription": ""},
        {"PatientBreedDescription": "n/a"},
        {"PatientSpeciesCodeSequence": Sequence([item(CodeValue="337915000")])},
        {"PatientSpeciesCodeSequence": Sequence([item(CodeValue="L-85B00", CodeMeaning="H")])},
        {"PatientSpeciesCodeSequence": Sequence([])},
    ],
)
def test_a_radiograph_of_a_person_is_not_refused(tags):
    assert decoded(**tags).stated.other_part is None


@pytest.mark.parametrize(
    ("tags", "named"),
    [
        *(({"BodyPartExamined": part}, f"BodyPartExamined {part}") for part in PARTS.split()),
        ({"BodyPartExamined": "Genou droit"}, "BodyPartExamined GENOU"),
        ({"BodyPartExamined": "Schulter"}, "BodyPartExamined SCHULTER"),
        ({"BodyPartExamined": "RODILLA"}, "BodyPartExamined RODILLA"),
        ({"BodyPartExamined": "Torace"}, "BodyPartExamined TORACE"),
        ({"BodyPartExamined": "CHEST_PA", "SeriesDescription": "hand"}, "BodyPartExamined CHEST"),
        (region("51185008", "Chest"), "AnatomicRegionSequence 51185008"),
        (region("T-D3000"), "AnatomicRegionSequence T-D3000"),
        (region("", "Knee"), "AnatomicRegionSequence knee"),
        (region("72696002", "Knee"), "AnatomicRegionSequence 72696002"),
        ({"SeriesDescription": "Thorax p.a."}, "SeriesDescription THORAX"),
        ({"StudyDescription": "XR KNEE LT"}, "StudyDescription KNEE"),
    ],
)
def test_another_body_part_is_named(tags, named):
    assert decoded(**tags).stated.other_part == named


@pytest.mark.parametrize(
    "tags",
    [
        *(
            {"BodyPartExamined": part}
            for part in ["HAND", "FINGER", "THUMB", "WRIST", "Handgelenk", "FOOT", "TOE", "ANKLE",
                         "FOREFOOT", "HAND AND FOREARM", "HAND FOOT", "EXTREMITY", "LHAND",
                         "UNKNOWN", "", "?"]
        ),
        region("85562004", "Hand"),
        region("T-D8600", "Wrist"),
        region("70258002", "Ankle joint"),
        region("66019005", "Extremity"),
        region("113345001", "Left hand structure"),
        region("999", "Upper extremity"),
        region(),
        {"StudyDescription": "Pain of knee and hand"},
        {"StudyDescription": "Arthritis, knee", "BodyPartExamined": "HAND"},
        {"SeriesDescription": "Face"},
    ],
)  # fmt: skip
def test_hand_and_foot_with_their_neighbours_are_no_other_part(tags):
    assert decoded(**tags).stated.other_part is None
