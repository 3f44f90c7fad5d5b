"""The command ``score``: files and folders without a broker.

Layer: sharpedge; parses, calls, prints.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sharpedge.commands.options import NOTICE, fail

if TYPE_CHECKING:
    from edge.model import LimbResult


def score(
    paths: Annotated[list[Path], typer.Argument(help="Films, or folders of films.")],
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON line per limb.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for labelled pictures and masks.")
    ] = None,
    accept_side_from_geometry: Annotated[
        bool,
        typer.Option(help="Score films whose side only the joints tell, instead of holding them."),
    ] = False,
    engines: Annotated[Path | None, typer.Option(help="Folder of built engines.")] = None,
) -> None:
    """Score files without a broker."""
    from edge.engine.loader import load_engines
    from edge.pipeline.settings import PipelineSettings
    from edge.scoring.fallback import FallbackScorer
    from edge.scoring.film_scorer import FilmScorer
    from edge.scoring.score_files import (
        as_json,
        as_text,
        exit_status,
        films_in,
        lacks_scorer,
        score_files,
    )
    from edge.system.paths import built_engines
    from edge.system.terminal import Progress, complain, say

    missing = [path for path in paths if not path.exists() and not path.is_symlink()]
    if missing:
        fail(f"{missing[0]}: no such file or folder", 2)
    films = list(films_in(paths, out))
    if not films:
        fail("no film was found in what you named", 2)
    settings = PipelineSettings(accept_side_from_geometry=accept_side_from_geometry)

    def scorer_without(refused: frozenset[str]) -> FilmScorer:
        loaded = load_engines(engines or built_engines(), refuse=refused)
        if not refused:
            for refusal in loaded.refusals:
                complain(f"degraded: {refusal.stem}: {refusal.why} (fix: {refusal.fix})")
        return FilmScorer(loaded, settings, want_masks=out is not None)

    scorer = FallbackScorer(scorer_without, lambda why: complain(f"degraded: {why}"))
    show = Progress("scoring")
    show(0, len(films))
    results: list[LimbResult] = []
    faults = 0
    for scored in score_files(scorer, films, out, lambda done: show(done, len(films))):
        results += scored.results
        show.clear()
        if scored.fault is not None:
            faults += 1
            complain(f"{scored.path}: {scored.fault}")
        elif json_lines:
            for result in scored.results:
                say(as_json(result))
        else:
            say("\n".join([as_text(scored), *(f"  {picture}" for picture in scored.pictures)]))
    if not json_lines:
        say(NOTICE)
    if lacks_scorer(results):
        fail("joints have no grades: the scorers are not installed (fix: sharpedge export)", 1)
    raise typer.Exit(1 if faults else exit_status(results))
