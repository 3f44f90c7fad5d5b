"""The command ``page``.

Layer: sharpedge; parses, calls, prints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharpedge.commands.options import fail


def page(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Its port.")] = 8480,
    uds: Annotated[
        Path | None, typer.Option(help="Listen on this Unix socket instead, for a proxy.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Another name under which browsers ask; repeatable.")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="Serve TLS with this PEM file.")] = None,
    key: Annotated[Path | None, typer.Option(help="The certificate's private key.")] = None,
    socket: Annotated[
        Path | None, typer.Option(help="The appliance's operator socket; default: the service's.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder of the token; default: this user's or service's.")
    ] = None,
    show_token: Annotated[bool, typer.Option("--show-token", help="Print the token.")] = False,
) -> None:
    """Serve the local page: held films with their pictures, decisions, last results."""
    from edge.operator.settings import SERVICE_SOCKET
    from edge.system.paths import data_root
    from edge.system.terminal import say
    from sharpedge.page.sign_in import find_token

    if show_token:
        say(find_token(state))
        return
    folder = state or data_root()
    if (certificate is None) != (key is None):
        fail("give --certificate and --key, or none of both", 2)
    try:
        from sharpedge.page.serve import At, serve
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed; fix: pip install 'sharpedge[page]'", 1)
    at = At(host, port, uds, tuple(allow_host or ()), certificate, key)
    raise typer.Exit(serve(socket or SERVICE_SOCKET, folder, at))
