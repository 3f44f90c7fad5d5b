"""The commands ``results`` and ``history``, over the journal of an appliance."""

from __future__ import annotations

import csv
import io

import pytest
from limb_results import a_result
from recorded_films import RecordedFilms
from typer.testing import CliRunner

from edge.journal.store import JournalError
from edge.model import Identifiers
from edge.outputs.settings import JoiningSettings
from sharpedge.cli import app

MARCH = 1_772_323_200.0
NOTICE = "Research use only, not a medical device."


@pytest.fixture
def films(tmp_path):
    it = RecordedFilms(tmp_path)
    it.add(a_result(), MARCH, "A", "s1")
    it.add(a_result(grades={"MCP2": {"erosion": 4}}), MARCH + 400 * 86_400, "A", "s2")
    it.add(a_result(), MARCH, "B", "s3")
    yield it
    it.close()


@pytest.fixture
def sharpedge(tmp_path, monkeypatch):
    config = tmp_path / "c.toml"
    config.write_text(f"[folders]\nwatch = '{tmp_path}/drop'\nstate = '{tmp_path}'\n")
    monkeypatch.setenv("SHARPEDGE_CONFIG", str(config))
    return lambda *arguments: CliRunner().invoke(app, [str(it) for it in arguments])


def test_results_go_to_standard_output_and_the_notice_beside_it(films, sharpedge):
    done = sharpedge("results", "--from", "2026-03-01", "--to", "2026-03-31")
    assert done.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert {row["patient"] for row in rows} == {films.pseudonym("A"), films.pseudonym("B")}
    assert f"2 rows. {NOTICE}" in done.stderr


def test_results_of_one_patient_go_to_a_file_in_ra2_s_columns(films, sharpedge, tmp_path):
    out = tmp_path / "ra2.csv"
    patient = films.pseudonym("A")
    done = sharpedge("results", "--patient", patient[:10], "--layout", "ra2", "--out", out)
    assert done.stdout == f"1 rows. {NOTICE}\n"
    with out.open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (len(row), row["Patient_ID"], row["LH_mcp_E__2"]) == (90, patient, "4")


def test_history_prints_and_writes_pages(films, sharpedge, tmp_path):
    patient = films.pseudonym("A")
    page, pdf = tmp_path / "h.html", tmp_path / "h.pdf"
    done = sharpedge("history", patient[:12], "--html", page, "--pdf", pdf)
    assert done.exit_code == 0, done.output
    assert patient in done.stdout
    assert "+3 over 19 of 19 grades: within the readers' measurement error" in done.stdout
    assert NOTICE in done.stdout
    assert patient in page.read_text("utf-8")
    assert pdf.read_bytes().startswith(b"%PDF")


def test_a_pseudonym_that_is_not_known_is_said(films, sharpedge):  # noqa: ARG001 - the journal
    done = sharpedge("history", "ffffffffffffffffffffffffffffffff")
    assert isinstance(done.exception, JournalError)


def test_a_row_that_cannot_be_read_is_told_and_ends_with_1(films, sharpedge):
    films.store.db.execute("UPDATE outbox SET payload = '{}' WHERE job = 3")
    done = sharpedge("results")
    assert done.exit_code == 1
    assert "1 results cannot be read (fix: sharpedge audit says which)" in done.stderr


def test_results_have_the_identifiers_that_the_site_has_switched_on(tmp_path):
    joining = JoiningSettings(results_csv=("patient_id", "accession_number"))
    films = RecordedFilms(tmp_path, joining)
    films.add(a_result(), MARCH, "A", "s1", identifiers=Identifiers(patient_id="=P-77"))
    films.close()
    config = tmp_path / "c.toml"
    config.write_text(
        f"[folders]\nwatch = '{tmp_path}/drop'\nstate = '{tmp_path}'\n"
        '[joining]\nresults_csv = ["patient_id", "accession_number"]\n'
    )
    done = CliRunner().invoke(app, ["results", "--config", str(config)])
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    # A value that a spreadsheet would take for a formula is written as text.
    assert (row["patient_id"], row["accession_number"]) == ("'=P-77", "")
