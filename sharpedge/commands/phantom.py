"""The command ``phantom``: the simulated scanner.

Layer: sharpedge; parses, calls, prints.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from sharpedge.commands.options import NOTICE, fail


class ImageFormat(str, Enum):
    """File formats of the simulated scanner."""

    jpeg = "jpeg"
    png = "png"
    dicom = "dicom"


class Grades(str, Enum):
    """How the simulated scanner draws grades."""

    flat = "flat"
    real = "real"


class Looks(str, Enum):
    """Family of looks: what is judged is never drawn like what models are trained on."""

    eval = "eval"
    train = "train"


class TruthLayout(str, Enum):
    """How the simulated scanner writes the truth down."""

    jsonl = "jsonl"
    ra2 = "ra2"


def phantom(
    patients: Annotated[int, typer.Option(min=1, help="Patients; four films each.")] = 1,
    seed: Annotated[int, typer.Option(help="Same seed, same films.")] = 1,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for films and truth.")] = None,
    image_format: Annotated[
        ImageFormat, typer.Option("--format", help="File format.")
    ] = ImageFormat.jpeg,
    grades: Annotated[
        Grades, typer.Option(help="flat: every grade as often; real: a cohort's marginals.")
    ] = Grades.real,
    style: Annotated[
        Looks, typer.Option(help="eval: looks for judging; train: the disjoint ones for training.")
    ] = Looks.eval,
    borderline: Annotated[bool, typer.Option(help="Also draw joints between two grades.")] = False,
    layout: Annotated[
        TruthLayout,
        typer.Option(help="jsonl: truth.jsonl; ra2: the challenge's table, boxes/ and masks/."),
    ] = TruthLayout.jsonl,
    check: Annotated[
        bool,
        typer.Option("--check", help="Measure phantoms against real films' numbers; 1: outside."),
    ] = False,
    ceiling: Annotated[
        bool,
        typer.Option("--ceiling", help="Grade with an ideal observer of the truth; 1: too low."),
    ] = False,
) -> None:
    """Simulate a scanner: films with known truth."""
    from edge.system.terminal import Progress, say

    if check or ceiling:
        raise typer.Exit(_tables(patients, seed, style, check=check, ceiling=ceiling))
    if out is None:
        fail("name a folder with --out", 2)
    from phantom.command import write_patients

    summary = write_patients(
        out,
        patients,
        seed,
        image_format.value,
        grades.value,
        style.value,
        borderline=borderline,
        layout=layout.value,
        progress=Progress("drawing"),
    )
    say(f"{summary.films} films and {summary.truth.name} in {summary.out_dir}")
    say(f"{summary.graded_joints} graded joints, {summary.held} films mirrored. {NOTICE}")


def _tables(patients: int, seed: int, style: Looks, *, check: bool, ceiling: bool) -> int:
    from edge.system.terminal import Progress, say
    from phantom.verdict import ceiling_table, check_table

    wanted = [*((check_table,) if check else ()), *((ceiling_table,) if ceiling else ())]
    show = Progress("measuring")
    passed = True
    for number, table_of in enumerate(wanted):
        show(number, len(wanted))
        table = table_of(4 * patients, seed, style.value)
        passed &= table.passed
        show.clear()
        say("\n".join(table.lines))
    say(f"Simulated films, no patients. {NOTICE}")
    return 0 if passed else 1
