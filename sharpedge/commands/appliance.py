"""The commands ``run`` and ``listen``.

Layer: sharpedge; parses, calls, prints.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from sharpedge.commands.options import ConfigOption


def run(config: ConfigOption = None) -> None:
    """Watch the drop folder, score what arrives, publish over MQTT."""
    # A stop that is asked for while it starts is a stop, not a failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    from edge.config import load
    from edge.daemon import appliance

    raise typer.Exit(appliance.run(load(config)))


def listen_to(
    host: Annotated[str, typer.Option(help="Broker.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Its port.")] = 1883,
    topic: Annotated[str, typer.Option(help="Filter.")] = "sharpedge/#",
    receipt: Annotated[
        str | None, typer.Option(help="Give receipts under this dashboard's name.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Take [broker] from here: TLS and user.")
    ] = None,
) -> None:
    """Print messages as JSON lines, each once (images: their size)."""
    from edge.config import load
    from edge.contract.payloads import absent_keys
    from edge.delivery.listen import listen
    from edge.delivery.settings import BrokerSettings
    from edge.system.terminal import say

    broker = BrokerSettings(host=host, port=port) if config is None else load(config).broker
    for message in listen(broker, topic=topic, receiver=receipt):
        body: object = None
        if message.message is not None:
            body = message.message.model_dump(mode="json", exclude=absent_keys(message.message))
        line = {
            "topic": message.topic,
            "bytes": len(message.payload),
            "retained": message.retained,
            "fault": message.fault,
            "message": body,
        }
        say(json.dumps(line))
