"""``sharpedge score --dicom --fhir``: which files are written, and for which films."""

from __future__ import annotations

import json
import shutil

import cv2
import pytest
from dicom_films import a_film_of
from pydicom import dcmread
from typer.testing import CliRunner

from edge.engine.loader import load_engines
from edge.errors import EngineError
from edge.system.paths import built_engines
from phantom.command import write_patients
from sharpedge import documents
from sharpedge.cli import app


def score(*arguments):
    return CliRunner().invoke(app, ["score", *map(str, arguments)])


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A left hand as DICOM and as JPEG, and a file that is no film."""
    try:
        load_engines(built_engines())
    except EngineError as error:
        pytest.skip(str(error))
    drawn, folder = tmp_path_factory.mktemp("drawn"), tmp_path_factory.mktemp("films")
    write_patients(drawn, 1, 31)
    hand = drawn / "P0001-LH.jpg"
    shutil.copy(hand, folder / "P0001-LH.jpg")
    pixels = cv2.imread(str(hand), cv2.IMREAD_GRAYSCALE)
    film = a_film_of(pixels, "japanese", Laterality="L", BodyPartExamined="HAND")
    (folder / "one.dcm").write_bytes(film)
    (folder / "broken.dcm").write_bytes(film[:400])
    return folder


@pytest.fixture(scope="module")
def written(films):
    """Documents in a folder among the films, and what the command said."""
    folder = films / "documents"
    done = score(films, "--dicom", folder, "--fhir", folder, "--hl7", folder)
    assert done.exit_code == 4, done.output
    return films / "documents", done


def test_a_dicom_film_gets_report_picture_and_bundle(written):
    folder, _ = written
    names = sorted(path.name for path in folder.iterdir())
    assert names == [
        "P0001-LH_0.fhir.json", "P0001-LH_0.hl7", "broken_0.fhir.json", "broken_0.hl7",
        "one_0.fhir.json", "one_0.hl7", "one_0.sc.dcm", "one_0.sr.dcm",
    ]  # fmt: skip
    report, picture = dcmread(folder / "one_0.sr.dcm"), dcmread(folder / "one_0.sc.dcm")
    assert report.PatientName == picture.PatientName == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert report.SOPClassUID.name == "Comprehensive 3D SR Storage"
    assert picture.SOPClassUID.name == "Secondary Capture Image Storage"


def test_a_film_that_is_no_dicom_object_is_named(written):
    _, done = written
    assert (
        "P0001-LH.jpg: no DICOM documents: the film is no DICOM object (fix: --fhir" in done.stderr
    )
    assert "broken.dcm: no DICOM documents: its DICOM tags cannot be read" in done.stderr


def test_a_jpegs_bundle_holds_neither_its_name_nor_its_patient(written):
    folder, _ = written
    text = (folder / "P0001-LH_0.fhir.json").read_text()
    assert "P0001" not in text
    kinds = {entry["resource"]["resourceType"] for entry in json.loads(text)["entry"]}
    assert kinds == {"DiagnosticReport", "Observation", "ImagingStudy", "Device"}
    message = (folder / "P0001-LH_0.hl7").read_text()
    assert "P0001" not in message
    assert "PID|" not in message


def test_a_message_states_what_is_asked_for_and_nothing_else(films, tmp_path):
    done = score(films / "one.dcm", "--hl7", tmp_path, "--hl7-identifiers", "accession_number")
    assert done.exit_code in {0, 3}, done.output
    message = (tmp_path / "one_0.hl7").read_bytes().decode()
    assert "A-4711" in message
    assert "P-77" not in message


def test_a_second_call_writes_the_same_bytes_and_scores_no_document(written, films):
    folder, first = written
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = score(films, "--dicom", folder, "--fhir", folder, "--hl7", folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert again.stderr == first.stderr


def test_the_older_class_is_written_on_request(films, tmp_path):
    done = score(films / "one.dcm", "--dicom", tmp_path, "--sr-class", "2d")
    assert done.exit_code in {0, 3}, done.output
    assert dcmread(tmp_path / "one_0.sr.dcm").SOPClassUID.name == "Comprehensive SR Storage"


def test_without_highdicom_the_command_ends_before_it_scores(films, tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "find_spec", lambda _name: None)
    done = score(films / "one.dcm", "--dicom", tmp_path / "d")
    assert done.exit_code == 2
    assert "fix: pip install 'sharpedge[dicom]'" in done.stderr
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("option", ["--dicom", "--fhir"])
def test_a_file_in_place_of_the_folder_is_named(films, option):
    done = score(films / "one.dcm", option, films / "broken.dcm")
    assert done.exit_code == 2
    assert f"broken.dcm: is a file; {option} takes a folder" in done.stderr
