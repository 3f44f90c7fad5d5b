"""The HL7 message of a limb, judged by hl7apy's strict validation of 2.5.1."""

from __future__ import annotations

import re

import pytest
from dicom_films import EARLIER_ID, NAMES, STUDY, a_film, a_report, every_kind, results
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from limb_results import a_result

from edge.model import Identifier
from edge.outputs.dicom_source import read_source
from edge.outputs.fhir import Pseudonyms
from edge.outputs.hl7 import escaped, oru_of
from edge.outputs.report import Predecessor

SOURCE = read_source(a_film())
ORIGINS = {
    "dicom": SOURCE,
    "no patient": read_source(a_film(PatientID="", PatientName="", AccessionNumber="")),
    "pseudonyms": Pseudonyms("ab" * 16, "cd" * 16),
    "study alone": Pseudonyms("ab" * 16),
}


def judged(data):
    """The message as the library reads it; raises what it finds wrong."""
    message = parse_message(data.decode(), validation_level=VALIDATION_LEVEL.STRICT)
    assert message.validate()
    return message


def lines(data):
    assert data.endswith(b"\r")
    return [line.split("|") for line in data.decode()[:-1].split("\r")]


def segments(data, name):
    return [fields for fields in lines(data) if fields[0] == name]


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("kind", every_kind())
def test_every_kind_of_result_satisfies_the_standard(kind, origin):
    message = judged(oru_of(every_kind()[kind], ORIGINS[origin]))
    assert message.msh.msh_9.to_er7() == "ORU^R01^ORU_R01"
    assert message.msh.msh_12.to_er7() == "2.5.1"


@given(results())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_result_satisfies_the_standard(result):
    judged(oru_of(a_report(result), SOURCE))


@given(st.text(max_size=80))
def test_a_text_comes_back_from_its_escapes_and_breaks_no_message(text):
    data = escaped(text)
    assert not set(data) & set("|^&~\r\n")
    marks = {"E": "\\", "F": "|", "S": "^", "T": "&", "R": "~"}
    back = re.sub(r"\\([EFSTR])\\", lambda it: marks[it[1]], data)
    assert back == "".join(one if one.isprintable() else " " for one in text)


def test_a_forged_patient_id_is_one_value():
    forged = read_source(a_film(PatientID="a|b^c&d~e"))
    data = oru_of(a_report(), forged)
    (pid,) = segments(data, "PID")
    assert pid[3] == r"a\F\b\S\c\T\d\R\e^^^^PI"
    judged(data)


@pytest.mark.parametrize("name", NAMES)
def test_no_name_and_no_birth_date_is_in_it(name):
    data = oru_of(a_report(), read_source(a_film(name))).decode()
    words = [it for part in re.split(r"[\^=]", NAMES[name][1]) if (it := part.strip())]
    assert not [word for word in [*words, "19500102"] if word in data]


_STATED = {
    Identifier.PATIENT_ID: "P-77",
    Identifier.ACCESSION_NUMBER: "A-4711",
    Identifier.STUDY_INSTANCE_UID: STUDY,
}


@pytest.mark.parametrize("wanted", [(), *((one,) for one in Identifier), tuple(Identifier)])
def test_only_the_identifiers_that_are_wanted_are_stated(wanted):
    data = oru_of(a_report(), SOURCE, wanted)
    judged(data)
    for one, value in _STATED.items():
        assert (value in data.decode()) == (one in wanted)


def test_the_result_that_is_replaced_the_advice_and_the_notice_are_comments():
    report = every_kind()["held hand"]
    data = oru_of(a_report(report.result, supersedes=Predecessor(EARLIER_ID)), SOURCE)
    first, second, third = (fields[3] for fields in segments(data, "NTE"))
    assert "esearch use only, not a medical device" in first
    assert EARLIER_ID in second
    assert "What to do:" in third


@pytest.mark.parametrize(
    ("kind", "status"), [("scored hand", "P"), ("held hand", "I"), ("rejected", "X")]
)
def test_the_order_says_how_far_the_result_is(kind, status):
    (order,) = segments(oru_of(every_kind()[kind], SOURCE), "OBR")
    assert order[25] == status


def test_a_number_has_no_exponent():
    small = a_result(grades={"MCP2": {"erosion_expected": 1e-5}})
    values = [f[5] for f in segments(oru_of(a_report(small), SOURCE), "OBX") if f[2] == "NM"]
    assert "0.00001" in values
    assert all(re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value) for value in values)


_CODE = b"|LIMB_SCORE^Limb with Sharp/van der Heijde sums^99SHARPEDGE|"


@pytest.mark.parametrize(
    ("whole", "broken"),
    [(b"\rOBR|1|", b"\rNTE|1|"), (_CODE, b"||"), (b"||||||P\r", b"||||||\r")],
)
def test_the_library_refuses_a_message_that_lacks_what_is_required(whole, broken):
    data = oru_of(a_report(), SOURCE)
    assert whole in data
    with pytest.raises(HL7apyException):
        judged(data.replace(whole, broken, 1))
