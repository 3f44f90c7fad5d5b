"""The FHIR bundle of a limb, judged by the R4B models of fhir.resources."""

from __future__ import annotations

import json
import re

import pytest
from dicom_films import (
    EARLIER_ID,
    INSTANCE,
    NAMES,
    SERIES,
    STUDY,
    a_film,
    a_report,
    every_kind,
    results,
)
from fhir.resources.R4B.bundle import Bundle
from hypothesis import HealthCheck, given, settings
from limb_results import a_result

from edge.model import Identifier, Subtotal, Subtotals
from edge.outputs.dicom_source import read_source
from edge.outputs.fhir import (
    LATERALITY_URL,
    PSEUDONYM_SYSTEM,
    REGION_URL,
    SUPERSEDES_URL,
    Pseudonyms,
    bundle_of,
)
from edge.outputs.report import Predecessor

SOURCE = read_source(a_film())
ORIGINS = {
    "dicom": SOURCE,
    "no patient": read_source(a_film(PatientID="", PatientName="", AccessionNumber="")),
    "pseudonyms": Pseudonyms("ab12", "cd34"),
    "study alone": Pseudonyms("ab12"),
}


def resources(bundle, kind):
    return [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind]


def by_label(bundle):
    """Observations of joints by label and code."""
    return {
        (one["bodySite"]["text"], one["code"]["coding"][0]["code"]): one
        for one in resources(bundle, "Observation")
        if "text" in one.get("bodySite", {})
    }


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("kind", every_kind())
def test_the_models_take_bundles_of_every_kind(kind, origin):
    bundle = bundle_of(every_kind()[kind], ORIGINS[origin])
    Bundle.model_validate_json(json.dumps(bundle))


@given(results())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_models_take_bundles_of_any_result(result):
    Bundle.model_validate_json(json.dumps(bundle_of(a_report(result), SOURCE)))


@pytest.mark.parametrize("origin", ORIGINS)
def test_every_reference_leads_to_a_resource_of_the_bundle(origin):
    bundle = bundle_of(a_report(), ORIGINS[origin])
    urls = {entry["fullUrl"] for entry in bundle["entry"]}
    assert len(urls) == len(bundle["entry"])
    named = set(re.findall(r'"reference": "([^"]+)"', json.dumps(bundle)))
    assert named <= urls
    (panel,) = [one for one in resources(bundle, "Observation") if "hasMember" in one]
    assert len(panel["hasMember"]) == 2 * len(a_report().result.joints)


def test_a_joint_has_an_observation_a_task_with_grade_and_expected_value():
    result = a_result(grades={"MCP2": {"erosion": 3, "erosion_expected": 2.12345678}})
    found = by_label(bundle_of(a_report(result), SOURCE))
    assert len(found) == 20
    erosion = found["MCP2", "ERO_GRADE"]
    assert erosion["valueInteger"] == 3
    assert erosion["component"][0]["valueQuantity"]["value"] == 2.123457
    assert [c["code"] for c in erosion["bodySite"]["coding"]] == ["125682004", "HAND_MCP2"]
    (side,) = erosion["bodySite"]["extension"]
    assert side["url"] == LATERALITY_URL
    assert side["valueCodeableConcept"]["coding"][0]["code"] == "7771000"


def test_a_missing_grade_is_a_reason_and_no_value():
    reasons = {"erosion": None, "erosion_reason": "implant"}
    found = by_label(bundle_of(a_report(a_result(grades={"MCP2": reasons})), SOURCE))
    erosion, thumb = found["MCP2", "ERO_GRADE"], found["IP1", "NAR_GRADE"]
    assert "valueInteger" not in erosion
    assert erosion["dataAbsentReason"]["text"] == "implant"
    codes = [coding["code"] for coding in erosion["dataAbsentReason"]["coding"]]
    assert codes == ["G_IMPLANT", "not-performed"]
    assert thumb["dataAbsentReason"]["coding"][1]["code"] == "not-applicable"


