"""The doctor's look at the DICOM receiver: each test breaks exactly one thing."""

from __future__ import annotations

import socket
import threading

import pytest
from appliance import free_port
from certificates import certificate
from doctor_box import box_in, fault, faults
from receiving import close_connections, serving

from edge.receive import receiver as process
from sharpedge.doctor import receiver
from sharpedge.doctor.certificates import check_certificates
from sharpedge.doctor.receiver import check_receiver


@pytest.fixture(scope="module")
def pems(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pems")
    authority = certificate(folder, "ca", days=90)
    ours = certificate(folder, "box", days=90, ca=authority)
    strangers = certificate(folder, "stranger", days=90)
    for key in folder.glob("*.key"):
        key.chmod(0o600)
    return {"ca": authority, "box": ours, "key": ours.with_suffix(".key"),
            "stranger": strangers, "stranger_key": strangers.with_suffix(".key")}  # fmt: skip


@pytest.fixture(autouse=True)
def close(monkeypatch):
    # A connection that was only opened is waited for at the receiver's stop.
    monkeypatch.setattr(process, "_STOP_S", 0.2)
    yield
    close_connections()


def checked(folder, port, **settings):
    """Findings about a site with these settings of ``[dicom]``."""
    (folder / "state" / "inbox").mkdir(parents=True, exist_ok=True)
    values = {"port": port, "callers": ("XRAY1",), "min_free_mib": 0, **settings}
    return list(check_receiver(box_in(folder, dicom=values)))


def test_nothing_is_said_where_there_is_no_receiver(tmp_path):
    assert list(check_receiver(box_in(tmp_path))) == []


def test_a_receiver_that_answers_is_in_order(tmp_path):
    with serving(tmp_path / "received") as it:
        findings = checked(tmp_path, it.port)
    assert faults(findings) == []
    assert [one.check for one in findings] == [
        receiver.CALLERS, receiver.INBOX, receiver.PORT, receiver.ECHO,
    ]  # fmt: skip
    # Nothing was stored.
    assert [p for p in (tmp_path / "received").iterdir() if not p.name.startswith(".")] == []


def test_one_that_does_not_run_is_found(tmp_path):
    found = fault(checked(tmp_path, free_port()), receiver.PORT)
    assert "systemctl enable --now sharpedge-receive" in found.fix


def test_a_host_without_an_address_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(receiver, "_LIMIT_S", 0.3)
    assert "dicom.host" in fault(checked(tmp_path, 1, host="nowhere.invalid"), receiver.PORT).fix


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_one_that_runs_with_other_callers_is_found(tmp_path):
    with serving(tmp_path / "received", callers=("OTHER",)) as it:
        found = fault(checked(tmp_path, it.port), receiver.ECHO)
    assert "rejects XRAY1" in found.what
    assert "systemctl restart" in found.fix


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_port_at_which_no_dicom_is_spoken_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(receiver, "_LIMIT_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            for _ in range(2):
                accepted, _ = server.accept()
                accepted.close()

        threading.Thread(target=answer, daemon=True).start()
        found = fault(checked(tmp_path, server.getsockname()[1]), receiver.ECHO)
    assert "no DICOM is spoken" in found.what


def test_a_title_that_stands_there_twice_is_found(tmp_path):
    found = fault(checked(tmp_path, free_port(), callers=("XRAY1", "xray1")), receiver.CALLERS)
    assert "XRAY1" in found.what


def test_our_own_title_among_the_callers_is_found(tmp_path):
    findings = checked(tmp_path, free_port(), callers=("SHARPEDGE",))
    assert "our own title" in fault(findings, receiver.CALLERS).what


def test_a_full_disk_is_found(tmp_path):
    found = fault(checked(tmp_path, free_port(), min_free_mib=1 << 40), receiver.INBOX)
    assert "refused below" in found.cause


def test_a_missing_inbox_is_found(tmp_path):
    box = box_in(tmp_path, dicom={"port": free_port(), "callers": ("XRAY1",)})
    assert "does not exist" in fault(list(check_receiver(box)), receiver.INBOX).what


def test_a_missing_library_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(receiver, "find_spec", lambda _name: None)
    assert "sharpedge[dicom]" in fault(checked(tmp_path, 104), receiver.LIBRARY).fix


def test_an_echo_goes_over_tls_where_the_receiver_has_it(tmp_path, pems):
    tls = {"certificate_file": pems["box"], "key_file": pems["key"]}
    with serving(tmp_path / "received", **tls) as it:
        assert faults(checked(tmp_path, it.port, **tls)) == []
    with serving(tmp_path / "received", ca_file=pems["ca"], **tls) as it:
        assert faults(checked(tmp_path, it.port, ca_file=pems["ca"], **tls)) == []


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_receiver_that_still_runs_without_tls_is_found(tmp_path, pems, monkeypatch):
    monkeypatch.setattr(receiver, "_LIMIT_S", 1.0)
    tls = {"certificate_file": pems["box"], "key_file": pems["key"]}
    with serving(tmp_path / "received") as it:
        found = fault(checked(tmp_path, it.port, **tls), receiver.ECHO)
    assert "TLS" in found.what


def test_where_only_modalities_have_a_certificate_the_echo_is_left_out(tmp_path, pems):
    tls = {"certificate_file": pems["stranger"], "key_file": pems["stranger_key"],
           "ca_file": pems["ca"]}  # fmt: skip
    with serving(tmp_path / "received", **tls) as it:
        findings = checked(tmp_path, it.port, **tls)
    assert [one.level for one in findings if one.check == receiver.ECHO] == ["skipped"]


def test_the_files_of_the_section_are_checked_as_the_broker_s_are(tmp_path, pems):
    dicom = {"port": 1, "callers": ("X",), "certificate_file": pems["box"],
             "key_file": pems["stranger_key"], "ca_file": tmp_path / "gone.pem"}  # fmt: skip
    findings = list(check_certificates(box_in(tmp_path, dicom=dicom)))
    assert "does not exist" in fault(findings, "dicom.ca_file").what
    assert "does not belong to" in fault(findings, "dicom.key_file").what
