"""The command ``licenses``.

Layer: sharpedge; parses, calls, prints.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from sharpedge.commands.options import NOTICE, fail


def licenses(
    json_: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    sbom: Annotated[
        bool, typer.Option("--sbom", help="A bill of materials as a CycloneDX 1.6 document.")
    ] = False,
) -> None:
    """List the installed packages and the model files with their licences."""
    from edge.errors import ConfigError
    from edge.system.terminal import say
    from export.errors import ExportError
    from sharpedge.components import libraries, model_files, notice
    from sharpedge.sbom import cyclonedx

    try:
        packages, models = libraries(), model_files()
    except (ConfigError, ExportError, OSError) as error:
        fail(str(error), 1)
    if sbom:
        say(json.dumps(cyclonedx(packages, models), indent=1))
        return
    if json_:
        found = {
            "packages": [asdict(one) for one in packages],
            "models": [asdict(one) for one in models],
        }
        say(json.dumps(found, indent=1))
        return
    width = max(len(f"{one.name} {one.version}") for one in packages)
    for one in packages:
        say(f"{f'{one.name} {one.version}':{width}}  {one.licence}")
    say("")
    for model in models:
        say(f"{model.shown}  {model.licence}\n    {model.origin}")
    say(f"\n{notice()}\n{NOTICE}")
