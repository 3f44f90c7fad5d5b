"""The command ``sharpedge train exclusions``: parse, call, print.

Layer: sharpedge; uses `training`. Imports torch only when it runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharpedge.commands.options import NOTICE, LimbName, fail, torch_required
from sharpedge.commands.train import train


@train.command(name="exclusions")
def train_exclusions_command(
    films: Annotated[Path, typer.Argument(metavar="FRACATLAS", help="Folder of labelled films.")],
    limb: Annotated[LimbName, typer.Option(help="Limb whose trunk is read.")],
    others: Annotated[
        Path | None, typer.Option(help="Folder of films of other body parts.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Crops and features; the same folder goes on.")] = Path(
        "runs/exclusions"
    ),
    weights: Annotated[
        Path | None, typer.Option(help="Where the weights go; default: RUNS.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="Joint labels (CSV).")] = None,
    trunk: Annotated[
        Path | None, typer.Option(help="Trunk (LIMB-trunk.npz); default: the committed one.")
    ] = None,
    crop_px: Annotated[int, typer.Option(min=32, max=512, help="Side of the scorer's crops.")] = 96,
) -> None:
    """Learn what forbids a grade: covered joint spaces, growth plates, what is no joint."""
    with torch_required():
        from training.tasks.exclusions import ExclusionRecipe, train_exclusions
    import json

    from edge.anatomy import Limb
    from edge.system.terminal import say
    from training.datasets.labelled_films import SHIPPED_LABELS
    from training.errors import TrainingError

    folder = runs / limb.value
    target = weights or folder
    target.mkdir(parents=True, exist_ok=True)
    try:
        figures = train_exclusions(
            films, others, labels or SHIPPED_LABELS, folder, target, Limb(limb.value),
            ExclusionRecipe(crop_px=crop_px), say, trunk,
        )  # fmt: skip
    except TrainingError as error:
        fail(str(error), 2)
    say(json.dumps(figures, indent=1))
    say(NOTICE)
