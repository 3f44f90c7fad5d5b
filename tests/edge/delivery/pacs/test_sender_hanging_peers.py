"""A peer that hangs: each step has a deadline, the alert names peer, cause and fix, and goes."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from appliance import free_port, until
from certificates import certificate
from pacs_peers import bare_peer

from edge.delivery.pacs.dicom import DicomCarrier
from edge.delivery.pacs.steps import Steps

pytestmark = [
    # pynetdicom's own threads leave sockets of refused connections to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]
SHORT = {"connect_s": 0.3, "answer_s": 0.3}


def alert(sender, code):
    return next((it.detail for it in sender.alerts() if it.code == code), "")


def silent(connection):
    while connection.recv(65536):
        pass


def trickling(head):
    """A peer that sends ``head`` after a request, and then one byte after the other."""

    def serve(connection):
        connection.recv(65536)
        connection.sendall(head)
        while True:
            connection.sendall(b" ")
            time.sleep(0.05)

    return serve


ACCEPTANCE = trickling(b"\x02\x00\x00\x00\xff\x00")
HANDSHAKE = trickling(b"\x16\x03\x03\x40\x00")
HEADERS = trickling(b"HTTP/1.1 200 OK\r\nX: ")
BODY = trickling(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
LAST_BODY = trickling(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
NO_ANSWER, NO_TLS = "no answer within pacs.answer_s", "its TLS does not answer"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"), "ca", days=2)


@pytest.mark.parametrize(
    ("serve", "way", "told"),
    [
        (silent, "dicom", "it does not answer the association request"),
        (ACCEPTANCE, "dicom", "it does not answer the association request"),
        (silent, "dicom_tls", NO_TLS),
        (HANDSHAKE, "dicom_tls", NO_TLS),
        (silent, "http", NO_ANSWER),
        (HEADERS, "http", NO_ANSWER),
        (BODY, "http", NO_ANSWER),
        (LAST_BODY, "http", NO_ANSWER),
        (silent, "https", NO_TLS),
        (HANDSHAKE, "https", NO_TLS),
    ],
)  # fmt: skip
def test_a_peer_that_hangs_is_told_by_name_and_the_thread_goes_on(
    make_pacs_box, make_sender, authority, serve, way, told
):
    with bare_peer(serve) as port:
        url = f"{way}://127.0.0.1:{port}/dw"
        given = {"ca_file": authority} if way in {"dicom_tls", "https"} else {}
        given |= {"transport": "stow", "url": url} if way.startswith("http") else {}
        box = make_pacs_box(port, **SHORT, **given)
        box.film(1)
        sender = make_sender(box)
        until(lambda: alert(sender, "pacs"))
        assert told in alert(sender, "pacs")
        assert alert(sender, "pacs").startswith(f"{box.settings.place}: ")
        assert "; fix: " in alert(sender, "pacs")
        assert box.states() == ["queued", "queued"]
        # It looks at its rows, and stops, as it does without a peer that hangs.
        until(lambda: "pacs_undelivered" in {it.code for it in sender.alerts()})
        assert alert(sender, "pacs_hangs") == ""


def test_the_alert_goes_when_a_pacs_answers_again(make_pacs, make_pacs_box, make_sender):
    port = free_port()
    with bare_peer(silent, port):
        box = make_pacs_box(port, **SHORT)
        wanted = box.film(1)
        sender = make_sender(box, **SHORT)
        until(lambda: alert(sender, "pacs"))
    pacs = make_pacs(port=port)
    until(lambda: sender.alerts() == () and box.states() == ["closed", "closed"])
    assert pacs.uids() == wanted


@pytest.mark.parametrize("way", ["dicom", "http"])
def test_a_name_service_that_hangs_is_told_and_asked_once_at_a_time(
    pacs, make_pacs_box, make_sender, monkeypatch, way
):
    plain, answers, asked = socket.getaddrinfo, threading.Event(), []

    def hangs(host, *arguments, **more):
        if host != "pacs.example":
            return plain(host, *arguments, **more)
        asked.append(host)
        answers.wait(20)
        return plain("127.0.0.1", *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    url = f"http://pacs.example:{pacs.port}/dw"
    given = {"transport": "stow", "url": url} if way == "http" else {"host": "pacs.example"}
    box = make_pacs_box(pacs.port, **SHORT | given)
    box.film(1)
    sender = make_sender(box)
    try:
        until(lambda: "unresolved: no answer of the name service" in alert(sender, "pacs"))
        assert "pacs.example" in alert(sender, "pacs")
        assert "/etc/resolv.conf" in alert(sender, "pacs")
        until(lambda: alert(sender, "pacs_undelivered"))
        assert len(asked) == 1
    finally:
        answers.set()
    if way == "dicom":
        until(lambda: box.states() == ["closed", "closed"])
        until(lambda: sender.alerts() == ())


def test_a_step_that_no_deadline_ends_is_told_and_the_alert_goes_with_it(
    pacs, make_pacs_box, make_sender, monkeypatch
):
    over, plain = threading.Event(), DicomCarrier.open

    def hangs(self, classes):
        over.wait(20)
        plain(self, classes)

    monkeypatch.setattr(DicomCarrier, "open", hangs)
    monkeypatch.setattr("edge.delivery.pacs.steps._SLACK_S", 0.0)
    box = make_pacs_box(pacs.port, connect_s=0.1, answer_s=0.1)
    box.film(1)
    sender = make_sender(box, connect_s=1.0, answer_s=1.0)
    sender._steps.limit_s = 0.3
    try:
        until(lambda: alert(sender, "pacs_hangs"))
        assert f"TESTPACS at 127.0.0.1:{pacs.port}: delivery hangs: connecting: " in alert(
            sender, "pacs_hangs"
        )
        assert "; fix: " in alert(sender, "pacs_hangs")
    finally:
        over.set()
    until(lambda: sender.alerts() == () and box.states() == ["closed", "closed"])


def test_a_step_hangs_only_beyond_the_sum_of_its_limits(make_pacs_box, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    steps = Steps(make_pacs_box(1, connect_s=5.0, answer_s=30.0).settings)
    steps.begin("storing a document")
    now[0] += 65.0
    assert steps.hanging() is None
    now[0] += 0.1
    assert steps.hanging() == "storing a document"
    steps.begin("reading documents")
    assert steps.hanging() is None
