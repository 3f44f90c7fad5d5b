"""The commands ``sharpedge train``: parse, call, print.

Room: training. Nothing heavy is imported before a command needs it, and torch by none that can do
without.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

NOTICE = "Research use only, not a medical device."


class TrainRecipe(str, Enum):
    """Named sets of training values."""

    demo = "demo"
    paper = "paper"


train = typer.Typer(
    help="Train the models (needs torch: pip install 'sharpedge[train]').", no_args_is_help=True
)


@train.command(name="demo")
def train_demo_command(
    films: Annotated[
        Path | None, typer.Option(help="Folder of FracAtlas films; without it, phantoms alone.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Checkpoints; the same folder resumes.")] = Path(
        "runs"
    ),
    weights: Annotated[
        Path | None, typer.Option(help="Where compact weights go; default: RUNS/weights.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="Joint labels (CSV).")] = None,
    recipe: Annotated[
        TrainRecipe,
        typer.Option(help="demo: made the committed weights; paper: its schedules (days)."),
    ] = TrainRecipe.demo,
) -> None:
    """Train every demo model from nothing, resumable; prints an estimate first."""
    try:
        from training.demo_models import train_demo
        from training.recipes import RECIPES
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        _fail("training needs torch: pip install 'sharpedge[train]'", 2)
    import json

    from edge.terminal import say
    from training.films import SHIPPED_LABELS

    target = weights or runs / "weights"
    target.mkdir(parents=True, exist_ok=True)
    figures = train_demo(films, labels or SHIPPED_LABELS, runs, target, RECIPES[recipe.value], say)
    say(json.dumps(figures, indent=1))
    say(f"Figures on simulated films say nothing about patients. {NOTICE}")


data = typer.Typer(help="Prepare data for training.", no_args_is_help=True)
train.add_typer(data, name="data")


class LayoutName(str, Enum):
    """Layouts of a data set; the names of `training.datasets.Layout`."""

    ra2 = "ra2"
    jsonl = "jsonl"
    ram_h1200 = "ram-h1200"
    voc = "voc"
    yolo = "yolo"
    coco = "coco"
    masks = "masks"


_Layout = Annotated[
    LayoutName | None,
    typer.Option(help="How DIR says what its films show; default: what is found there."),
]
_DataSet = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder of the data set; quirks in its dataset.toml.")
]


@data.command(name="check")
def train_data_check(
    folder: _DataSet,
    layout: _Layout = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Count what is there and name what is wrong; 1: a training would learn something wrong."""
    import json

    from edge.terminal import Progress, say
    from training.datasets import Layout, read_dataset
    from training.datasets.check import check_dataset
    from training.datasets.report import as_object, as_text
    from training.errors import TrainingError

    try:
        dataset = read_dataset(folder, None if layout is None else Layout(layout.value))
    except TrainingError as error:
        _fail(str(error), 2)
    checked = check_dataset(dataset, Progress("reading"))
    if as_json:
        say(json.dumps(as_object(checked), indent=1))
    else:
        say(as_text(checked))
        say(NOTICE)
    raise typer.Exit(0 if checked.trainable else 1)


@data.command(name="paint")
def train_data_paint(
    folder: Annotated[Path, typer.Argument(help="Folder of labelled films without arthritis.")],
    out: Annotated[Path, typer.Option(help="Where painted films and truth.jsonl go.")],
    labels: Annotated[Path | None, typer.Option(help="Joint labels (CSV).")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same paintings.")] = 1,
) -> None:
    """Paint graded damage on the joints of sharp real films."""
    from edge.terminal import say
    from training.errors import TrainingError
    from training.films import SHIPPED_LABELS
    from training.paint_command import paint_folder

    try:
        written = paint_folder(folder, labels or SHIPPED_LABELS, seed, out, say)
    except TrainingError as error:
        _fail(str(error), 2)
    say(f"{written} painted films and truth.jsonl in {out}. {NOTICE}")


def _fail(message: str, status: int) -> NoReturn:
    from edge.terminal import complain

    complain(message)
    raise typer.Exit(status)
