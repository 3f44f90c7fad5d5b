"""The command ``archive``: folders of any size into one Parquet file.

Layer: sharpedge; parses, calls, prints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharpedge.commands.options import NOTICE, EnginesOption, fail


def archive(
    source: Annotated[
        Path, typer.Argument(help="Folder of films, or a text file with a path a line.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write: a row a film.")],
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Worker processes; each has engines of its own.")
    ] = 1,
    ray: Annotated[
        str | None, typer.Option("--ray", help="Address of a Ray cluster, or local.")
    ] = None,
    memory_mib: Annotated[
        int, typer.Option(min=256, help="Memory that a film may take beyond the engines.")
    ] = 1200,
    accept_side_from_geometry: Annotated[
        bool,
        typer.Option(help="Score films whose side only the joints tell, instead of holding them."),
    ] = False,
    engines: EnginesOption = None,
) -> None:
    """Score whole archives into one Parquet file; the same command resumes a run."""
    from edge.system.terminal import Progress, say
    from sharpedge.archive.crew import CrewSettings
    from sharpedge.archive.run import run_archive

    if not out.absolute().parent.is_dir():
        fail(f"{out}: there is no folder {out.parent} (fix: mkdir -p {out.parent})", 2)
    if out.is_dir():
        fail(f"{out}: is a folder; --out takes a file (fix: --out {out / 'results.parquet'})", 2)
    settings = CrewSettings(
        workers=workers,
        engines=engines,
        memory_mib=memory_mib,
        accept_side_from_geometry=accept_side_from_geometry,
    )
    show = Progress("scoring")
    done = run_archive(source, out, settings, address=ray, progress=show)
    show.clear()
    unread = f", {done.unread} could not be read" if done.unread else ""
    say(f"{out}: {done.rows} films ({done.scored} scored now{unread}). {NOTICE}")
    raise typer.Exit(1 if done.unread else 0)
