"""STOW-RS: what the answer says, a real Orthanc, and services that are none."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from orthanc import HAS_DICOMWEB, ORTHANC, WHY_NOT, Orthanc
from pacs_peers import bare_peer, silent

from edge.delivery.pacs.answers import Verdict
from edge.delivery.pacs.stow import read_answer


def answer(tag, uid="1.2.3", **reasons):
    item = {"00081155": {"vr": "UI", "Value": [uid]}}
    item |= {key: {"vr": "US", "Value": [value]} for key, value in reasons.items()}
    return json.dumps({tag: {"vr": "SQ", "Value": [item]}}).encode()


@pytest.mark.parametrize(
    ("body", "verdict", "why"),
    [
        (answer("00081199"), Verdict.STORED, ""),
        (answer("00081199", **{"00081196": 0xB006}), Verdict.WARNED, "status_b006"),
        (answer("00081198", **{"00081197": 0xA700}), Verdict.BUSY, "status_a700"),
        (answer("00081198", **{"00081197": 0xC000}), Verdict.REFUSED, "status_c000"),
        (answer("00081198"), Verdict.REFUSED, "failed"),
        (answer("00081199", uid="1.2.4"), Verdict.REFUSED, "not_listed"),
        (b"{}", Verdict.REFUSED, "not_listed"),
        (b"", Verdict.REFUSED, "unreadable_answer"),
        (b"<html>", Verdict.REFUSED, "unreadable_answer"),
        (b"[]", Verdict.REFUSED, "unreadable_answer"),
        (b'{"00081198": 3}', Verdict.REFUSED, "unreadable_answer"),
        (b'{"00081199": {"Value": [null]}}', Verdict.REFUSED, "unreadable_answer"),
    ],
)
def test_only_an_instance_that_the_service_names_as_stored_is_stored(body, verdict, why):
    assert read_answer(body, "1.2.3") == (verdict, why)


@pytest.fixture
def stow_box(make_pacs_box):
    def make(url, **more):
        return make_pacs_box(1, transport="stow", url=url, **more)

    return make


def test_documents_go_to_an_orthanc_by_stow_and_the_answer_closes(tmp_path, stow_box):
    if ORTHANC is None or not HAS_DICOMWEB:
        pytest.skip(WHY_NOT)
    orthanc = Orthanc(tmp_path).start()
    try:
        box = stow_box(f"http://127.0.0.1:{orthanc.http}/dicom-web", answer_s=10)
        uids = box.film(1)
        sent = {path.read_bytes() for path in box.folder.iterdir()}
        box.start().run_until_closed()
        assert orthanc.count() == 2
        assert {orthanc.raw(f"/instances/{one}/file") for one in orthanc.get("/instances")} == sent
        assert len(uids) == 2
        assert list(box.folder.iterdir()) == []
        assert box.alerts.active() == ()
    finally:
        orthanc.stop()


class Service:
    """An HTTP service that answers as a test says; ``seen`` are the requests' headers."""

    def __init__(self, status, body=b"{}"):
        self.status, self.body, self.seen = status, body, []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                service.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(service.status)
                self.send_header("Content-Length", str(len(service.body)))
                self.end_headers()
                self.wfile.write(service.body)

            def log_message(self, *_):
                return

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/dw"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.mark.parametrize(
    ("status", "told"),
    [(401, "HTTP status 401"), (404, "HTTP status 404"), (302, "HTTP status 302"),
     (503, "http_503"), (429, "http_429")],
)  # fmt: skip
def test_what_says_nothing_of_the_document_is_waited_for(stow_box, status, told):
    service = Service(status)
    try:
        box = stow_box(service.url)
        box.film(1)
        box.start().run(lambda: box.alert("pacs"))
        assert told in box.alert("pacs")
        box.work(0.5)
        assert box.states() == ["queued", "queued"]
    finally:
        service.close()


def test_a_document_that_the_service_refuses_is_set_aside_in_the_end(stow_box):
    service = Service(400)
    try:
        box = stow_box(service.url, longest_retry_s=0.1)
        box.film(1)
        box.start().run(lambda: box.states() == ["set_aside", "set_aside"])
        assert set(box.why()) == {"http_400"}
    finally:
        service.close()


def test_user_and_password_go_with_each_request(stow_box, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    service = Service(503)
    try:
        box = stow_box(service.url, username="box1", password_file=secret)
        box.film(1)
        box.start().run(lambda: service.seen)
        path, headers = service.seen[0]
        assert path == "/dw/studies"
        assert headers["authorization"] == "Basic Ym94MTpzM2NyZXQ="
        assert headers["content-type"].startswith('multipart/related; type="application/dicom"')
    finally:
        service.close()


def slow_headers(connection):
    connection.recv(65536)
    for letter in b"HTTP/1.1 200 OK\r\nX: " + b"a" * 1000:
        connection.sendall(bytes([letter]))
        time.sleep(0.1)


@pytest.mark.parametrize("serve", [silent, slow_headers])
def test_a_service_that_does_not_answer_is_given_up_in_time(stow_box, serve):
    with bare_peer(serve) as port:
        box = stow_box(f"http://127.0.0.1:{port}/dw", answer_s=0.5)
        box.film(1)
        box.start().run(lambda: "no answer within pacs.answer_s" in box.alert("pacs"), 10)
        assert box.states() == ["queued", "queued"]


def test_a_service_that_is_away_is_told_with_the_cause(stow_box):
    box = stow_box("http://127.0.0.1:1/dw")
    box.film(1)
    box.start().run(lambda: box.alert("pacs"))
    assert "unreachable: Connection refused" in box.alert("pacs")
    assert "pacs.url" in box.alert("pacs")
