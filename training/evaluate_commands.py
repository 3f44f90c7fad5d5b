"""The commands ``sharpedge evaluate``: parse, measure, print.

Room: training. Nothing heavy is imported before a command needs it; no command needs torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from training.commands import NOTICE

evaluate = typer.Typer(help="Measure the installed engines on known truth.", no_args_is_help=True)


@evaluate.command(name="phantoms")
def evaluate_phantoms(
    folder: Annotated[Path, typer.Argument(help="What `sharpedge phantom` wrote.")],
) -> None:
    """Compare with the truth of simulated films: phantom figures, nothing about patients."""
    _evaluate_truth(folder, "phantom figures (simulated films)", accept_side=False)


@evaluate.command(name="painted")
def evaluate_painted(
    folder: Annotated[Path, typer.Argument(help="What `sharpedge train data paint` wrote.")],
) -> None:
    """Compare with damage painted on real films: real texture, but no patient's damage."""
    _evaluate_truth(folder, "painted damage on real films", accept_side=True)


def _evaluate_truth(folder: Path, what: str, *, accept_side: bool) -> None:
    from edge.engine.loader import load_engines
    from edge.paths import built_engines
    from edge.pipeline.scorer import FilmScorer
    from edge.pipeline.settings import PipelineSettings
    from edge.terminal import say
    from training.measure import as_table, measure_phantoms

    if not (folder / "truth.jsonl").is_file():
        _fail(f"{folder}: no truth.jsonl; name a folder that sharpedge wrote with its truth")
    settings = PipelineSettings(accept_side_from_geometry=accept_side)
    scorer = FilmScorer(load_engines(built_engines()), settings, want_masks=not accept_side)
    tally = measure_phantoms(scorer, folder, lambda _done: None)
    say(as_table(tally, what))
    say(NOTICE)


@evaluate.command(name="identity")
def evaluate_identity(
    points: Annotated[
        Path, typer.Argument(help="CSV with the columns image, limb, width, height, joint, x, y.")
    ],
    drop: Annotated[int, typer.Option(help="Joints taken away from each image.", min=0)] = 0,
    noise: Annotated[
        float, typer.Option(help="Noise (sd), a share of MCP3-PIP3 or MTP1-MTP5.", min=0)
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Same seed, same disturbance.")] = 1,
    turn: Annotated[
        float,
        typer.Option(
            help="Largest turn from upright, degrees; 180 where images lie in any turn.",
            min=0,
            max=180,
        ),
    ] = 10.0,
    mirror: Annotated[bool, typer.Option("--mirror", help="Turn half of the images over.")] = False,
) -> None:
    """Name joints from their places alone, some of them missing."""
    from edge.terminal import say
    from training.errors import TrainingError
    from training.measure_identity import Trial, measure_identity

    try:
        found = measure_identity(points, Trial(drop, noise, turn, mirror, seed))
    except TrainingError as error:
        _fail(str(error))
    for naming in found:
        say(str(naming))
    say(NOTICE)


@evaluate.command(name="films")
def evaluate_films(
    folder: Annotated[Path, typer.Argument(help="Folder of FracAtlas films.")],
    labels: Annotated[Path | None, typer.Option(help="Joint labels (CSV).")] = None,
) -> None:
    """Compare with joint labels on real films that no training has seen."""
    from edge.engine.loader import load_engines
    from edge.model import Limb
    from edge.paths import built_engines
    from edge.pipeline.scorer import FilmScorer
    from edge.pipeline.settings import PipelineSettings
    from edge.terminal import say
    from training.films import SHIPPED_LABELS
    from training.measure import as_table, measure_films

    settings = PipelineSettings(accept_side_from_geometry=True)
    scorer = FilmScorer(load_engines(built_engines()), settings)
    for limb in Limb:
        tally = measure_films(scorer, labels or SHIPPED_LABELS, folder, limb, lambda _done: None)
        say(as_table(tally, f"labelled {limb} films kept out of training"))
    say(NOTICE)


def _fail(message: str) -> NoReturn:
    from edge.terminal import complain

    complain(message)
    raise typer.Exit(2)
