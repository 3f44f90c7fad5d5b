"""A patient's films over time as text, as an HTML page of one file, and as PDF.

Layer: sharpedge; pure functions, but for `write_pdf`. fpdf2 is imported when it is needed.
"""

from __future__ import annotations

import html
from importlib.util import find_spec
from typing import TYPE_CHECKING

from edge import __version__
from edge.model import DISCLAIMER
from sharpedge.tables.cells import TableError, unwritable
from sharpedge.tables.history import COMPARED, HEADER, SOURCE, rows_of

if TYPE_CHECKING:
    from pathlib import Path

    from sharpedge.tables.history import Visit

NOTICE = f"{DISCLAIMER.capitalize()}."
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
  color: #1a1a1a; background: #fff; }
table { border-collapse: collapse; width: 100%; }
th, td { border: 1px solid #999; padding: .4rem .6rem; text-align: left; vertical-align: top; }
th { background: #eee; }
.notice { font-weight: bold; }
@media (prefers-color-scheme: dark) {
  body { color: #eee; background: #161616; } th { background: #2b2b2b; }
}
"""


def title_of(patient: str) -> str:
    """Heading of a patient's page."""
    return f"Films of {patient} over time"


def as_text(patient: str, visits: list[Visit]) -> str:
    """A block for each visit, because a terminal is narrow."""
    lines = [title_of(patient)]
    for row in rows_of(visits):
        lines += ["", row[0]]
        width = max(map(len, HEADER))
        lines += [
            f"  {title:<{width}}  {cell}" for title, cell in zip(HEADER[1:], row[1:], strict=True)
        ]
    return "\n".join([*lines, "", SOURCE, COMPARED, NOTICE])


def as_html(patient: str, visits: list[Visit]) -> str:
    """A page that needs no other file."""
    head = "".join(f'<th scope="col">{html.escape(title)}</th>' for title in HEADER)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in rows_of(visits)
    )
    title = html.escape(title_of(patient))
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{_STYLE}</style>
<h1>{title}</h1>
<p class="notice">{NOTICE}</p>
<table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table>
<p>{html.escape(SOURCE)}</p>
<p>{html.escape(COMPARED)}</p>
<p>sharpedge {html.escape(__version__)}</p>
</html>
"""


def require_fpdf(path: Path) -> None:
    """Raise `TableError` where the package that writes PDF is missing."""
    if find_spec("fpdf") is None:
        raise TableError(
            f"{path}: a PDF needs the package fpdf2 "
            "(fix: pip install 'sharpedge[tables]'; or write --html)"
        )


def write_pdf(path: Path, patient: str, visits: list[Visit]) -> None:
    """Write a PDF, A4 across, with the notice on each page. Raises `TableError`."""
    require_fpdf(path)
    from fpdf import FPDF  # noqa: PLC0415 - of an extra

    class Page(FPDF):
        def footer(self) -> None:
            """Write notice and page number below each page."""
            self.set_y(-12)
            self.set_font("Helvetica", size=9)
            self.cell(0, 6, f"{NOTICE} sharpedge {__version__}, page {self.page_no()}")

    page = Page(orientation="landscape", format="A4")
    page.set_title(title_of(patient))
    page.add_page()
    page.set_font("Helvetica", "B", 14)
    page.multi_cell(0, 8, title_of(patient), new_x="LMARGIN", new_y="NEXT")
    page.set_font("Helvetica", size=9)
    with page.table(col_widths=(3, 3, 3, 3, 3, 4, 6, 6), text_align="LEFT") as table:
        for cells in (HEADER, *rows_of(visits)):
            row = table.row()
            for cell in cells:
                row.cell(cell)
    page.ln(4)
    for text in (SOURCE, COMPARED):
        page.multi_cell(0, 5, text, new_x="LMARGIN", new_y="NEXT")
    try:
        page.output(str(path))
    except OSError as error:
        raise TableError(unwritable(path, error)) from error
