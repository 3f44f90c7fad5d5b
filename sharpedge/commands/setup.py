"""The commands of an installation: init and doctor.

Layer: sharpedge; parses, calls, prints.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from sharpedge.commands.options import ConfigOption


class BrokerPlace(str, Enum):
    """Where the broker runs."""

    here = "here"
    elsewhere = "elsewhere"


class TlsChoice(str, Enum):
    """Which certificates the connection uses."""

    none = "none"
    trial = "trial"
    files = "files"


class ModeName(str, Enum):
    """When a result counts as delivered."""

    receipt = "receipt"
    puback = "puback"


def init(
    out: Annotated[Path, typer.Option(help="File to write.")] = Path(
        "/etc/sharpedge/sharpedge.toml"
    ),
    site: Annotated[str | None, typer.Option(help="First word of every topic.")] = None,
    room: Annotated[str | None, typer.Option(help="Second word of every topic.")] = None,
    device: Annotated[str | None, typer.Option(help="Third word: name of this box.")] = None,
    watch: Annotated[Path | None, typer.Option(help="Folder that the scanner writes to.")] = None,
    state: Annotated[
        Path | None, typer.Option(help="State folder; default: that of the service.")
    ] = None,
    broker: Annotated[BrokerPlace | None, typer.Option(help="MQTT broker on this box?")] = None,
    host: Annotated[str | None, typer.Option(help="Broker elsewhere: name or address.")] = None,
    port: Annotated[
        int | None, typer.Option(help="Broker's port; default: 1883, with TLS 8883.")
    ] = None,
    username: Annotated[str | None, typer.Option(help="User at the broker.")] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="File whose first line is the password.")
    ] = None,
    tls: Annotated[
        TlsChoice | None,
        typer.Option(help="Certificates: none, made for a trial, or the site's files."),
    ] = None,
    tls_folder: Annotated[
        Path | None, typer.Option(help="Folder of a trial's certificates.")
    ] = None,
    ca_file: Annotated[Path | None, typer.Option(help="The authority's certificate.")] = None,
    certificate_file: Annotated[Path | None, typer.Option(help="Our certificate.")] = None,
    key_file: Annotated[Path | None, typer.Option(help="Its private key.")] = None,
    mode: Annotated[
        ModeName | None, typer.Option(help="A result is delivered when a dashboard answers?")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; take defaults.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Change an existing file; the rest of it stays.")
    ] = False,
) -> None:
    """Write a commented configuration: asks on a terminal for what no option states."""
    from sharpedge.setup.commission import Stated, commission

    stated = Stated(
        site, room, device, watch, state, _value(broker), host, port, username, password_file,
        _value(tls), tls_folder, ca_file, certificate_file, key_file, _value(mode),
    )  # fmt: skip
    commission(out, stated, silent=yes, replace=force)


def _value(choice: Enum | None) -> str | None:
    return None if choice is None else str(choice.value)


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
