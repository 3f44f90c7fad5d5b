"""Cells of CSV and Excel: what a spreadsheet opens, and nothing that it would carry out."""

from __future__ import annotations

import csv
import io

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharpedge.tables import cells
from sharpedge.tables.cells import TableError, plain, write_csv, write_csv_file, write_xlsx

HOSTILE = ("=1+1", "+A1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0")


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_begins_like_a_formula(text):
    assert plain(text)[0] == "'"


@given(st.text())
def test_whatever_a_text_is_its_cell_begins_harmlessly_and_ends_with_it(text):
    cell = plain(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert cell.endswith(text)


@pytest.mark.parametrize("number", [-3, 0, 2.5, None])
def test_numbers_stay_numbers(number):
    assert plain(number) == number


def test_csv_comes_back_as_it_was_written():
    stream = io.StringIO(newline="")
    write_csv(stream, ("a", "b", "c"), [("x,y", 'he said "no"', None), ("ä", -2, "=1")])
    rows = list(csv.reader(io.StringIO(stream.getvalue(), newline="")))
    assert rows == [["a", "b", "c"], ["x,y", 'he said "no"', ""], ["ä", "-2", "'=1"]]


def test_a_workbook_holds_texts_as_texts_and_grades_as_numbers(tmp_path):
    path = tmp_path / "a.xlsx"
    write_xlsx(path, ("text", "grade", "none"), [("=1+1", 3, None), ("http://x", 0, "05")])
    book = openpyxl.load_workbook(path)
    rows = [[cell.value for cell in row] for row in book["results"].iter_rows()]
    assert rows == [["text", "grade", "none"], ["=1+1", 3, None], ["http://x", 0, "05"]]
    assert book["results"]["A2"].data_type == "s"
    assert "not a medical device" in book["notice"]["A1"].value


def test_a_missing_package_is_said_with_the_fix(tmp_path, monkeypatch):
    monkeypatch.setattr(cells, "find_spec", lambda _name: None)
    with pytest.raises(TableError, match=r"needs the package XlsxWriter \(fix: pip install"):
        write_xlsx(tmp_path / "a.xlsx", (), [])


@pytest.mark.parametrize("write", [write_csv_file, write_xlsx])
def test_a_file_that_cannot_be_written_is_said(tmp_path, write):
    with pytest.raises(TableError, match=r"cannot be written .*fix: name another file"):
        write(tmp_path / "nowhere" / "a.table", ("a",), [])
