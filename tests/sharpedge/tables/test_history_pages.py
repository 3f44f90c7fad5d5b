"""The pages of a history say where their measure comes from and load nothing."""

from __future__ import annotations

import re
from datetime import date

import pytest
from limb_results import a_result

from edge.anatomy import Limb
from sharpedge.tables import history_pages
from sharpedge.tables.cells import TableError
from sharpedge.tables.history import Visit
from sharpedge.tables.history_pages import as_html, as_text, write_pdf

PATIENT = "0123456789abcdef" * 2
VISITS = [
    Visit(date(2025, 3, 1), "s1", {"LH": a_result(), "LF": a_result(Limb.FOOT)}),
    Visit(date(2026, 3, 1), "s2", {"LH": a_result(grades={"MCP2": {"erosion": 4}})}),
]
PROMISED = (
    "No smallest detectable change has been measured for this software",
    "Lassere et al., J Rheumatol 1999;26:731-739",
    "esearch use only, not a medical device",
    "+3 over 19 of 19 grades: within the readers' measurement error",
    PATIENT,
)


@pytest.mark.parametrize("make", [as_text, as_html])
def test_a_page_says_what_is_measured_and_against_what(make):
    page = make(PATIENT, VISITS).replace("&#x27;", "'")
    for words in PROMISED:
        assert words in page
    assert "progress" not in page


def test_the_html_page_loads_nothing_and_lets_nothing_through():
    page = as_html("<script>alert(1)</script>", VISITS)
    assert "<script" not in page
    body = page.partition("</title>")[2]
    assert not re.search(r"src|href|url\(|@import|https?://", body)


def test_a_pdf_is_written_with_the_notice_on_it(tmp_path):
    path = tmp_path / "history.pdf"
    write_pdf(path, PATIENT, VISITS * 30)
    data = path.read_bytes()
    assert data.startswith(b"%PDF-")
    assert data.count(b"/Type /Page\n") >= 2


def test_a_missing_package_is_said_with_the_fix(tmp_path, monkeypatch):
    monkeypatch.setattr(history_pages, "find_spec", lambda _name: None)
    with pytest.raises(TableError, match=r"needs the package fpdf2 \(fix: pip install"):
        write_pdf(tmp_path / "a.pdf", PATIENT, VISITS)


def test_a_pdf_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(TableError, match="cannot be written"):
        write_pdf(tmp_path / "nowhere" / "a.pdf", PATIENT, VISITS)
