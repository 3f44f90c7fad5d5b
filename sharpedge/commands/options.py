"""What several commands share: options, choices, the end of a command that failed.

Layer: sharpedge; parses.
"""

from __future__ import annotations

from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from edge.system.terminal import complain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.model import OperatorStatement

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


class SideName(str, Enum):
    """Side of the patient, in an operator's words."""

    L = "L"
    R = "R"


def _side(text: str | SideName) -> SideName:
    """Side of the patient of a word: ``L``, ``R``, ``left``, ``right``."""
    try:
        return SideName({"LEFT": "L", "RIGHT": "R"}.get(text.upper(), text.upper()))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not one of L, R, left, right") from None


LimbOption = Annotated[
    LimbName | None, typer.Option("--limb", help="What the film shows.", case_sensitive=False)
]
SideOption = Annotated[
    SideName | None,
    typer.Option(
        "--side",
        help="Side of the patient.",
        parser=_side,
        metavar="[L|R|left|right]",
        autocompletion=lambda: ["left", "right"],
    ),
]


def stated(limb: LimbName | None, side: SideName | None) -> OperatorStatement | None:
    """What options state of films; None where they state nothing."""
    if limb is None and side is None:
        return None
    from edge.anatomy import Limb
    from edge.model import Laterality, OperatorStatement

    return OperatorStatement(
        None if limb is None else Limb(limb.value), None if side is None else Laterality(side.value)
    )


def fail(message: str, status: int) -> NoReturn:
    """End the command with a line on standard error and an exit status."""
    complain(message)
    raise typer.Exit(status)


@contextmanager
def torch_required() -> Iterator[None]:
    """End the command with the fix where an import inside the block finds no torch."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        fail("training needs torch: pip install 'sharpedge[train]'", 2)
