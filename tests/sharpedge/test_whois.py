"""``sharpedge whois``: what it prints, and its exit status."""

from __future__ import annotations

import json

import pytest
from held_films import Desk
from typer.testing import CliRunner

from edge.errors import ConfigError
from edge.model import Identifiers
from edge.operator.client import OperatorError
from edge.outputs.whois import FILE, Known, Whois
from sharpedge.cli import app

PSEUDONYM, OTHER = "a" * 32, "b" * 32
NOTICE = "esearch use only"


@pytest.fixture
def desk(tmp_path):
    it = Desk(tmp_path, whois_days=30.0)
    table = Whois(it.state / FILE, 30.0)
    joined = Identifiers(accession_number="A-4711", patient_id="P-77")
    table.note([(PSEUDONYM, Known(kind="study", stands_for="1.2.3", identifiers=joined))])
    table.close()
    it.wait()
    yield it
    it.close()


@pytest.fixture
def whois(tmp_path, monkeypatch):
    config = tmp_path / "c.toml"
    config.write_text(f"[folders]\nwatch = '{tmp_path}/drop'\nstate = '{tmp_path}/state'\n")
    monkeypatch.setenv("SHARPEDGE_CONFIG", str(config))
    return lambda *words: CliRunner().invoke(app, ["whois", *words])


@pytest.mark.usefixtures("desk")
def test_a_pseudonym_is_told_with_what_the_film_states(whois):
    done = whois(PSEUDONYM.upper())
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == f"{PSEUDONYM}: a study"
    assert [line.split()[-1] for line in lines[1:4]] == ["1.2.3", "A-4711", "P-77"]
    assert NOTICE in lines[-1]
    body = json.loads(whois(PSEUDONYM, "--json").stdout)
    assert body["known"]["identifiers"]["patient_id"] == "P-77"


@pytest.mark.usefixtures("desk")
def test_one_that_is_not_known_is_said_to_be_so(whois):
    done = whois(OTHER)
    assert done.exit_code == 1
    assert f"{OTHER}: is not known" in done.stderr


@pytest.mark.usefixtures("desk")
def test_who_has_asked_can_be_listed(whois):
    whois(PSEUDONYM)
    whois(OTHER)
    done = whois("--asked")
    assert [PSEUDONYM in done.stdout, OTHER in done.stdout] == [True, True]
    assert "2 questions" in done.stdout
    first, second = json.loads(whois("--asked", "--json").stdout)["questions"]
    assert (first["known"], second["known"]) == (True, False)


def test_nobody_answers_where_no_appliance_runs(whois, tmp_path):
    (tmp_path / "state").mkdir()
    done = whois(PSEUDONYM)
    assert isinstance(done.exception, OperatorError)
    assert "fix: start the appliance" in str(done.exception)


def test_what_is_no_pseudonym_is_wrong_usage(whois):
    assert isinstance(whois("3f2a").exception, ConfigError)
    assert whois().exit_code == 2
    assert whois(PSEUDONYM, "--asked").exit_code == 2
