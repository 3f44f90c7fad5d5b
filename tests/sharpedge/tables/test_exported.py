"""Exported tables: a row a limb, and RA2's columns that its reader takes."""

from __future__ import annotations

import csv

import pytest
from limb_results import a_result
from recorded_films import RecordedFilms

from edge.anatomy import Limb
from edge.model import Laterality
from phantom.ra2_columns import HEADER, PATIENT_COLUMN, SCORE_COLUMNS
from sharpedge.tables.cells import write_csv_file
from sharpedge.tables.exported import LIMB_HEADER, limb_rows, ra2_rows
from sharpedge.tables.journal_results import Span, results_of
from training.datasets.ra2 import is_ra2_table

MARCH = 1_772_323_200.0


@pytest.fixture
def films(tmp_path):
    it = RecordedFilms(tmp_path)
    yield it
    it.close()


def found(films):
    return results_of(films.folder, Span()).results


def test_a_row_names_result_film_device_and_pseudonyms(films):
    job = films.add(a_result(), MARCH, "A", "1.2.3")
    (row,) = (dict(zip(LIMB_HEADER, cells, strict=True)) for cells in limb_rows(found(films)))
    assert row["arrived"] == "2026-03-01T00:00:00Z"
    assert (row["job"], row["device"]) == (job, "north/r1/box")
    assert row["patient"] == films.pseudonym("A")
    assert row["file"] == f"film-{job}.jpg"
    assert row["erosion_sum"] == 10


def test_ra2_has_a_row_a_patient_with_the_latest_film_of_each_limb(films):
    films.add(a_result(grades={"MCP2": {"erosion": 5}}), MARCH, "A")
    missing = {"MCP2": {"erosion": None, "erosion_reason": "doubtful"}}
    films.add(a_result(grades=missing), MARCH + 86_400, "A")
    films.add(a_result(Limb.FOOT, laterality=Laterality.RIGHT), MARCH, "A")
    films.add(a_result(), MARCH, "B")
    rows = [dict(zip(HEADER, cells, strict=True)) for cells in ra2_rows(found(films))]
    assert {row[PATIENT_COLUMN] for row in rows} == {films.pseudonym("A"), films.pseudonym("B")}
    (first,) = (row for row in rows if row[PATIENT_COLUMN] == films.pseudonym("A"))
    # The later film leaves the grade out: the earlier one's must not fill the gap.
    assert first["LH_mcp_E__2"] is None
    assert first["LH_mcp_E__3"] == 1
    assert first["RF_mtp_J__ip"] == 2
    assert first["LF_mtp_E__1"] is None


def test_what_is_not_scored_stays_empty(films):
    films.add(a_result(), MARCH, "A")
    (cells,) = ra2_rows(found(films))
    row = dict(zip(HEADER, cells, strict=True))
    assert len(cells) == 90
    assert all(row[column.name] is None for column in SCORE_COLUMNS if column.joint is None)
    assert row["Overall_Tol"] is row["Overall_erosion"] is row["Overall_narrowing"] is None


def test_the_file_is_taken_for_an_ra2_table(films, tmp_path):
    films.add(a_result(), MARCH, "A")
    path = tmp_path / "ra2.csv"
    write_csv_file(path, HEADER, ra2_rows(found(films)))
    assert is_ra2_table(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        assert next(csv.reader(file)) == list(HEADER)


def test_a_film_of_nobody_known_stands_under_its_study(films):
    films.add(a_result(), MARCH)
    (cells,) = ra2_rows(found(films))
    assert cells[0] == found(films)[0].message.study
