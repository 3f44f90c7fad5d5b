"""Writes rows as CSV or as an Excel workbook; no cell is taken for a formula.

Layer: sharpedge; writes one file or a stream. XlsxWriter is imported when it is needed.
"""

from __future__ import annotations

import csv
from importlib.util import find_spec
from typing import TYPE_CHECKING

from edge.errors import EdgeError
from edge.model import DISCLAIMER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from typing import TextIO

Cell = str | int | float | None

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""First characters by which a spreadsheet takes a text for a formula (OWASP, CSV injection)."""


class TableError(EdgeError):
    """A table cannot be written; the message gives the cause and the fix."""


def plain(cell: Cell) -> Cell:
    """A cell that no spreadsheet takes for a formula: such a text gets an apostrophe."""
    if isinstance(cell, str) and cell.startswith(_FORMULA):
        return f"'{cell}"
    return cell


def write_csv(stream: TextIO, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Write a header and rows, lines ended as RFC 4180 has it; no grade is an empty cell."""
    writer = csv.writer(stream)
    writer.writerow(header)
    for row in rows:
        writer.writerow(["" if cell is None else plain(cell) for cell in row])


def write_csv_file(path: Path, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Write a CSV file in UTF-8 with the mark that Excel needs. Raises `TableError`."""
    try:
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            write_csv(file, header, rows)
    except OSError as error:
        raise TableError(unwritable(path, error)) from error


def require_xlsxwriter(path: Path) -> None:
    """Raise `TableError` where the package that writes workbooks is missing."""
    if find_spec("xlsxwriter") is None:
        raise TableError(
            f"{path}: an Excel workbook needs the package XlsxWriter "
            "(fix: pip install 'sharpedge[tables]'; or write --csv)"
        )


def write_xlsx(
    path: Path, header: Sequence[str], rows: Iterable[Sequence[Cell]], name: str = "results"
) -> None:
    """Write an Excel workbook of one sheet, texts as texts; the notice stands in its own sheet.

    Raises `TableError` where XlsxWriter is missing or the file cannot be written.
    """
    require_xlsxwriter(path)
    import xlsxwriter  # noqa: PLC0415 - of an extra
    from xlsxwriter.exceptions import XlsxWriterException  # noqa: PLC0415 - as above

    plain_texts = {
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    try:
        with xlsxwriter.Workbook(str(path), plain_texts) as book:
            sheet = book.add_worksheet(name)
            bold = book.add_format({"bold": True})
            for column, title in enumerate(header):
                sheet.write_string(0, column, title, bold)
            for number, row in enumerate(rows, 1):
                for column, cell in enumerate(row):
                    if isinstance(cell, str):
                        sheet.write_string(number, column, cell)
                    elif cell is not None:
                        sheet.write_number(number, column, cell)
            sheet.freeze_panes(1, 1)
            book.add_worksheet("notice").write_string(0, 0, f"{DISCLAIMER.capitalize()}.")
    except (OSError, XlsxWriterException) as error:
        raise TableError(unwritable(path, error)) from error


def unwritable(path: Path, error: Exception) -> str:
    """Say that a file cannot be written, and what to do."""
    why = getattr(error, "strerror", None) or str(error)
    return f"{path}: cannot be written ({why}); fix: name another file, or free the folder"
