"""``--html`` without Jinja2: one line, before anything is read or measured."""

from __future__ import annotations

import importlib.util

import pytest
from typer.testing import CliRunner

from sharpedge.cli import app


@pytest.fixture
def no_jinja(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "jinja2" else find_spec(name, *rest),
    )


@pytest.mark.usefixtures("no_jinja")
@pytest.mark.parametrize("command", ["report", "phantoms", "painted", "films", "identity"])
def test_without_jinja_the_page_says_what_to_install(tmp_path, command):
    page = tmp_path / "report.html"
    done = CliRunner().invoke(
        app, ["evaluate", command, str(tmp_path / "none"), "--html", str(page)]
    )
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'sharpedge[evaluate]'" in done.stderr
    assert not page.exists()
