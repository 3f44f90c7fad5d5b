"""The structured report of a limb: what it says, and that it is the same each time."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO

import pytest
from dicom_films import (
    EARLIER_ID,
    INSTANCE,
    SERIES,
    STUDY,
    a_film,
    a_report,
    every_kind,
    partly_scored,
    with_spaces,
)
from film_files import CR_CLASS
from limb_results import a_result
from pydicom import dcmread
from sr_values import groups, regions, values_of, walk

from edge.anatomy import Limb
from edge.model import JointScore, SrClass
from edge.outputs.dicom_source import read_source
from edge.outputs.dicom_sr import SOP_CLASSES, sr_of
from edge.outputs.report import Predecessor, success_code, uid_of

SOURCE = read_source(a_film(size=(2000, 1600)))


def document_of(report, source=SOURCE, **options):
    return dcmread(BytesIO(sr_of(report, source, **options)))


@pytest.mark.parametrize("kind", every_kind())
def test_the_same_report_gives_the_same_bytes(kind):
    report = every_kind()[kind]
    assert sr_of(report, SOURCE) == sr_of(report, SOURCE)


def test_another_result_id_gives_other_uids():
    one, other = document_of(a_report()), document_of(a_report(result_id=EARLIER_ID))
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
        assert one[keyword].value != other[keyword].value
    uids = [{item.UID for item in walk(it) if item.ValueType == "UIDREF"} for it in (one, other)]
    assert uids[0].isdisjoint(uids[1])
    assert one.StudyInstanceUID == other.StudyInstanceUID == STUDY


@pytest.mark.parametrize("sr_class", SrClass)
def test_the_class_is_the_one_asked_for_and_the_content_the_same(sr_class):
    report = a_report()
    document = document_of(report, sr_class=sr_class)
    assert document.SOPClassUID == document.file_meta.MediaStorageSOPClassUID
    assert document.SOPClassUID == SOP_CLASSES[sr_class]
    # In a Comprehensive SR as in the 3D one: places are given on the image.
    assert {i.ValueType for i in walk(document)} >= {"SCOORD", "IMAGE", "NUM", "CODE", "TEXT"}
    assert groups(sr_of(report, SOURCE, sr_class)) == groups(sr_of(report, SOURCE))


def test_each_joint_has_its_grades_name_side_and_place():
    result = a_result(grades={"MCP2": {"erosion": 3, "erosion_expected": 2.75}})
    joints = {
        values_of(g)["112039"].split("/")[-1]: g for g in groups(sr_of(a_report(result), SOURCE))
    }
    assert set(joints) == {"limb", *Limb.HAND.joints}
    group = joints["MCP2"]
    said = values_of(group)
    assert (said["ERO_GRADE"], said["ERO_EXPECTED"], said["NAR_GRADE"]) == (3, 2.75, 2)
    (site,) = [i for i in group.ContentSequence if _name(i) == "363698007"]
    assert _value(site) == "125682004"
    modifiers = {_name(item): _value(item) for item in site.ContentSequence}
    assert modifiers == {"272741003": "7771000", "106233006": "HAND_MCP2"}


def _name(item):
    return item.ConceptNameCodeSequence[0].CodeValue


def _value(item):
    return item.ConceptCodeSequence[0].CodeValue


def test_places_count_from_the_corner_of_the_first_pixel():
    joint = JointScore(name="MCP2", box=(10, 20, 30, 40), centre=(25, 40), erosion=0, narrowing=0)
    limb, group = groups(sr_of(a_report(a_result(joints=(joint,))), SOURCE))
    corners = [10.5, 20.5, 40.5, 20.5, 40.5, 60.5, 10.5, 60.5, 10.5, 20.5]
    assert regions(group) == [("POLYLINE", corners)]
    assert regions(limb) == []


def test_a_joint_without_box_is_a_point_and_one_without_place_has_none():
    joints = (
        JointScore(name="MCP2", centre=(25, 40), erosion=0, narrowing=0),
        JointScore(name="MCP3", erosion_reason="absent", narrowing_reason="absent"),
    )
    _, point, none = groups(sr_of(a_report(a_result(joints=joints)), SOURCE))
    assert regions(point) == [("POINT", [25.5, 40.5])]
    assert regions(none) == []


def test_a_box_beyond_the_film_ends_at_its_edge():
    joint = JointScore(name="MCP2", box=(-9, 1990, 30, 40), erosion=0, narrowing=0)
    _, group = groups(sr_of(a_report(a_result(joints=(joint,))), SOURCE))
    ((_, points),) = regions(group)
    assert (min(points[0::2]), max(points[1::2])) == (0, SOURCE.rows)


def test_a_missing_grade_is_a_reason_and_no_number():
    limb, *joints = groups(sr_of(a_report(partly_scored()), SOURCE))
    said = {v["112039"].split("/")[-1]: v for v in map(values_of, joints)}
    assert said["MCP5"]["ERO_MISSING"] == "G_IMPLANT"
    assert "ERO_GRADE" not in said["MCP5"]
    assert said["MCP5"]["NAR_GRADE"] == 2
    (uncertain,) = [v for name, v in said.items() if "?" in name]
    assert uncertain["NAME_CANDIDATE"] == "HAND_MCP4"
    assert uncertain["ERO_EXPECTED"] == 1.234568
    assert said["IP1"]["NAR_MISSING"] == "G_NOT_IN_SVH"
    assert values_of(limb)["111017"] == "111244"


def test_sums_say_how_many_joints_they_sum():
    said = values_of(groups(sr_of(a_report(), SOURCE))[0])
    wanted = {"ERO_SUM": 10, "ERO_N_SCORED": 10, "ERO_N_EXPECTED": 10, "ERO_MAXIMUM": 50,
              "ERO_ATTAINABLE": 50, "NAR_SUM": 18, "NAR_N_SCORED": 9, "NAR_N_EXPECTED": 9,
              "NAR_MAXIMUM": 36, "NAR_ATTAINABLE": 36}  # fmt: skip
    assert {code: said[code] for code in wanted} == wanted


@pytest.mark.parametrize(
    ("kind", "code"),
    [("scored hand", "111242"), ("partly scored foot", "111244"), ("held hand", "111245"),
     ("not graded", "111245"), ("rejected", "111245")],
)  # fmt: skip
def test_the_summary_says_whether_all_joints_were_graded(kind, code):
    report = every_kind()[kind]
    assert success_code(report.result).value == code
    assert values_of(groups(sr_of(report, SOURCE))[0])["111017"] == code


def test_a_healthy_limb_is_without_findings():
    zeros = {name: {"erosion": 0, "narrowing": 0} for name in Limb.FOOT.joints}
    assert success_code(a_result(Limb.FOOT, grades=zeros)).value == "111241"
    some = zeros | {"MTP1": {"erosion": None, "erosion_reason": "implant", "narrowing": 0}}
    assert success_code(a_result(Limb.FOOT, grades=some)).value == "111243"
    absent = a_result(Limb.FOOT, grades=zeros)
    assert success_code(absent.model_copy(update={"joints": absent.joints[1:]})).value == "111243"


def test_a_held_limb_says_why():
    said = values_of(groups(sr_of(every_kind()["held hand"], SOURCE))[0])
    assert (said["LIMB_STATUS"], said["LIMB_REASON"]) == ("HELD", "L_SIDE_CONFLICT")
    assert "ERO_SUM" not in said


def test_the_notice_stands_in_the_document():
    document = document_of(a_report())
    texts = [item.TextValue for item in walk(document) if item.ValueType == "TEXT"]
    assert "Research use only, not a medical device." in texts
    assert "research use only, not a medical device" in document.SeriesDescription
    assert document.ContentQualification == "RESEARCH"
    said = values_of(groups(sr_of(a_report(), SOURCE))[0])
    assert said["INTENDED_USE"] == "113009"


def test_the_algorithm_is_identified_as_artificial_intelligence():
    said = values_of(groups(sr_of(a_report(), SOURCE))[1])
    assert (said["111001"], said["111003"]) == ("sharpedge", "0.0.test")
    assert said["111002"] == "engine hand-score 0123456789abcdef"
    assert said["111000"] == "123110"


def test_the_evidence_names_the_film_by_study_and_series():
    document = document_of(a_report())
    (study,) = document.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    (instance,) = series.ReferencedSOPSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == (STUDY, SERIES)
    assert instance.ReferencedSOPInstanceUID == INSTANCE
    assert instance.ReferencedSOPClassUID == CR_CLASS
    named = {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in walk(document)
        if item.ValueType == "IMAGE"
    }
    assert named == {INSTANCE}


@pytest.mark.parametrize("sr_class", SrClass)
def test_a_new_score_names_the_report_that_it_replaces(sr_class):
    earlier = document_of(a_report(result_id=EARLIER_ID), sr_class=sr_class)
    later = document_of(a_report(supersedes=Predecessor(EARLIER_ID, sr_class)))
    (study,) = later.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (instance,) = series.ReferencedSOPSequence
    assert study.StudyInstanceUID == earlier.StudyInstanceUID
    assert series.SeriesInstanceUID == earlier.SeriesInstanceUID
    assert instance.ReferencedSOPInstanceUID == earlier.SOPInstanceUID
    assert instance.ReferencedSOPClassUID == earlier.SOPClassUID
    assert "PredecessorDocumentsSequence" not in earlier


def test_millimetres_are_given_with_their_calibration_only():
    said = values_of(groups(sr_of(a_report(), SOURCE))[0])
    assert said["PIXEL_SIZE_STATE"] == "PX_NONE"
    assert not {"111026", "111066"} & set(said)
    at_detector = read_source(a_film(ImagerPixelSpacing=["0.2", "0.1"]))
    said = values_of(groups(sr_of(a_report(), at_detector))[0])
    assert said["PIXEL_SIZE_STATE"] == "PX_AT_DETECTOR"
    assert (said["111066"], said["111026"]) == (0.2, 0.1)


def test_a_joint_space_is_a_measurement_beside_the_grades():
    said = {
        word.split("/")[-1]: values_of(group)
        for group in groups(sr_of(a_report(with_spaces()), SOURCE))
        for word in [values_of(group)["112039"]]
    }
    plain = {
        values_of(group)["112039"].split("/")[-1]: values_of(group)
        for group in groups(sr_of(a_report(a_result()), SOURCE))
    }
    assert (said["MCP2"]["JSW_MEAN"], said["MCP2"]["JSW_MINIMUM"]) == (1.52, 1.21)
    assert (said["MCP2"]["JSW_MEDIAL"], said["MCP2"]["JSW_LATERAL"]) == (1.6, 1.4)
    assert said["MCP2"]["JSW_PART"] == "JSW_MIDDLE"
    assert "JSW_MEDIAL" not in said["MCP3"]
    assert said["PIP4"]["JSW_MISSING"] == "S_BLURRED"
    assert "JSW_MEAN" not in said["PIP4"]
    for joint, values in plain.items():
        assert values.items() <= said[joint].items()


@pytest.mark.parametrize(("mm", "unit", "mean"), [(True, "mm", 1.52), (False, "{pixels}", 12.16)])
def test_a_joint_space_states_its_unit(mm, unit, mean):
    document = document_of(a_report(with_spaces(mm=mm)))
    (first, *_) = (
        item
        for item in walk(document)
        if item.ValueType == "NUM" and item.ConceptNameCodeSequence[0].CodeValue == "JSW_MEAN"
    )
    measured = first.MeasuredValueSequence[0]
    code = measured.MeasurementUnitsCodeSequence[0]
    assert (float(measured.NumericValue), code.CodeValue) == (mean, unit)
    assert code.CodingSchemeDesignator == "UCUM"


def test_the_grey_values_that_the_model_saw_are_stated():
    source = read_source(a_film(WindowCenter="120", WindowWidth="200"))
    said = values_of(groups(sr_of(a_report(), source))[0])
    assert (said["GREY_BY"], said["GREY_LOW"], said["GREY_HIGH"]) == ("BY_WINDOW", 20, 219)


def test_texts_are_plain_ascii_whatever_the_result_holds():
    document = document_of(a_report(a_result(flags=("Röntgen\\~", "ok"))))
    texts = [item.TextValue for item in walk(document) if item.ValueType == "TEXT"]
    assert "Flags: R?ntgen/-, ok" in texts


def test_uids_are_valid_and_follow_from_the_result_alone():
    uid = uid_of(EARLIER_ID, "sr")
    assert uid == uid_of(EARLIER_ID, "sr") != uid_of(EARLIER_ID, "sc")
    assert uid.startswith("2.25.")
    assert len(uid) <= 64


def test_a_moment_without_time_zone_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        a_report(moment=a_report().moment.replace(tzinfo=None))


def test_nothing_loads_highdicom_before_a_document_is_made():
    code = (
        "import sys, edge.daemon.appliance, edge.outputs.dicom_sr, edge.outputs.dicom_sc, "
        "edge.outputs.fhir; sys.exit(any(m in sys.modules for m in ('highdicom', 'pydicom.sr')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
