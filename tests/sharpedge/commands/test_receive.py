"""The command ``receive``."""

from __future__ import annotations

import sys

import pytest
from typer.testing import CliRunner

import edge.receive
from sharpedge.cli import app


@pytest.fixture
def receive(tmp_path):
    def run(dicom):
        config = tmp_path / "c.toml"
        folders = f"[folders]\nwatch = '{tmp_path}/drop'\nstate = '{tmp_path}/state'\n"
        config.write_text(folders + dicom)
        return CliRunner().invoke(app, ["receive", "--config", str(config)])

    return run


def test_without_a_port_there_is_no_receiver(receive):
    done = receive("")
    assert done.exit_code == 2
    assert "fix: set port and callers" in done.output


def test_the_extra_that_is_missing_is_named(receive, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynetdicom", None)
    # Another test of this process may have imported it.
    monkeypatch.delitem(sys.modules, "edge.receive.receiver", raising=False)
    monkeypatch.delattr(edge.receive, "receiver", raising=False)
    done = receive('[dicom]\nport = 11112\ncallers = ["XRAY1"]\n')
    assert done.exit_code == 1
    assert "pip install 'sharpedge[dicom]'" in done.output
