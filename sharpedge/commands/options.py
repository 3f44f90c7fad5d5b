"""What several commands share: options, choices, the end of a command that failed.

Layer: sharpedge; parses.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from edge.system.terminal import complain

NOTICE = "Research use only, not a medical device."

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="SHARPEDGE_CONFIG", help="Configuration (TOML)."),
]
EnginesOption = Annotated[Path | None, typer.Option("--engines", help="Folder of built engines.")]


class LimbName(str, Enum):
    """What a film shows."""

    hand = "hand"
    foot = "foot"


def fail(message: str, status: int) -> NoReturn:
    """End the command with a line on standard error and an exit status."""
    complain(message)
    raise typer.Exit(status)
