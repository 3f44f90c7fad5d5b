"""Where the operator socket lies, for the daemon and for a command."""

from __future__ import annotations

from pathlib import Path

from edge.operator.settings import (
    SERVICE_SOCKET,
    OperatorSettings,
    likely_sockets,
    serving_socket,
)


def test_the_service_serves_in_its_runtime_folder_and_others_in_their_state_folder(monkeypatch):
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/sharpedge")
    assert serving_socket(OperatorSettings(), Path("/s")) == SERVICE_SOCKET
    monkeypatch.delenv("RUNTIME_DIRECTORY")
    assert serving_socket(OperatorSettings(), Path("/s")) == Path("/s/operator.sock")


def test_a_command_looks_where_a_daemon_may_serve(monkeypatch):
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    found = likely_sockets(OperatorSettings(), Path("/s"))
    assert found == (Path("/s/operator.sock"), SERVICE_SOCKET)
    stated = OperatorSettings(socket=Path("/x/y.sock"))
    assert likely_sockets(stated, Path("/s")) == (serving_socket(stated, Path("/s")),)
