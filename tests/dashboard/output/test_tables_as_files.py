"""Tables as files: no cell becomes a formula, no letter breaks a file."""

from __future__ import annotations

import csv
import io

import openpyxl
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.output.tables import NOTICE, as_csv, as_pdf, as_xlsx

CELLS = st.text(max_size=20) | st.integers(-5, 10**6) | st.none() | st.floats(0, 1)
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@given(rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=4))
@settings(max_examples=60, deadline=None)
def test_no_cell_of_any_text_is_a_formula(rows):
    head = ("a", "b", "c")
    text = as_csv("t", head, rows, (NOTICE,)).decode()
    found = list(csv.reader(io.StringIO(text, newline="")))
    assert found[0] == list(head)
    cells = [(cell, given) for row, kept in zip(found[1:], rows, strict=False)
             for cell, given in zip(row, kept, strict=True)]  # fmt: skip
    for cell, given_cell in cells:
        if isinstance(given_cell, str) and cell != "-":
            assert not cell.startswith(FORMULA)
    book = openpyxl.load_workbook(io.BytesIO(as_xlsx("t", head, rows, (NOTICE,))))
    types = {cell.data_type for row in book.worksheets[0].iter_rows() for cell in row}
    assert "f" not in types


def test_a_pdf_takes_letters_that_its_fonts_lack():
    rows = [("\N{GREEK SMALL LETTER ALPHA}", "ł", None)]
    data = as_pdf("T\N{SNOWMAN}", ("a", "b", "c"), rows, (NOTICE,))
    assert data.startswith(b"%PDF")
