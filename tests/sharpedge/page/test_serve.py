"""The page as a process: addresses, TLS, Unix socket, the command's mistakes."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from appliance import ROOT, free_port, until
from certificates import certificate

from edge.errors import ConfigError
from sharpedge.page.serve import At, serve
from sharpedge.page.sign_in import page_token


@pytest.fixture
def start(tmp_path):
    started = []

    def begin(*words):
        command = [sys.executable, "-X", "dev", "-m", "sharpedge.cli", "page", "--state", tmp_path]
        command += ["--socket", tmp_path / "none.sock", *words]
        piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen([*map(str, command)], cwd=ROOT, **piped))
        return started[-1]

    yield begin
    for it in started:
        it.terminate()
        it.communicate(timeout=20)


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def test_it_serves_loopback_alone_and_ends_with_status_0(start):
    port = free_port()
    it = start("--port", port)
    until(lambda: answers(port))
    found = Path("/proc/net/tcp").read_text().splitlines()[1:]
    listening = [it.split()[1] for it in found if it.split()[3] == "0A"]
    # 127.0.0.1 as the kernel writes it.
    assert [it for it in listening if it.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/sign-in")
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.getheader("server") is None
    assert b"Sign in" in answer.read()
    connection.close()
    it.terminate()
    out, err = it.communicate(timeout=20)
    assert it.returncode == 0
    assert err == ""
    assert "research use only" in out


def test_a_port_in_use_is_told_with_a_fix_before_any_address(start):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        it = start("--port", port)
        out, err = it.communicate(timeout=30)
    assert it.returncode == 2
    assert "page:" not in out
    assert f"the page cannot listen at 127.0.0.1:{port} (Address already in use); fix:" in err
    assert len(err.splitlines()) == 1


def test_it_serves_a_unix_socket(start, tmp_path):
    path = tmp_path / "page.sock"
    start("--uds", path)
    until(path.exists)
    with socket.socket(socket.AF_UNIX) as sock:
        until(lambda: sock.connect_ex(str(path)) == 0)
        sock.sendall(b"GET /sign-in HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 200")


def test_it_serves_tls_with_a_certificate_and_sets_cookies_for_tls_alone(start, tmp_path):
    ca = certificate(tmp_path, "ca", days=2)
    certificate(tmp_path, "page", days=2, ca=ca)
    port = free_port()
    start("--port", port, "--certificate", tmp_path / "page.pem", "--key", tmp_path / "page.key")
    until(lambda: answers(port))
    token = (tmp_path / "page.token").read_text().strip()
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    context.check_hostname = False
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    headers = {"Origin": f"https://127.0.0.1:{port}"}
    connection.request("POST", "/sign-in", f"name=Anna&token={token}", headers)
    answer = connection.getresponse()
    assert answer.status == 303
    assert "Secure" in answer.getheader("set-cookie")
    connection.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "box.example"])  # noqa: S104
def test_a_network_address_without_tls_is_refused(tmp_path, host):
    at = At(host, 8480, None, (), None, None)
    with pytest.raises(ConfigError, match="in the clear; fix:"):
        serve(tmp_path / "s", tmp_path, at)


def test_the_token_is_shown_and_half_of_a_certificate_is_wrong_usage(start, tmp_path):
    refused = start("--show-token")
    assert "no page was started" in refused.communicate(timeout=20)[1]
    assert not (tmp_path / "page.token").exists()
    page_token(tmp_path)
    out, _ = start("--show-token").communicate(timeout=20)
    assert out.strip() == (tmp_path / "page.token").read_text().strip()
    it = start("--key", os.devnull)
    assert "--certificate and --key" in it.communicate(timeout=20)[1]
    assert it.returncode == 2
