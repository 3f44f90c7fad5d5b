"""The commands ``export``, ``build``, ``engines`` and ``agree``.

Layer: sharpedge; parses, calls, prints.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from sharpedge.choices import BackEnd
from sharpedge.commands.options import EnginesOption


class ExportTarget(str, Enum):
    """The oldest builder that must read an exported graph; see `export.onnx_graph.opset`."""

    tensorrt_8_5 = "tensorrt-8.5"
    tensorrt_8_6 = "tensorrt-8.6"
    tensorrt_10 = "tensorrt-10"


def export(
    recipes: Annotated[
        list[str] | None, typer.Argument(help="Recipes or shipped names; default: all shipped.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the engines.")] = None,
    target: Annotated[
        ExportTarget | None,
        typer.Option(help="Oldest builder that must read imported graphs (opset 13, 17 or 20)."),
    ] = None,
    init: Annotated[
        bool, typer.Option("--init", help="Write a recipe for these model files; no engine.")
    ] = False,
) -> None:
    """Write ONNX engines with passports from trained weights."""
    from sharpedge import engines as actions

    if init:
        raise typer.Exit(actions.init_recipe([Path(item) for item in recipes or ()]))
    raise typer.Exit(actions.export(recipes or (), out, target.value if target else None))


def build(
    recipes: Annotated[
        list[str] | None, typer.Argument(help="Recipes or shipped names; default: all shipped.")
    ] = None,
    backend: Annotated[
        list[BackEnd] | None, typer.Option(help="May be given again; default: what is installed.")
    ] = None,
    films: Annotated[
        Path | None, typer.Option(help="Judge over this folder of films, not over simulated ones.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the engines.")] = None,
    workspace_mib: Annotated[
        int, typer.Option(min=16, help="Memory in MiB that a TensorRT builder tries layers in.")
    ] = 1024,
    level: Annotated[
        int | None,
        typer.Option(min=0, max=5, help="TensorRT's optimisation level; more is slower to build."),
    ] = None,
) -> None:
    """Build engines for this device, judge them against FP32, install what agrees."""
    from export.builders.build import BuilderOptions
    from sharpedge import engines as actions

    wanted = [item.value for item in backend or ()]
    options = BuilderOptions(workspace_mib, level)
    raise typer.Exit(actions.build(recipes or (), out, wanted, films, options))


def tune(
    recipes: Annotated[
        list[str] | None, typer.Argument(help="Recipes or shipped names; default: all shipped.")
    ] = None,
    backend: Annotated[
        list[BackEnd] | None, typer.Option(help="May be given again; default: what is installed.")
    ] = None,
    films: Annotated[
        Path | None, typer.Option(help="Judge over this folder of films, not over simulated ones.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the engines.")] = None,
) -> None:
    """Measure back ends, precisions and threads on this machine; the fastest that agree serve."""
    from sharpedge import engines as actions

    wanted = [item.value for item in backend or ()]
    raise typer.Exit(actions.tune(recipes or (), out, wanted, films))


engines = typer.Typer(help="What is installed, and what serves.", no_args_is_help=True)


@engines.command(name="list")
def engines_list(
    name: Annotated[str | None, typer.Argument(help="Only this recipe.")] = None,
    folder: EnginesOption = None,
) -> None:
    """Show installed engines: hash, verdict, latency, and why one is refused."""
    from sharpedge import engines as actions

    raise typer.Exit(actions.show_engines(folder, name))


@engines.command(name="activate")
def engines_activate(
    stem: Annotated[str, typer.Argument(help="As `engines list` shows it.")],
    folder: EnginesOption = None,
) -> None:
    """Let an engine come first for its recipe."""
    from sharpedge import engines as actions

    raise typer.Exit(actions.activate_engine(folder, stem))


@engines.command(name="rollback")
def engines_rollback(folder: EnginesOption = None) -> None:
    """Take back the last choice."""
    from sharpedge import engines as actions

    raise typer.Exit(actions.roll_back(folder))


def agree(
    first: Annotated[BackEnd, typer.Argument(help="Back end.")],
    second: Annotated[BackEnd, typer.Argument(help="Back end to compare it with.")],
    films: Annotated[Path, typer.Argument(help="Folder of films.")],
    folder: EnginesOption = None,
) -> None:
    """Compare two back ends over a folder of films; 1: a grade or a film's fate differs."""
    from sharpedge import engines as actions

    raise typer.Exit(actions.agree(folder, first.value, second.value, films))