def test_a_sum_that_is_missing_is_no_zero():
    none = Subtotal(score=None, n_scored=0, n_expected=10, maximum=50, attainable=0)
    result = a_result(subtotals=Subtotals(erosion=none, narrowing=none))
    bundle = bundle_of(a_report(result), SOURCE)
    (panel,) = [one for one in resources(bundle, "Observation") if "hasMember" in one]
    (total,) = [c for c in panel["component"] if c["code"]["coding"][0]["code"] == "ERO_SUM"]
    assert "valueInteger" not in total
    assert "dataAbsentReason" in total


def test_regions_are_an_extension_with_at_most_six_decimals():
    bundle = bundle_of(a_report(), SOURCE)
    for one in by_label(bundle).values():
        (region,) = one["extension"]
        assert region["url"] == REGION_URL
        names = [part["url"] for part in region["extension"]]
        assert names == ["x", "y", "width", "height", "centreX", "centreY"]
    assert not re.search(r"[^\"]: -?\d+\.\d{7}", json.dumps(bundle).replace('"', ""))


def test_a_dicom_film_is_named_by_its_uids_and_identifiers():
    bundle = bundle_of(a_report(), SOURCE)
    (study,) = resources(bundle, "ImagingStudy")
    assert study["identifier"][0]["value"] == f"urn:oid:{STUDY}"
    assert study["identifier"][1]["value"] == "A-4711"
    assert study["series"][0]["instance"][0]["uid"] == INSTANCE
    (patient,) = resources(bundle, "Patient")
    assert patient["identifier"] == [{"value": "P-77"}]


@pytest.mark.parametrize("name", NAMES)
def test_names_and_birth_dates_never_enter_a_bundle(name):
    text = json.dumps(bundle_of(a_report(), read_source(a_film(name))), ensure_ascii=False)
    assert "1950" not in text
    person = NAMES[name][1]
    assert not person or not any(part in text for part in re.split(r"[\^=]", person))


def test_without_a_dicom_film_there_are_pseudonyms_only():
    bundle = bundle_of(a_report(), Pseudonyms("ab12", "cd34"))
    (study,), (patient,) = resources(bundle, "ImagingStudy"), resources(bundle, "Patient")
    assert study["identifier"] == [{"system": PSEUDONYM_SYSTEM, "value": "ab12"}]
    assert patient["identifier"] == [{"system": PSEUDONYM_SYSTEM, "value": "cd34"}]
    assert "series" not in study
    assert not resources(bundle_of(a_report(), Pseudonyms("ab12")), "Patient")


def test_a_new_score_names_the_result_that_it_replaces():
    bundle = bundle_of(a_report(supersedes=Predecessor(EARLIER_ID)), SOURCE)
    (report,) = resources(bundle, "DiagnosticReport")
    (extension,) = report["extension"]
    assert extension["url"] == SUPERSEDES_URL
    assert extension["valueIdentifier"]["value"] == f"urn:uuid:{EARLIER_ID}"


def test_the_notice_stands_in_report_and_panel():
    bundle = bundle_of(a_report(), SOURCE)
    notice = "Research use only, not a medical device."
    (report,) = resources(bundle, "DiagnosticReport")
    assert report["conclusion"].endswith(notice)
    (panel,) = [one for one in resources(bundle, "Observation") if "hasMember" in one]
    assert panel["note"] == [{"text": notice}]


@pytest.mark.parametrize(
    ("kind", "status"),
    [("scored hand", "preliminary"), ("held foot", "registered"), ("rejected", "cancelled")],
)
def test_the_status_of_the_report_follows_the_limbs(kind, status):
    (report,) = resources(bundle_of(every_kind()[kind], SOURCE), "DiagnosticReport")
    assert report["status"] == status


_STATED = {
    Identifier.PATIENT_ID: {"P-77"},
    Identifier.ACCESSION_NUMBER: {"A-4711"},
    Identifier.STUDY_INSTANCE_UID: {STUDY, SERIES, INSTANCE},
}


@pytest.mark.parametrize("wanted", [(), *((one,) for one in Identifier), tuple(Identifier)])
def test_only_the_identifiers_that_are_wanted_are_stated(wanted):
    bundle = bundle_of(a_report(), SOURCE, wanted)
    Bundle.model_validate(bundle)
    said = set(re.findall(r'"(?:urn:oid:)?([^"]+)"', json.dumps(bundle)))
    for one, values in _STATED.items():
        assert (values & said) == (values if one in wanted else set())
