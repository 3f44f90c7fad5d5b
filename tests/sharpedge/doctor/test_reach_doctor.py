import shutil
import socket
import threading

import pytest
from certificates import certificate
from doctor_box import fault, faults

from edge.delivery.settings import BrokerSettings
from sharpedge.doctor.reach import check_reach

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not installed"
)


def reach(settings, **changed):
    return list(check_reach(settings.model_copy(update={"connect_s": 3.0, **changed}), "doctor"))


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


@pytest.fixture
def tls(tmp_path, make_broker):
    """Settings for a broker with certificates; ``strict`` ones ask for the client's."""
    folder = tmp_path / "tls"
    folder.mkdir()
    ca = certificate(folder, "ca", days=9)

    def make(*, strict=False, days=90):
        server = certificate(folder, "server", days=days, ca=ca)
        port = free_port()
        extra = f"listener {port} 127.0.0.1\ncafile {ca}\ncertfile {server}\n"
        extra += f"keyfile {server.with_suffix('.key')}\n"
        if strict:
            extra += "require_certificate true\n"
        make_broker(extra)
        return BrokerSettings(port=port, ca_file=ca)

    return make


def test_a_broker_in_order_has_no_fault(broker):
    found = reach(broker.settings)
    assert faults(found) == []
    assert "MQTT 5" in found[-1].what


def test_a_name_without_an_address_is_found(broker):
    it = fault(reach(broker.settings, host="no-such-broker.invalid"), "broker, name")
    assert "no-such-broker.invalid" in it.what


def test_a_name_server_that_does_not_answer_is_found_within_the_limit(monkeypatch):
    never = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [never.wait()])
    it = fault(reach(BrokerSettings(host="hangs.example"), connect_s=1.0), "broker, name")
    assert "no answer of the name service within 1 s" in it.cause
    never.set()


def test_a_port_where_nobody_listens_is_found():
    port = free_port()
    it = fault(reach(BrokerSettings(port=port)), "broker, port")
    assert f"127.0.0.1:{port}" in it.what
    assert "refused" in it.what


def test_another_program_on_the_port_is_found():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            for _ in range(3):
                stream, _ = server.accept()
                with stream:
                    stream.sendall(b"220 mail ready\r\n")

        threading.Thread(target=answer, daemon=True).start()
        found = reach(BrokerSettings(port=server.getsockname()[1]))
    assert "does not answer MQTT" in fault(found, "broker, TLS").what


@needs_openssl
def test_a_port_with_tls_and_no_authority_in_the_configuration_is_found(tls):
    it = fault(reach(tls(), ca_file=None), "broker, TLS")
    assert "expects TLS" in it.what
    assert "ca_file" in it.fix


@needs_openssl
def test_a_plain_port_with_an_authority_in_the_configuration_is_found(broker, tmp_path):
    ca = certificate(tmp_path, "ca", days=9)
    it = fault(reach(broker.settings, ca_file=ca), "broker, TLS")
    assert "without TLS" in it.what


@needs_openssl
def test_an_authority_that_did_not_sign_the_brokers_certificate_is_found(tls, tmp_path):
    other = certificate(tmp_path, "other", days=9)
    it = fault(reach(tls(), ca_file=other), "broker, TLS")
    assert "not accepted" in it.what
    assert "ca_file" in it.fix


@needs_openssl
def test_a_certificate_for_another_name_is_found(tls, monkeypatch):
    settings = tls()
    known = socket.getaddrinfo

    def named(host, *rest, **more):
        return known("127.0.0.1" if host == "broker.clinic" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", named)
    it = fault(reach(settings, host="broker.clinic"), "broker, TLS")
    assert "subjectAltName" in it.fix


@needs_openssl
def test_a_broker_that_wants_our_certificate_is_found(tls):
    it = fault(reach(tls(strict=True)), "broker, TLS")
    assert "certificate_file" in it.fix


@needs_openssl
def test_a_brokers_certificate_that_ends_soon_is_a_warning(tls):
    it = fault(reach(tls(days=5)), "broker, TLS")
    assert it.level == "warning"
    assert "in 5 days" in it.what


@needs_openssl
def test_tls_in_order_has_no_fault(tls):
    found = reach(tls())
    assert faults(found) == []
    assert "TLSv1" in next(it.what for it in found if it.check == "broker, TLS")


def test_a_user_that_the_broker_does_not_know_is_found(make_broker, tmp_path):
    (tmp_path / "passwd").write_text("")
    strict = make_broker(f"allow_anonymous false\npassword_file {tmp_path / 'passwd'}\n")
    it = fault(reach(strict.settings), "broker, answer")
    assert "user: none" in it.cause
    assert "broker.username" in it.fix


def test_a_silent_broker_is_found(broker):
    broker.pause()
    try:
        found = reach(broker.settings, connect_s=0.5)
    finally:
        broker.resume()
    assert faults(found)
