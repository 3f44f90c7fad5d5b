"""The commands of an installation: doctor.

Layer: sharpedge; parses, calls, prints.
"""

from __future__ import annotations

from typing import Annotated

import typer

from sharpedge.commands.options import ConfigOption


def doctor(
    config: ConfigOption = None,
    json_object: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Check the installed appliance: cause and fix for each fault; 1: failed, 3: warnings."""
    from edge.system.terminal import say
    from sharpedge.doctor.examination import examine
    from sharpedge.doctor.finding import as_json, as_table, exit_status

    findings = list(examine(config))
    say(as_json(findings) if json_object else as_table(findings))
    raise typer.Exit(exit_status(findings))
