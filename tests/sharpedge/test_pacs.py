"""``sharpedge pacs test``: up to a document of nobody that the PACS committed to."""

from __future__ import annotations

import json
from io import BytesIO

import pytest
from appliance import free_port
from doctor_box import fault, faults
from orthanc import HAS_DICOMWEB, ORTHANC, WHY_NOT, Orthanc
from pacs_peers import CAPTURE, REPORT, Pacs
from pydicom import dcmread
from pynetdicom.sop_class import Verification
from typer.testing import CliRunner

from edge.delivery.pacs.settings import PacsSettings
from edge.errors import ConfigError
from sharpedge import pacs as command
from sharpedge.cli import app
from sharpedge.doctor import pacs as checks
from sharpedge.pacs import COMMITMENT, STORE, steps

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture
def make_pacs():
    made = []

    def make(**options):
        made.append(Pacs(**{"classes": (Verification, REPORT, CAPTURE)} | options))
        return made[-1]

    yield make
    for it in made:
        it.stop()


def tried(port, **settings):
    values = {
        "enabled": True, "port": port, "called_ae_title": "TESTPACS", "connect_s": 2,
        "answer_s": 2, "commitment_s": 3, **settings,
    }  # fmt: skip
    return list(steps(PacsSettings(**values)))


def test_a_report_and_a_picture_of_nobody_are_stored_and_committed_to(make_pacs):
    pacs = make_pacs()
    findings = tried(pacs.port)
    assert faults(findings) == []
    assert [one.check for one in findings[-3:]] == [STORE, STORE, COMMITMENT]
    assert len(pacs.stored) == 2
    assert pacs.asked == [pacs.uids()]


def test_the_report_may_come_on_an_association_of_the_pacs_s_own(make_pacs):
    pacs = make_pacs()
    pacs.reports, pacs.report_port = "own", free_port()
    assert faults(tried(pacs.port, commitment_port=pacs.report_port)) == []


def test_a_report_that_comes_early_counts(make_pacs):
    pacs = make_pacs()
    pacs.reports = "early"
    assert faults(tried(pacs.port)) == []


def test_a_pacs_that_never_commits_is_found(make_pacs):
    pacs = make_pacs()
    pacs.reports = "never"
    found = fault(tried(pacs.port, commitment_s=0.5), COMMITMENT)
    assert "pacs.commitment_port" in found.fix
    found = fault(tried(pacs.port, commitment_s=0.5, commitment_port=free_port()), COMMITMENT)
    assert "as the place for its reports" in found.fix


def test_a_pacs_that_commits_with_a_failure_is_found(make_pacs):
    pacs = make_pacs()
    pacs.fails = lambda _uid: 0x0112
    found = fault(tried(pacs.port), COMMITMENT)
    assert "0112" in found.cause


def test_without_commitment_the_storing_is_the_last_step(make_pacs):
    pacs = make_pacs()
    findings = tried(pacs.port, commitment=False)
    assert faults(findings) == []
    assert findings[-1].check == STORE
    assert pacs.asked == []


@pytest.mark.parametrize(("status", "words"), [(0xA700, "disk"), (0xC000, "log"), (0x0122, "log")])
def test_a_pacs_that_does_not_store_is_found(make_pacs, status, words):
    pacs = make_pacs()
    pacs.answer = lambda _number, _uid: status
    findings = [one for one in tried(pacs.port, documents=("sr",)) if one.check == STORE]
    assert words in fault(findings, STORE).fix
    assert f"{status:04x}" in findings[0].cause
    assert pacs.asked == []


def test_a_remark_of_the_pacs_is_a_warning(make_pacs):
    pacs = make_pacs()
    pacs.answer = lambda _number, _uid: 0xB000
    findings = tried(pacs.port, documents=("sr",), commitment=False)
    assert fault(findings, STORE).level == "warning"


def test_a_pacs_that_aborts_in_the_middle_is_found(make_pacs):
    pacs = make_pacs()
    pacs.aborts = lambda _uid: True
    assert fault(tried(pacs.port), STORE)


def test_nothing_is_stored_where_a_step_before_fails(make_pacs):
    pacs = make_pacs(classes=(Verification, CAPTURE))
    findings = tried(pacs.port)
    assert fault(findings, checks.CLASSES)
    assert pacs.stored == []


def test_a_port_for_reports_that_the_appliance_has_is_no_fault(make_pacs):
    import socket

    pacs = make_pacs()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        findings = tried(pacs.port, commitment_port=taken.getsockname()[1])
    assert faults(findings) == []
    assert findings[-1].level == "skipped"
    assert "stop the appliance" in findings[-1].cause


def config_of(folder, text):
    path = folder / "c.toml"
    path.write_text(f"[folders]\nwatch = '{folder}/drop'\nstate = '{folder}/state'\n{text}")
    return str(path)


def test_the_command_prints_a_table_or_json_and_ends_with_the_status(make_pacs, tmp_path):
    port = make_pacs().port
    text = f'[pacs]\nenabled = true\nport = {port}\ncalled_ae_title = "TESTPACS"\n'
    config = config_of(tmp_path, text)
    done = CliRunner().invoke(app, ["pacs", "test", "--config", config])
    assert done.exit_code == 0, done.output
    assert "2 documents are committed to" in done.stdout
    assert "esearch use only" in done.stdout
    config = config_of(tmp_path, text.replace("TESTPACS", "WRONG"))
    done = CliRunner().invoke(app, ["pacs", "test", "--json", "--config", config])
    assert done.exit_code == 1
    body = json.loads(done.stdout)
    assert body["exit_status"] == 1
    assert body["findings"][-1]["check"] == checks.ASSOCIATION
    assert body["notice"]


def test_without_a_pacs_it_is_wrong_usage(tmp_path):
    with pytest.raises(ConfigError, match=r"fix: set it and the place in \[pacs\]"):
        command.run(config_of_path(tmp_path), machine=False)


def config_of_path(folder):
    from pathlib import Path

    return Path(config_of(folder, ""))


@pytest.mark.skipif(ORTHANC is None or not HAS_DICOMWEB, reason=WHY_NOT)
@pytest.mark.parametrize("transport", ["dicom", "stow"])
def test_orthanc_has_test_documents_of_a_patient_that_says_so(tmp_path, transport):
    it = Orthanc(tmp_path).start()
    try:
        findings = tried(
            it.port, transport=transport, url=f"http://127.0.0.1:{it.http}/dicom-web",
            commitment_port=it.box_port, connect_s=5, answer_s=10, commitment_s=20,
        )  # fmt: skip
        assert faults(findings) == []
        assert findings[-1].check == (COMMITMENT if transport == "dicom" else STORE)
        found = [dcmread(BytesIO(one)) for one in it.files()]
        tried(
            it.port, transport=transport, url=f"http://127.0.0.1:{it.http}/dicom-web",
            commitment=False, connect_s=5, answer_s=10,
        )  # fmt: skip
        # Each test stores objects of its own, in one study of the test's patient.
        assert it.count() == 4
        assert len(it.get("/patients")) == len(it.get("/studies")) == 1
    finally:
        it.stop()
    assert {one.Modality for one in found} == {"SR", "OT"}
    for one in found:
        assert one.PatientID == "SHARPEDGE-TEST"
        assert str(one.PatientName) == "TEST^SHARPEDGE"
        assert "no patient" in one.StudyDescription
