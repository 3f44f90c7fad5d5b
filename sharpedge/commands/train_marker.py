"""The command ``sharpedge train marker``: parse, call, print.

Layer: sharpedge; uses `training`, torch only once the command runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharpedge.commands.options import NOTICE, fail, torch_required


def train_marker_command(
    films: Annotated[
        list[Path], typer.Option(help="Folder of films to draw markers on; may be repeated.")
    ],
    runs: Annotated[Path, typer.Option(help="Crops and checkpoints; the same folder resumes.")] = (
        Path("runs/marker")
    ),
    out: Annotated[
        Path | None, typer.Option(help="Where the weights go; default: RUNS/marker.npz.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Marker labels (CSV); films in it are only measured.")
    ] = None,
) -> None:
    """Train the reader of L and R markers, resumable; measures it on films kept out."""
    with torch_required():
        from training.tasks.marker import MarkerRecipe, train_marker
    import json

    from edge.system.terminal import say
    from training.datasets.labelled_markers import SHIPPED_MARKERS
    from training.errors import TrainingError

    try:
        figures = train_marker(
            films, labels or SHIPPED_MARKERS, runs, out or runs / "marker.npz", MarkerRecipe(), say
        )
    except TrainingError as error:
        fail(str(error), 2)
    say(json.dumps(figures, indent=1))
    say(NOTICE)
