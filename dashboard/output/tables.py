"""Tables as CSV, Excel workbook and PDF, each with the notice.

Layer: dashboard; pure, but for the answer that it makes. No cell is ever read as a formula.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from fpdf import FPDF
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.utils.exceptions import IllegalCharacterError
from starlette.responses import Response

from edge import __version__
from edge.contract.vocabulary import DISCLAIMER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

KINDS = ("csv", "xlsx", "pdf")
NOTICE = f"{DISCLAIMER.capitalize()}."
_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pdf": "application/pdf",
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_file(
    kind: str, title: str, name: str, header: Sequence[str], rows: Iterable[Sequence[object]],
    below: Sequence[str] = (),
) -> Response:  # fmt: skip
    """Give a table as a file to be saved.

    Parameters
    ----------
    kind
        One of `KINDS`.
    title
        Heading, of PDF and workbook.
    name
        Name of the file, without its ending.
    header, rows
        The table; None is an empty cell.
    below
        Sentences that belong to the table.
    """
    make = {"csv": as_csv, "xlsx": as_xlsx, "pdf": as_pdf}[kind]
    data = make(title, header, rows, (*below, NOTICE))
    headers = {"content-disposition": f'attachment; filename="{name}.{kind}"'}
    return Response(data, media_type=_TYPES[kind], headers=headers)


def as_csv(
    _title: str, header: Sequence[str], rows: Iterable[Sequence[object]], below: Sequence[str]
) -> bytes:
    """Comma-separated, UTF-8; the last lines are the sentences below."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([_safe(cell) for cell in row] for row in rows)
    writer.writerows([line] for line in below)
    return text.getvalue().encode("utf-8")


def as_xlsx(
    title: str, header: Sequence[str], rows: Iterable[Sequence[object]], below: Sequence[str]
) -> bytes:
    """An Excel workbook of one sheet; texts are texts, whatever they begin with."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet(title[:31])
    sheet.freeze_panes = "A2"
    for row in (header, *rows, *([line] for line in below)):
        cells = []
        for value in row:
            cell = WriteOnlyCell(sheet)
            try:
                cell.value = value
            except IllegalCharacterError:
                cell.value = "".join(it for it in str(value) if it.isprintable())
            if isinstance(value, str):
                cell.data_type = "s"
            cells.append(cell)
        sheet.append(cells)
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


class _Pages(FPDF):
    def footer(self) -> None:
        """Write notice and page number below each page."""
        self.set_y(-10)
        self.set_font("Helvetica", size=8)
        self.cell(0, 5, f"{NOTICE} sharpedge {__version__}, page {self.page_no()}")


def as_pdf(
    title: str, header: Sequence[str], rows: Iterable[Sequence[object]], below: Sequence[str]
) -> bytes:
    """A PDF, A4 across, with the notice on each page."""
    pages = _Pages(orientation="landscape", format="A4")
    pages.set_margin(8)
    pages.set_title(title)
    pages.add_page()
    pages.set_font("Helvetica", "B", 14)
    pages.multi_cell(0, 8, _latin(title), new_x="LMARGIN", new_y="NEXT")
    pages.set_font("Helvetica", size=6.5)
    with pages.table(text_align="LEFT", line_height=3.2) as table:
        for cells in (header, *rows):
            row = table.row()
            for cell in cells:
                row.cell(_latin("" if cell is None else str(cell)))
    pages.ln(3)
    pages.set_font("Helvetica", size=8)
    for line in below:
        pages.multi_cell(0, 4, _latin(line), new_x="LMARGIN", new_y="NEXT")
    return bytes(pages.output())


def _safe(cell: object) -> object:
    """A cell that no spreadsheet runs as a formula."""
    if isinstance(cell, str) and cell.startswith(_FORMULA) and cell != "-":
        return f"'{cell}"
    return cell


def _latin(text: str) -> str:
    """The letters that the fonts of every PDF reader have."""
    return text.encode("latin-1", "replace").decode("latin-1")
