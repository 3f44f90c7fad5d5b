"""The commands of upkeep: backup, restore, support-bundle.

Layer: sharpedge; parses, calls, prints.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from sharpedge.commands.options import ConfigOption


def backup(
    out: Annotated[
        Path | None, typer.Option(help="File to write; default: sharpedge-DATE.tar here.")
    ] = None,
    archive: Annotated[
        bool, typer.Option("--archive", help="Also the archive of processed films.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Write journal, key, engines, waiting films and configuration to one file."""
    from sharpedge.backup import back_up

    target = out or Path(time.strftime("sharpedge-%Y%m%d-%H%M%S.tar"))
    raise typer.Exit(back_up(config, target, archive=archive))


def restore(
    file: Annotated[Path, typer.Argument(help="What `sharpedge backup` wrote.")],
    config: ConfigOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Set aside what the state folder holds.")
    ] = False,
) -> None:
    """Put a backup into the state folder, whole or not at all; the service must be stopped."""
    from sharpedge.backup import restore as put_back

    raise typer.Exit(put_back(config, file, replace=force))


def support_bundle(
    out: Annotated[
        Path | None, typer.Option(help="File to write; default: sharpedge-support-DATE.tar.gz.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Write checks, counts, versions and log to one file, without secrets or patient data."""
    from sharpedge.support import bundle

    target = out or Path(time.strftime("sharpedge-support-%Y%m%d-%H%M%S.tar.gz"))
    raise typer.Exit(bundle(config, target))
