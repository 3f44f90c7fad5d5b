import os
import shutil

import pytest
from certificates import certificate
from doctor_box import NOBODY, box_in, fault, faults

from sharpedge.doctor import certificates
from sharpedge.doctor.certificates import check_certificates

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def tls(tmp_path, *, days=400, **changed):
    ca = certificate(tmp_path, "ca", days=400)
    own = certificate(tmp_path, "box1", days=days, ca=ca)
    own.with_suffix(".key").chmod(0o600)
    files = {"ca_file": ca, "certificate_file": own, "key_file": own.with_suffix(".key")}
    return box_in(tmp_path, broker=files | changed)


def test_files_in_order_have_no_fault(tmp_path):
    assert faults(check_certificates(tls(tmp_path))) == []


def test_a_missing_authority_is_found(tmp_path):
    box = tls(tmp_path, ca_file=tmp_path / "none.pem")
    assert "does not exist" in fault(check_certificates(box), "broker.ca_file").what


def test_a_certificate_that_ends_soon_is_a_warning(tmp_path):
    it = fault(check_certificates(tls(tmp_path, days=3)), "broker.certificate_file")
    assert it.level == "warning"
    assert "in 3 days" in it.what


def test_an_ended_certificate_fails(tmp_path, monkeypatch):
    box = tls(tmp_path, days=3)
    later_s = certificates.time.time() + 5 * 86400
    monkeypatch.setattr(certificates.time, "time", lambda: later_s)
    it = fault(check_certificates(box), "broker.certificate_file")
    assert it.level == "failed"
    assert "ended on" in it.what


def test_a_file_that_is_no_certificate_is_found(tmp_path):
    (tmp_path / "der.pem").write_bytes(b"\x30\x82")
    box = tls(tmp_path, ca_file=tmp_path / "der.pem")
    assert "PEM" in fault(check_certificates(box), "broker.ca_file").what


def test_a_key_of_another_certificate_is_found(tmp_path):
    other = certificate(tmp_path, "other", days=9).with_suffix(".key")
    other.chmod(0o600)
    box = tls(tmp_path, key_file=other)
    assert "does not belong" in fault(check_certificates(box), "broker.key_file").what


def test_a_key_that_anybody_may_read_is_found(tmp_path):
    box = tls(tmp_path)
    box.config.broker.key_file.chmod(0o644)
    assert "every user" in fault(check_certificates(box), "broker.key_file").what


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to ask for another user")
def test_a_key_that_the_service_may_not_read_is_found(tmp_path):
    tls(tmp_path)
    box = box_in(tmp_path, uid=NOBODY, broker=tls(tmp_path).config.broker.model_dump())
    assert "may not read it" in fault(check_certificates(box), "broker.key_file").what


def test_an_empty_password_is_found(tmp_path):
    (tmp_path / "password").write_text("\n")
    (tmp_path / "password").chmod(0o600)
    box = box_in(tmp_path, broker={"username": "a", "password_file": tmp_path / "password"})
    assert "first line is empty" in fault(check_certificates(box), "broker.password_file").what
