"""The commands ``results`` and ``history``: what the journal holds, as tables for people.

Layer: sharpedge; parses, calls, prints.
"""

from __future__ import annotations

import io
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sharpedge.commands.options import NOTICE, ConfigOption

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sharpedge.tables.cells import Cell


class TableLayout(str, Enum):
    """Layout of the exported table."""

    limbs = "limbs"
    ra2 = "ra2"


_From = Annotated[
    str | None,
    typer.Option("--from", help="First day or time (UTC): 2026-03-01, 2026-03-01T08:30."),
]
_To = Annotated[
    str | None, typer.Option("--to", help="Last day, or time that ends the span (UTC).")
]


def results(
    begin: _From = None,
    end: _To = None,
    patient: Annotated[
        str | None, typer.Option("--patient", help="Only of this pseudonym (its first digits).")
    ] = None,
    layout: Annotated[
        TableLayout, typer.Option(help="limbs: a row each; ra2: 90 columns, a row a patient.")
    ] = TableLayout.limbs,
    out: Annotated[
        Path | None, typer.Option("--out", help="CSV file; by default standard output.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Export the journal's results of a time span as CSV, in two layouts."""
    from edge.config import load
    from edge.system.terminal import complain, say
    from phantom.ra2_columns import HEADER as RA2_HEADER
    from sharpedge.tables.exported import limb_header, limb_rows, ra2_rows
    from sharpedge.tables.journal_results import results_of, span_of

    span = span_of(begin, end)
    it = load(config)
    found = results_of(it.state_folder, span, patient)
    if layout is TableLayout.ra2:
        rows = ra2_rows(found.results)
        _write(RA2_HEADER, rows, out)
    else:
        joined = it.joining.results_csv
        rows = list(limb_rows(found.results, joined))
        _write(limb_header(joined), rows, out)
    if found.damaged:
        complain(f"{found.damaged} results cannot be read (fix: sharpedge audit says which)")
    # Standard output may be the table itself.
    (complain if out is None else say)(f"{len(rows)} rows. {NOTICE}")
    raise typer.Exit(1 if found.damaged else 0)


def _write(header: Sequence[str], rows: Iterable[Sequence[Cell]], out: Path | None) -> None:
    from edge.system.terminal import say
    from sharpedge.tables.cells import write_csv, write_csv_file

    if out is not None:
        write_csv_file(out, header, rows)
        return
    text = io.StringIO(newline="")
    write_csv(text, header, rows)
    say(text.getvalue().replace("\r\n", "\n").rstrip("\n"))


def history(
    pseudonym: Annotated[str, typer.Argument(help="Of a patient; its first digits suffice.")],
    html_file: Annotated[
        Path | None, typer.Option("--html", help="Also write a page of one file.")
    ] = None,
    pdf_file: Annotated[Path | None, typer.Option("--pdf", help="Also write a PDF.")] = None,
    config: ConfigOption = None,
) -> None:
    """Show a patient's films over time, each change held against the smallest detectable one."""
    from edge.config import load
    from edge.system.terminal import complain, say
    from sharpedge.tables.cells import TableError, unwritable
    from sharpedge.tables.history import visits_of
    from sharpedge.tables.history_pages import as_html, as_text, require_fpdf, write_pdf
    from sharpedge.tables.journal_results import Span, results_of

    if pdf_file is not None:
        require_fpdf(pdf_file)
    found = results_of(load(config).state_folder, Span(), pseudonym)
    visits, patient = visits_of(found.results), found.pseudonym or pseudonym
    say(as_text(patient, visits))
    if html_file is not None:
        try:
            html_file.write_text(as_html(patient, visits), encoding="utf-8")
        except OSError as error:
            raise TableError(unwritable(html_file, error)) from error
    if pdf_file is not None:
        write_pdf(pdf_file, patient, visits)
    if found.damaged:
        complain(f"{found.damaged} results cannot be read (fix: sharpedge audit says which)")
    raise typer.Exit(1 if found.damaged else 0)
