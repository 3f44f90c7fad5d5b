"""The commands ``sharpedge train data``: parse, call, print.

Layer: sharpedge; uses `training`. Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharpedge.choices import Layout
from sharpedge.commands.options import NOTICE, fail

data = typer.Typer(help="Prepare data for training.", no_args_is_help=True)

LayoutOption = Annotated[
    Layout | None,
    typer.Option(help="How DIR says what its films show; default: what is found there."),
]
DataSetFolder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder of the data set; quirks in its dataset.toml.")
]


@data.command(name="check")
def train_data_check(
    folder: DataSetFolder,
    layout: LayoutOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Count what is there and name what is wrong; 1: a training would learn something wrong."""
    import json

    from edge.system.terminal import Progress, say
    from training.datasets.check import check_dataset
    from training.datasets.reading import read_dataset
    from training.datasets.report import as_object, as_text
    from training.errors import TrainingError

    try:
        dataset = read_dataset(folder, None if layout is None else layout.value)
    except TrainingError as error:
        fail(str(error), 2)
    checked = check_dataset(dataset, Progress("reading"))
    if as_json:
        say(json.dumps(as_object(checked), indent=1))
    else:
        say(as_text(checked))
        say(NOTICE)
    raise typer.Exit(0 if checked.trainable else 1)


@data.command(name="propose")
def train_data_propose(
    folder: Annotated[Path, typer.Argument(help="Folder of films, searched with its subfolders.")],
    out: Annotated[Path, typer.Option(help="Where the labels go (CSV).")],
    known: Annotated[
        Path | None, typer.Option(help="Labels of films to pass over; default: the shipped ones.")
    ] = None,
    engines: Annotated[Path | None, typer.Option(help="Folder of engines.")] = None,
) -> None:
    """Label films by the installed engines, where four looks at each agree."""
    from edge.system.terminal import Progress, say
    from training.data.proposals import propose_folder
    from training.datasets.labelled_films import SHIPPED_LABELS
    from training.errors import TrainingError

    try:
        proposed, refused = propose_folder(
            folder, out, known or SHIPPED_LABELS, engines, Progress("looking")
        )
    except TrainingError as error:
        fail(str(error), 2)
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(refused.items()))
    say(f"{proposed} films labelled in {out}; {sum(refused.values())} refused ({why or 'none'})")
    say(f"Look at them before you train: sharpedge learns what they say. {NOTICE}")


@data.command(name="paint")
def train_data_paint(
    folder: Annotated[Path, typer.Argument(help="Folder of labelled films without arthritis.")],
    out: Annotated[Path, typer.Option(help="Where painted films and truth.jsonl go.")],
    labels: Annotated[Path | None, typer.Option(help="Joint labels (CSV).")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same paintings.")] = 1,
) -> None:
    """Paint graded damage on the joints of sharp real films."""
    from edge.system.terminal import say
    from training.datasets.labelled_films import SHIPPED_LABELS
    from training.errors import TrainingError
    from training.synthetic.paint_folder import paint_folder

    try:
        written = paint_folder(folder, labels or SHIPPED_LABELS, seed, out, say)
    except TrainingError as error:
        fail(str(error), 2)
    say(f"{written} painted films and truth.jsonl in {out}. {NOTICE}")
