"""Identifiers of a film: read whole or not at all, whatever a tag holds."""

from __future__ import annotations

import pytest
from dicom_films import NAMES, a_film
from film_files import jpeg, smooth
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from edge.imaging.decode import decode_film
from edge.imaging.identifiers import LONGEST, identifiers_of_tags
from edge.model import Identifier, Identifiers

WHOLE = Identifiers(
    accession_number="A-4711", study_instance_uid="1.2.840.99999.7", patient_id="P-77"
)


def of(**tags):
    data = Dataset()
    for keyword, value in tags.items():
        setattr(data, keyword, value)
    return identifiers_of_tags(data)


@pytest.mark.parametrize("name", NAMES)
def test_a_dicom_film_states_them_whatever_its_character_set(name):
    assert decode_film(a_film(name), "f.dcm", 80).stated.identifiers == WHOLE


def test_a_film_that_is_no_dicom_object_states_none():
    assert decode_film(jpeg(smooth()), "P-77-LH.jpg", 80).stated.identifiers is None


@pytest.mark.filterwarnings("ignore")
def test_padding_is_no_part_of_a_value():
    assert of(PatientID=" P-77 ", StudyInstanceUID="1.2.3\0") == Identifiers(
        patient_id="P-77", study_instance_uid="1.2.3"
    )


@pytest.mark.parametrize(
    "value",
    ["", " ", "x" * (LONGEST + 1), "a\nb", "a\x1bb", "a\0b", "a\u202eb", "a\ufffdb", ["a", "b"]],
    ids=ascii,
)
@pytest.mark.filterwarnings("ignore")
def test_a_value_that_is_not_whole_and_printable_is_left_out(value):
    assert of(PatientID=value, AccessionNumber="A") == Identifiers(accession_number="A")


@pytest.mark.parametrize("uid", ["../../etc", "1.2.x", "1", "1..2", "1." + "2" * 5000])
@pytest.mark.filterwarnings("ignore")
def test_a_study_uid_that_is_none_is_left_out(uid):
    assert of(StudyInstanceUID=uid) is None


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_whatever_bytes_a_tag_holds_a_value_can_be_printed_and_is_not_cut(data):
    found = of(PatientID=data.decode("latin-1"))
    assert found is None or (found.patient_id or "").isprintable()
    if found is not None:
        assert found.patient_id == data.decode("latin-1").strip(" \0")


def test_only_those_that_are_wanted_are_kept():
    assert WHOLE.only([Identifier.PATIENT_ID]) == Identifiers(patient_id="P-77")
    assert WHOLE.only([]) is None
    assert Identifiers(patient_id="p").only([Identifier.ACCESSION_NUMBER]) is None
