"""What several commands share: options, choices, the end of a command that failed.

Layer: sharpedge; parses.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from edge.model import DISCLAIMER
from edge.system.terminal import complain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NOTICE = f"{DISCLAIMER.capitalize()}."

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="SHARPEDGE_CONFIG", help="Configuration (TOML)."),
]
EnginesOption = Annotated[Path | None, typer.Option("--engines", help="Folder of built engines.")]


def choice_of(keys: Callable[[], Iterable[str]]) -> Any:
    """Give the settings of an option or argument that takes a key of a registration table.

    The table is read when the command is parsed; its help shows the keys of when the command was
    loaded.
    """

    def parse(text: str) -> str:
        known = list(keys())
        if text not in known:
            raise typer.BadParameter(f"{text!r} is not one of {', '.join(map(repr, known))}.")
        return text

    return {"parser": parse, "metavar": f"[{'|'.join(keys())}]"}


def fail(message: str, status: int) -> NoReturn:
    """End the command with a line on standard error and an exit status."""
    complain(message)
    raise typer.Exit(status)
