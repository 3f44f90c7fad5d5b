"""The commands ``sharpedge evaluate``: parse, measure, print, write the report.

Layer: sharpedge; uses `training.evaluation`. Nothing heavy is imported before a command needs it;
no command needs torch.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sharpedge.choices import Layout
from sharpedge.commands.options import NOTICE, fail

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.evaluation.findings import Report
    from training.evaluation.truth import LabelledSet

evaluate = typer.Typer(help="Measure the installed engines on known truth.", no_args_is_help=True)


class SplitName(str, Enum):
    """Which part of a set is measured; the names of `training.evaluation.truth.Split`."""

    patient = "patient"
    paper = "paper"
    all = "all"


_Html = Annotated[Path | None, typer.Option("--html", help="Write the report: one page.")]
_Json = Annotated[Path | None, typer.Option("--json", help="Write the report's figures.")]
_Engines = Annotated[Path | None, typer.Option("--engines", help="Folder of built engines.")]
_Labels = Annotated[Path | None, typer.Option("--labels", help="Joint labels (CSV).")]
_Split = Annotated[
    SplitName,
    typer.Option(
        "--split",
        help="patient: real films only of patients kept out of training; all: every film; "
        "paper: 10 % of the joints as the paper drew them, which leaks patients.",
    ),
]

_Repeat = Annotated[
    bool,
    typer.Option(
        "--repeat",
        help="Measure the joint spaces again on each film shifted, turned, rescaled and "
        "compressed; six times as long.",
    ),
]


@evaluate.command(name="phantoms")
def evaluate_phantoms(
    folder: Annotated[Path, typer.Argument(help="What `sharpedge phantom` wrote.")],
    html: _Html = None,
    json_file: _Json = None,
    split: _Split = SplitName.patient,
    engines: _Engines = None,
    repeat: _Repeat = False,
) -> None:
    """Compare with the truth of simulated films: phantom figures, nothing about patients."""
    from training.evaluation.truth import read_truth

    _evaluate(lambda: read_truth(folder), split, engines, html, json_file, repeat=repeat)


@evaluate.command(name="painted")
def evaluate_painted(
    folder: Annotated[Path, typer.Argument(help="What `sharpedge train data paint` wrote.")],
    html: _Html = None,
    json_file: _Json = None,
    split: _Split = SplitName.patient,
    engines: _Engines = None,
    repeat: _Repeat = False,
) -> None:
    """Compare with damage painted on real films: real texture, but no patient's damage."""
    from training.evaluation.truth import read_truth

    _evaluate(lambda: read_truth(folder), split, engines, html, json_file, repeat=repeat)


@evaluate.command(name="films")
def evaluate_films(
    folder: Annotated[Path, typer.Argument(help="Folder of FracAtlas films.")],
    labels: _Labels = None,
    html: _Html = None,
    json_file: _Json = None,
    split: _Split = SplitName.patient,
    engines: _Engines = None,
    repeat: _Repeat = False,
) -> None:
    """Compare with joint labels on real films that no training has seen."""
    from training.datasets.labelled_films import SHIPPED_LABELS
    from training.evaluation.truth import read_joint_table

    # The project's own labels are of films without arthritis; of others nothing is known.
    def read() -> LabelledSet:
        return read_joint_table(folder, labels or SHIPPED_LABELS, healthy=labels is None)

    _evaluate(read, split, engines, html, json_file, repeat=repeat)


@evaluate.command(name="report")
def evaluate_report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Films with their labels.")],
    layout: Annotated[
        Layout | None,
        typer.Option(help="How DIR says what its films show; default: what is found there."),
    ] = None,
    labels: _Labels = None,
    html: _Html = None,
    json_file: _Json = None,
    split: _Split = SplitName.patient,
    engines: _Engines = None,
    repeat: _Repeat = False,
) -> None:
    """Compare with any labelled set: the layouts of `train data check`, or a table of joints."""
    from training.evaluation.sets import read_set
    from training.evaluation.truth import read_joint_table

    def read() -> LabelledSet:
        if labels is not None:
            return read_joint_table(folder, labels)
        return read_set(folder, None if layout is None else layout.value)

    _evaluate(read, split, engines, html, json_file, repeat=repeat)


