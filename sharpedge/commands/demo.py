"""The command ``demo``: the main job end to end.

Layer: sharpedge; parses, calls, prints.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class Broker(str, Enum):
    """Which broker the demo starts."""

    auto = "auto"
    mosquitto = "mosquitto"
    amqtt = "amqtt"


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for what the demo leaves.")] = Path(
        "demo-out"
    ),
    broker: Annotated[
        Broker, typer.Option(help="auto: Mosquitto where it is installed, else the library amqtt.")
    ] = Broker.auto,
) -> None:
    """Show the main job end to end with simulated films and a broker on this machine."""
    from edge.system.terminal import say
    from sharpedge.demo import run_demo

    raise typer.Exit(run_demo(out, say, broker.value))
