"""One result, all formats: JSON of the contract, CSV, SR, FHIR and HL7 say the same."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from dicom_films import a_film, a_report, results
from hypothesis import HealthCheck, given, settings
from sr_values import groups, values_of

from edge.contract.examples import example_result
from edge.contract.payloads import RejectMessage, ResultMessage
from edge.model import Status
from edge.outputs.dicom_codes import null_reason_code, reason_code
from edge.outputs.dicom_source import read_source
from edge.outputs.dicom_sr import sr_of
from edge.outputs.fhir import bundle_of
from edge.outputs.hl7 import oru_of
from edge.scoring.score_files import ScoredFile
from sharpedge.tables.cells import write_csv_file
from sharpedge.tables.scored_files import HEADER, rows_of

SOURCE = read_source(a_film(size=(2000, 1600)))
TASKS = {"erosion": "ERO", "narrowing": "NAR"}
COUNTS = {"score": "SUM", "n_scored": "N_SCORED", "n_expected": "N_EXPECTED",
          "maximum": "MAXIMUM", "attainable": "ATTAINABLE"}  # fmt: skip


def message_of(result):
    """The result as it leaves by MQTT, read back from its JSON."""
    graded = result.status in {Status.SCORED, Status.NOT_GRADED}
    model = ResultMessage if graded else RejectMessage
    envelope = {
        key: value
        for key, value in dict(example_result()).items()
        if key not in type(result).model_fields
    }
    return json.loads(model.model_validate({**envelope, **dict(result)}).model_dump_json())


def truth_of(message):
    """Grades, expected values, reasons and sums of a message, by joint and task."""
    joints = {}
    for number, joint in enumerate(message["joints"], 1):
        label = joint["name"] or f"{joint['name_candidate']}?{number}"
        for task in TASKS:
            grade, expected = joint[task], joint[f"{task}_expected"]
            why = None if grade is not None else null_reason_code(joint[f"{task}_reason"]).value
            expected = None if expected is None else pytest.approx(expected, abs=1e-6)
            joints[label, task] = (grade, expected, why)
    return joints, _sums(message["subtotals"])


def _sums(subtotals):
    if subtotals is None:
        return {}
    return {
        (task, count): subtotals[task][count]
        for task in TASKS
        for count in COUNTS
        if subtotals[task][count] is not None
    }


def of_sr(data):
    limb, *joints = groups(data)
    found = {}
    for said in map(values_of, joints):
        label = said["112039"].split("/", 1)[1]
        for task, letters in TASKS.items():
            values = (said.get(f"{letters}_{what}") for what in ("GRADE", "EXPECTED", "MISSING"))
            found[label, task] = tuple(values)
    said = values_of(limb)
    sums = {
        (task, count): said[f"{letters}_{name}"]
        for task, letters in TASKS.items()
        for count, name in COUNTS.items()
        if f"{letters}_{name}" in said
    }
    return found, sums, said.get("LIMB_REASON")


def of_fhir(bundle):
    observations = [
        entry["resource"]
        for entry in bundle["entry"]
        if entry["resource"]["resourceType"] == "Observation"
    ]
    panel, *joints = observations
    found = {}
    for one in joints:
        letters = one["code"]["coding"][0]["code"].removesuffix("_GRADE")
        task = {value: key for key, value in TASKS.items()}[letters]
        (expected,) = [c["valueQuantity"]["value"] for c in one.get("component", ())] or [None]
        absent = one.get("dataAbsentReason")
        why = None if absent is None else absent["coding"][0]["code"]
        found[one["bodySite"]["text"], task] = (one.get("valueInteger"), expected, why)
    components = {c["code"]["coding"][0]["code"]: c for c in panel.get("component", ())}
    sums = {
        (task, count): components[f"{letters}_{name}"]["valueInteger"]
        for task, letters in TASKS.items()
        for count, name in COUNTS.items()
        if "valueInteger" in components.get(f"{letters}_{name}", ())
    }
    reason = components.get("LIMB_REASON")
    code = None if reason is None else reason["valueCodeableConcept"]["coding"][0]["code"]
    return found, sums, code


def of_hl7(data):
    lines = [line.split("|") for line in data.decode().split("\r")]
    found, sums, reason = {}, {}, None
    for _, _, kind, code, part, said, *_ in (it for it in lines if it[0] == "OBX"):
        name, value = code.split("^")[0], float(said) if kind == "NM" else said.split("^")[0]
        if name == "LIMB_REASON":
            reason = value
        for task, letters in TASKS.items():
            at = (part, task)
            whats = {f"{letters}_{what}": n for n, what in enumerate(
                ("GRADE", "EXPECTED", "MISSING"))}  # fmt: skip
            if name in whats:
                before = list(found.get(at, (None, None, None)))
                before[whats[name]] = value
                found[at] = tuple(before)
            for count, letter in COUNTS.items():
                if name == f"{letters}_{letter}":
                    sums[task, count] = value
    return found, sums, reason


def of_csv(result, path):
    write_csv_file(path, HEADER, rows_of([ScoredFile(Path("film-7.dcm"), (result,))]))
    with path.open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    return row


@given(results())
@settings(
    max_examples=40, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
def test_all_formats_carry_the_same_grades_sums_and_reasons(tmp_path, result):
    joints, sums = truth_of(message_of(result))
    reason = None if result.reason is None else reason_code(result.reason).value
    report = a_report(result)
    assert of_sr(sr_of(report, SOURCE)) == (joints, sums, reason)
    assert of_fhir(bundle_of(report, SOURCE)) == (joints, sums, reason)
    assert of_hl7(oru_of(report, SOURCE)) == (joints, sums, reason)
    row = of_csv(result, tmp_path / "t.csv")
    for (label, task), (grade, _, _) in joints.items():
        column = f"{task}_{label}"
        if "?" not in label and column in row:
            assert row[column] == ("" if grade is None else str(grade))
    for task in TASKS:
        score = sums.get((task, "score"))
        assert row[f"{task}_sum"] == ("" if score is None else str(score))
        assert row[f"{task}_scored"] == str(sums.get((task, "n_scored"), ""))
    assert (row["status"], row["reason"]) == (str(result.status), result.reason or "")