@evaluate.command(name="identity")
def evaluate_identity(
    points: Annotated[
        Path, typer.Argument(help="CSV with the columns image, limb, width, height, joint, x, y.")
    ],
    drop: Annotated[int, typer.Option(help="Joints taken away from each image.", min=0)] = 0,
    noise: Annotated[
        float, typer.Option(help="Noise (sd), a share of MCP3-PIP3 or half of MTP1-MTP5.", min=0)
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
    html: _Html = None,
    json_file: _Json = None,
) -> None:
    """Name joints from their places alone, some of them missing."""
    from edge import __version__
    from edge.system.terminal import say
    from training.errors import TrainingError
    from training.evaluation.measure_identity import Trial, name_all, read_landmarks, summed

    _require_templates(html)
    trial = Trial(drop, noise, turn, mirror, seed)
    try:
        images = read_landmarks(points)
    except TrainingError as error:
        fail(str(error), 2)
    for naming in summed(name_all(images, trial)):
        say(str(naming))
    if html is not None or json_file is not None:
        from training.evaluation.assemble import identity_report, now

        _write(identity_report(points.name, images, trial, __version__, now()), html, json_file)
    say(NOTICE)


def _evaluate(
    read: Callable[[], LabelledSet],
    split: SplitName,
    engines: Path | None,
    html: Path | None,
    json_file: Path | None,
    *,
    repeat: bool,
) -> None:
    from dataclasses import replace

    from edge.engine.loader import load_engines
    from edge.pipeline.settings import PipelineSettings
    from edge.system.paths import built_engines
    from edge.system.terminal import Progress, say
    from training.errors import TrainingError
    from training.evaluation.external import learnt_films, whole_if_external
    from training.evaluation.measure import ProbabilityScorer, measure_set
    from training.evaluation.rows import paper_part
    from training.evaluation.space_rows import repeat_spaces
    from training.evaluation.tables import tabulate
    from training.evaluation.text import as_text
    from training.evaluation.truth import Kind, Split, part_of

    _require_templates(html)
    part = Split(split.value)
    installed = load_engines(engines or built_engines())
    try:
        labelled = part_of(whole_if_external(read(), learnt_films(installed)), part)
    except TrainingError as error:
        fail(str(error), 2)
    # A simulated film states its side, as a scanner's does; a labelled one often states none.
    # A marker decides about the side alone; what is evaluated is the same with and without.
    settings = PipelineSettings(
        accept_side_from_geometry=labelled.kind is not Kind.PHANTOM, read_markers=False
    )
    scorer = ProbabilityScorer(
        installed,
        settings,
        want_masks=any(limb.mask is not None for limb in labelled.limbs),
    )
    measured = measure_set(scorer, labelled, Progress("scoring"))
    tables = tabulate(measured)
    if repeat:
        films = {limb.path: limb for limb in labelled.limbs if limb.path.is_file()}
        again = [(path.name, path.read_bytes()) for path in films]
        repeats = repeat_spaces(scorer, again, Progress("repeating"))
        tables = replace(tables, repeats=repeats)
    if part is Split.PAPER:
        tables = paper_part(tables)
    say(as_text(labelled, tables, part))
    if html is not None or json_file is not None:
        from training.evaluation.assemble import assemble, now

        _write(
            assemble(labelled, tables, scorer.versions, part, now()),
            html,
            json_file,
        )
    say(NOTICE)


def _require_templates(html: Path | None) -> None:
    """Fail before anything is measured where the page could not be written."""
    from importlib.util import find_spec

    if html is not None and find_spec("jinja2") is None:
        fail("the page needs Jinja2: pip install 'sharpedge[evaluate]', or leave --html out", 2)


def _write(report: Report, html: Path | None, json_file: Path | None) -> None:
    from edge.system.terminal import say

    writers: list[tuple[Path, Callable[[Report], str]]] = []
    if html is not None:
        from training.evaluation.page import as_html

        writers.append((html, as_html))
    if json_file is not None:
        from training.evaluation.findings import as_json

        writers.append((json_file, as_json))
    for path, write in writers:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(write(report), encoding="utf-8")
        say(f"report: {path}")
