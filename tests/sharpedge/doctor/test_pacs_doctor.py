"""The doctor's look at the PACS: each test breaks exactly one thing; nothing is ever stored."""

from __future__ import annotations

import contextlib
import ssl
import time

import pytest
from appliance import free_port
from certificates import certificate
from doctor_box import box_in, fault, faults
from orthanc import HAS_DICOMWEB, ORTHANC, WHY_NOT, Orthanc
from pacs_peers import CAPTURE, REPORT, Pacs, bare_peer
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification

from sharpedge.doctor import pacs as checks
from sharpedge.doctor.pacs import check_pacs

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(scope="module")
def pems(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pems")
    authority = certificate(folder, "ca", days=90)
    for name in ("pacs", "box"):
        certificate(folder, name, days=90, ca=authority)
    certificate(folder, "other-ca", days=90)
    for key in folder.glob("*.key"):
        key.chmod(0o600)
    return folder


@pytest.fixture
def make_pacs():
    made = []

    def make(**options):
        made.append(Pacs(**options))
        return made[-1]

    yield make
    for it in made:
        it.stop()


def checked(folder, **settings):
    """Findings about a site with these settings of ``[pacs]``."""
    values = {"enabled": True, "called_ae_title": "TESTPACS", "connect_s": 2, "answer_s": 2,
              **settings}  # fmt: skip
    return list(check_pacs(box_in(folder, pacs=values)))


def server_tls(pems, *, asks=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pems / "pacs.pem", pems / "pacs.key")
    if asks:
        context.load_verify_locations(pems / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_nothing_is_said_where_there_is_no_pacs(tmp_path):
    assert list(check_pacs(box_in(tmp_path))) == []


def test_a_pacs_that_takes_everything_is_in_order_and_stores_nothing(tmp_path, make_pacs):
    pacs = make_pacs(classes=(Verification, REPORT, CAPTURE))
    findings = checked(tmp_path, port=pacs.port)
    assert faults(findings) == []
    assert [(one.check, one.level) for one in findings] == [
        (checks.NAME, "ok"), (checks.PORT, "ok"), (checks.TLS, "ok"), (checks.ASSOCIATION, "ok"),
        (checks.ECHO, "ok"), *[(checks.CLASSES, "ok")] * 3,
    ]  # fmt: skip
    assert (pacs.stored, pacs.asked) == ([], [])


def test_one_without_verification_is_in_order_too(tmp_path, make_pacs):
    findings = checked(tmp_path, port=make_pacs().port)
    assert faults(findings) == []
    assert [one.level for one in findings if one.check == checks.ECHO] == ["skipped"]


def test_a_name_without_an_address_is_found(tmp_path):
    assert "pacs.host" in fault(checked(tmp_path, host="pacs.invalid"), checks.NAME).fix


def test_a_closed_port_is_found(tmp_path):
    found = fault(checked(tmp_path, port=free_port()), checks.PORT)
    assert "refused" in found.what
    assert "pacs.port" in found.fix


def test_a_wrong_called_title_is_told_from_a_wrong_calling_title(tmp_path, make_pacs):
    port = make_pacs().port
    found = fault(checked(tmp_path, port=port, called_ae_title="WRONG"), checks.ASSOCIATION)
    assert "pacs.called_ae_title" in found.fix
    found = fault(checked(tmp_path, port=port, calling_ae_title="STRANGER"), checks.ASSOCIATION)
    assert "pacs.calling_ae_title" in found.fix
    assert "STRANGER" in found.what


def test_a_pacs_that_is_full_of_associations_is_found(tmp_path):
    entity = AE("TESTPACS")
    entity.add_supported_context(Verification)
    entity.maximum_associations = 0
    server = entity.start_server(("127.0.0.1", 0), block=False)
    try:
        found = fault(checked(tmp_path, port=server.server_address[1]), checks.ASSOCIATION)
    finally:
        server.shutdown()
    assert "try again later" in found.fix


def test_a_class_that_is_not_taken_is_found_each_with_its_fix(tmp_path, make_pacs):
    findings = checked(tmp_path, port=make_pacs(classes=(CAPTURE,)).port)
    assert 'pacs.sr_class = "2d"' in fault(findings, checks.CLASSES).fix
    findings = checked(tmp_path, port=make_pacs(classes=(REPORT,)).port)
    assert "take picture out of pacs.documents" in fault(findings, checks.CLASSES).fix


def test_a_pacs_without_commitment_is_found_only_where_the_site_wants_it(tmp_path, make_pacs):
    port = make_pacs(commitment=False).port
    assert "pacs.commitment = false" in fault(checked(tmp_path, port=port), checks.CLASSES).fix
    assert faults(checked(tmp_path, port=port, commitment=False)) == []


def test_a_pacs_that_takes_nothing_at_all_is_found(tmp_path, make_pacs):
    pacs = make_pacs(classes=("1.2.840.10008.5.1.4.1.1.2",), commitment=False)
    assert "pacs.documents" in fault(checked(tmp_path, port=pacs.port), checks.ASSOCIATION).fix


def test_an_echo_that_is_refused_is_found(tmp_path):
    entity = AE("TESTPACS")
    for one in (Verification, REPORT, CAPTURE):
        entity.add_supported_context(one)
    handlers = [(evt.EVT_C_ECHO, lambda _event: 0x0211)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        found = fault(
            checked(tmp_path, port=server.server_address[1], commitment=False), checks.ECHO
        )
    finally:
        server.shutdown()
    assert "0211" in found.what


def test_a_peer_that_accepts_and_says_nothing_is_found_within_its_limits(tmp_path):
    def say_nothing(connection):
        connection.recv(1 << 16)
        time.sleep(20)

    with bare_peer(say_nothing) as port:
        found = fault(checked(tmp_path, port=port, connect_s=0.5), checks.ASSOCIATION)
    assert "what else listens there" in found.fix


def test_a_program_that_speaks_something_else_is_found(tmp_path):
    with bare_peer(lambda connection: connection.sendall(b"SSH-2.0-x\r\n")) as port:
        assert fault(checked(tmp_path, port=port, connect_s=0.5), checks.ASSOCIATION)


def test_tls_is_told_from_plain_on_both_sides(tmp_path, make_pacs, pems):
    secure = make_pacs(tls=server_tls(pems)).port
    plain = make_pacs().port
    found = fault(checked(tmp_path, port=secure), checks.TLS)
    assert "expects TLS" in found.what
    assert "pacs.ca_file" in found.fix
    found = fault(checked(tmp_path, port=plain, ca_file=pems / "ca.pem"), checks.TLS)
    assert "without TLS" in found.what
    assert faults(checked(tmp_path, port=secure, ca_file=pems / "ca.pem")) == []


def test_a_certificate_of_another_authority_is_found(tmp_path, make_pacs, pems):
    secure = make_pacs(tls=server_tls(pems)).port
    found = fault(checked(tmp_path, port=secure, ca_file=pems / "other-ca.pem"), checks.TLS)
    assert "authority that signed" in found.fix


def test_a_certificate_for_another_name_is_found(tmp_path, make_pacs, pems):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pems / "other-ca.pem", pems / "other-ca.key")
    port = make_pacs(tls=context).port
    found = fault(checked(tmp_path, port=port, ca_file=pems / "other-ca.pem"), checks.TLS)
    assert "127.0.0.1 among its subjectAltName" in found.fix


def test_a_pacs_that_asks_for_our_certificate_is_found(tmp_path, make_pacs, pems):
    secure = make_pacs(tls=server_tls(pems, asks=True)).port
    found = fault(checked(tmp_path, port=secure, ca_file=pems / "ca.pem"), checks.TLS)
    assert "pacs.certificate_file" in found.fix
    ours = {"certificate_file": pems / "box.pem", "key_file": pems / "box.key"}
    assert faults(checked(tmp_path, port=secure, ca_file=pems / "ca.pem", **ours)) == []


def test_a_missing_library_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "find_spec", lambda _name: None)
    assert "sharpedge[dicom]" in fault(checked(tmp_path), checks.LIBRARY).fix


@contextlib.contextmanager
def http_service(status):
    """A service that answers every request with one status."""
    answer = f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\n{{}}".encode()

    def serve(connection):
        if connection.recv(1 << 16):
            connection.sendall(answer)

    with bare_peer(serve) as port:
        yield f"http://127.0.0.1:{port}/dicom-web"


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "pacs.username"), (404, "pacs.url"), (302, "pacs.url"), (503, "log")],
)
def test_a_service_that_does_not_let_us_in_is_found(tmp_path, status, words):
    with http_service(status) as url:
        found = fault(checked(tmp_path, transport="stow", url=url), checks.SERVICE)
    assert words in found.fix
    assert str(status) in found.cause


def test_a_service_that_is_silent_is_found(tmp_path):
    with bare_peer(lambda _connection: time.sleep(20)) as port:
        url = f"http://127.0.0.1:{port}/dicom-web"
        found = fault(checked(tmp_path, transport="stow", url=url, answer_s=0.5), checks.SERVICE)
    assert "pacs.answer_s" in found.cause


@pytest.mark.skipif(ORTHANC is None or not HAS_DICOMWEB, reason=WHY_NOT)
def test_orthanc_is_in_order_both_ways_and_has_nothing_afterwards(tmp_path):
    it = Orthanc(tmp_path).start()
    try:
        assert faults(checked(tmp_path, port=it.port, connect_s=5, answer_s=10)) == []
        url = f"http://127.0.0.1:{it.http}"
        stow = {"transport": "stow", "connect_s": 5, "answer_s": 10}
        assert faults(checked(tmp_path, url=f"{url}/dicom-web", **stow)) == []
        assert fault(checked(tmp_path, url=f"{url}/elsewhere", **stow), checks.SERVICE)
        assert it.count() == 0
    finally:
        it.stop()
