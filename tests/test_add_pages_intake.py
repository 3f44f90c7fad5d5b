"""The page on adding an intake, followed: its module brings a film to a running appliance."""

from __future__ import annotations

import http.client
import importlib
import re
import sys
import threading
from pathlib import Path

import pytest
from appliance import until
from fixtures import broker, make_appliance, subscriber
from stand_in import film_bytes

__all__ = ["broker", "make_appliance", "subscriber"]

PAGE = Path(__file__).resolve().parents[1] / "docs" / "add-intake.md"


@pytest.fixture
def upload(tmp_path, monkeypatch):
    """The module of the page."""
    module = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[0]
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "upload.py").write_text(module, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "page"))
    yield importlib.import_module("upload")
    sys.modules.pop("upload")


@pytest.fixture
def put(upload):
    """Start the page's server on a folder; gives a function that sends a body."""
    servers = []

    def start(folder):
        servers.append(upload.server(folder))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()

        def send(data, length=None):
            line = http.client.HTTPConnection("127.0.0.1", servers[-1].server_port, timeout=20)
            line.putrequest("PUT", "/LAST^FIRST.dcm")
            line.putheader("Content-Length", str(len(data) if length is None else length))
            line.endheaders(data)
            if length is not None:
                line.close()
                return None
            status = line.getresponse().status
            line.close()
            return status

        return send

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_film_that_is_sent_is_scored(broker, subscriber, make_appliance, put):
    it = make_appliance(broker.port).start()
    send = put(it.drop)
    assert send(film_bytes("n=1")) == 201
    (result,) = subscriber.wait("result", 1)
    until(lambda: it.states() == {1: "acked"})
    assert "LAST" not in it.log()
    assert result


def test_the_file_is_there_whole_before_the_answer_and_not_named_by_the_network(tmp_path, put):
    folder = tmp_path / "drop"
    folder.mkdir()
    assert put(folder)(b"the bytes of a film") == 201
    (path,) = folder.iterdir()
    assert path.read_bytes() == b"the bytes of a film"
    assert "LAST" not in path.name


def test_a_body_that_ends_early_or_is_empty_leaves_no_file(tmp_path, put):
    folder = tmp_path / "drop"
    folder.mkdir()
    send = put(folder)
    send(b"half", length=100)
    assert send(b"") == 413
    assert list(folder.iterdir()) == []
