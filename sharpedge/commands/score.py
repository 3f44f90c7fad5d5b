"""The command ``score``: files and folders without a broker.

Layer: sharpedge; parses, calls, prints.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sharpedge.commands.options import NOTICE, LimbOption, SideOption, fail, stated

if TYPE_CHECKING:
    from edge.model import Identifier, OperatorStatement
    from edge.pipeline.settings import PipelineSettings
    from edge.scoring.fallback import FallbackScorer
    from edge.scoring.score_files import ScoredFile, Wanted
    from sharpedge.documents import DocumentWriter


_NAMES = "all, none, or some of accession_number,study_instance_uid,patient_id"


class SrClassName(str, Enum):
    """Comprehensive 3D SR, or Comprehensive SR for older archives."""

    three = "3d"
    two = "2d"


def score(
    paths: Annotated[list[Path], typer.Argument(help="Films, or folders of films.")],
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON line per limb.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for labelled pictures and masks.")
    ] = None,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="With --out: also labels alone, as transparent PNG.")
    ] = False,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Table of one row a limb, as CSV.")
    ] = None,
    xlsx_file: Annotated[
        Path | None, typer.Option("--xlsx", help="The same table as an Excel workbook.")
    ] = None,
    dicom: Annotated[
        Path | None,
        typer.Option("--dicom", help="Folder for DICOM SR and Secondary Capture of DICOM films."),
    ] = None,
    sr_class: Annotated[
        SrClassName, typer.Option("--sr-class", help="SR class: Comprehensive 3D or 2D.")
    ] = SrClassName.three,
    fhir: Annotated[
        Path | None, typer.Option("--fhir", help="Folder for FHIR R4 bundles (JSON).")
    ] = None,
    hl7: Annotated[
        Path | None, typer.Option("--hl7", help="Folder for HL7 v2.5.1 messages (ORU^R01).")
    ] = None,
    csv_identifiers: Annotated[
        str, typer.Option("--csv-identifiers", help=f"Columns of --csv and --xlsx: {_NAMES}.")
    ] = "none",
    fhir_identifiers: Annotated[
        str, typer.Option("--fhir-identifiers", help=f"What --fhir states: {_NAMES}.")
    ] = "all",
    hl7_identifiers: Annotated[
        str, typer.Option("--hl7-identifiers", help=f"What --hl7 states: {_NAMES}.")
    ] = "all",
    limb: LimbOption = None,
    side: SideOption = None,
    recursive: Annotated[
        bool, typer.Option(help="Also look for films in folders inside the folders.")
    ] = True,
    accept_side_from_geometry: Annotated[
        bool,
        typer.Option(help="Score films whose side only the joints tell, instead of holding them."),
    ] = False,
    no_markers: Annotated[
        bool,
        typer.Option("--no-markers", help="Do not take the side from an L or R on the film."),
    ] = False,
    engines: Annotated[Path | None, typer.Option(help="Folder of built engines.")] = None,
) -> None:
    """Score files without a broker."""
    from edge.pipeline.settings import PipelineSettings
    from edge.scoring.score_files import (
        Wanted,
        exit_status,
        films_in,
        lacks_scorer,
        pair_pictures,
        score_files,
    )
    from edge.system.terminal import Progress, complain, say

    _check(paths, out, (csv_file, xlsx_file), overlay=overlay)
    word = stated(limb, side)
    columns = _identifiers("--csv-identifiers", csv_identifiers)
    stated_in = (
        _identifiers("--fhir-identifiers", fhir_identifiers),
        _identifiers("--hl7-identifiers", hl7_identifiers),
    )
    documents = _documents(dicom, fhir, hl7, sr_class, stated_in, word)
    apart = [folder.resolve() for folder in (dicom, fhir, hl7) if folder is not None]
    films = [
        film
        for film in films_in(paths, out, recursive=recursive)
        if not any(folder in film.resolve().parents for folder in apart) or film in paths
    ]
    if not films:
        fail("no film was found in what you named", 2)
    wanted = None if out is None else Wanted(out, overlays=overlay)
    settings = PipelineSettings(
        accept_side_from_geometry=accept_side_from_geometry, read_markers=not no_markers
    )
    scorer = _scorer(engines, wanted, settings)
    show = Progress("scoring")
    show(0, len(films))
    done: list[ScoredFile] = []
    for scored in score_files(scorer, films, wanted, lambda count: show(count, len(films)), word):
        done.append(scored)
        show.clear()
        _print(scored, json_lines=json_lines)
        if documents is not None:
            for lack in documents.write(scored):
                complain(f"{scored.path}: {lack}")
    pairs = [] if out is None else list(pair_pictures(done, out))
    _write_tables(done, csv_file, xlsx_file, columns)
    if not json_lines:
        say("\n".join([*(f"  {pair}" for pair in pairs), NOTICE]))
    results = [result for film in done for result in film.results]
    if lacks_scorer(results):
        fail("joints have no grades: the scorers are not installed (fix: sharpedge export)", 1)
    faults = any(film.fault is not None for film in done)
    raise typer.Exit(1 if faults else exit_status(results))


def _check(
    paths: list[Path], out: Path | None, tables: tuple[Path | None, ...], *, overlay: bool
) -> None:
    """End the command where what was asked for cannot be done, before any film is scored."""
    missing = [path for path in paths if not path.exists() and not path.is_symlink()]
    if missing:
        fail(f"{missing[0]}: no such file or folder", 2)
    if out is not None and out.exists() and not out.is_dir():
        fail(f"{out}: is a file; --out takes a folder (fix: --out {out.stem}-scored)", 2)
    if overlay and out is None:
        fail("--overlay has nowhere to write to (fix: add --out FOLDER)", 2)
    if tables[1] is not None:
        from sharpedge.tables.cells import require_xlsxwriter

        require_xlsxwriter(tables[1])
    for table in tables:
        if table is not None and table.is_dir():
            fail(f"{table}: is a folder; a table is a file (fix: {table / 'scores'})", 2)
        if table is not None and not table.absolute().parent.is_dir():
            fail(f"{table}: there is no folder {table.parent} (fix: mkdir -p {table.parent})", 2)


def _identifiers(option: str, text: str) -> tuple[Identifier, ...]:
    """Identifiers that an option names; ends the command where there is no such one."""
    from edge.model import Identifier

    if text in {"all", "none"}:
        return tuple(Identifier) if text == "all" else ()
    try:
        return tuple(dict.fromkeys(Identifier(word.strip()) for word in text.split(",")))
    except ValueError:
        fail(f"{option} {text}: takes {_NAMES}", 2)


def _documents(
    dicom: Path | None,
    fhir: Path | None,
    hl7: Path | None,
    sr_class: SrClassName,
    identifiers: tuple[tuple[Identifier, ...], tuple[Identifier, ...]],
    word: OperatorStatement | None,
) -> DocumentWriter | None:
    """Writer of the documents asked for; ends the command where they cannot be written."""
    if dicom is None and fhir is None and hl7 is None:
        return None
    from edge.model import SrClass
    from sharpedge.documents import DocumentWriter, WantedDocuments, lacks_highdicom

    for option, folder in (("--dicom", dicom), ("--fhir", fhir), ("--hl7", hl7)):
        if folder is not None and folder.exists() and not folder.is_dir():
            fail(f"{folder}: is a file; {option} takes a folder", 2)
    if dicom is not None and lacks_highdicom():
        fail("--dicom needs the package highdicom (fix: pip install 'sharpedge[dicom]')", 2)
    wanted = WantedDocuments(dicom, fhir, hl7, SrClass(sr_class.value), *identifiers)
    return DocumentWriter(wanted, word)


def _scorer(
    engines: Path | None, wanted: Wanted | None, settings: PipelineSettings
) -> FallbackScorer:
    from edge.engine.loader import load_engines
    from edge.scoring.fallback import FallbackScorer
    from edge.scoring.film_scorer import FilmScorer
    from edge.system.paths import built_engines
    from edge.system.terminal import complain

    def scorer_without(refused: frozenset[str]) -> FilmScorer:
        loaded = load_engines(engines or built_engines(), refuse=refused)
        if not refused:
            for refusal in loaded.refusals:
                complain(f"degraded: {refusal.stem}: {refusal.why} (fix: {refusal.fix})")
        return FilmScorer(loaded, settings, want_masks=wanted is not None)

    return FallbackScorer(scorer_without, lambda why: complain(f"degraded: {why}"))


def _print(scored: ScoredFile, *, json_lines: bool) -> None:
    from edge.scoring.score_files import as_json, as_text
    from edge.system.terminal import complain, say

    if scored.fault is not None:
        complain(f"{scored.path}: {scored.fault}")
    elif json_lines:
        for result in scored.results:
            say(as_json(result))
    else:
        say("\n".join([as_text(scored), *(f"  {picture}" for picture in scored.pictures)]))


def _write_tables(
    done: list[ScoredFile],
    csv_file: Path | None,
    xlsx_file: Path | None,
    identifiers: tuple[Identifier, ...],
) -> None:
    if csv_file is None and xlsx_file is None:
        return
    from sharpedge.tables.cells import write_csv_file, write_xlsx
    from sharpedge.tables.scored_files import header_of, rows_of

    header, rows = header_of(identifiers), list(rows_of(done, identifiers))
    if csv_file is not None:
        write_csv_file(csv_file, header, rows)
    if xlsx_file is not None:
        write_xlsx(xlsx_file, header, rows)
