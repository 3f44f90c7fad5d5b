"""The group of commands ``pacs``.

Layer: sharpedge; parses, calls.
"""

from __future__ import annotations

from typing import Annotated

import typer

from sharpedge.commands.options import ConfigOption

pacs = typer.Typer(help="Try the delivery to the PACS.", no_args_is_help=True)


@pacs.callback()
def _group() -> None:
    """Try the delivery to the PACS."""


@pacs.command("test")
def run_test(
    config: ConfigOption = None,
    json_object: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Reach the PACS, store test documents of no patient, and have it commit to them."""
    from sharpedge.pacs import run

    raise typer.Exit(run(config, machine=json_object))
