"""Serves the page with uvicorn.

Layer: sharpedge; listens on one address or Unix socket.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from socket import SOCK_STREAM, create_server, getaddrinfo
from socket import socket as Listening  # noqa: N812 - the parameter of `serve` is another socket
from typing import TYPE_CHECKING

import uvicorn

from dashboard.addresses import as_name, is_loopback
from edge.errors import ConfigError
from edge.model import DISCLAIMER
from edge.system.terminal import say
from sharpedge.page.app import PageApp
from sharpedge.page.box import Box
from sharpedge.page.guard import LOCAL_NAMES
from sharpedge.page.sign_in import SignIn, page_token

if TYPE_CHECKING:
    from pathlib import Path

_CONNECTIONS = 64
_HEADER_BYTES = 16 << 10
_KEEP_ALIVE_S = 10
_STOP_S = 35
"""Longer than a film takes to be drawn."""


@dataclass(frozen=True)
class At:
    """Where the page is served, and under which names; ``uds`` is a Unix socket instead."""

    host: str
    port: int
    uds: Path | None
    names: tuple[str, ...]
    certificate: Path | None
    key: Path | None


def serve(socket: Path, state: Path, at: At) -> int:
    """Serve until a signal. Raises `ConfigError` and `OSError`."""
    _refuse_open(at)
    app = PageApp(Box(socket), SignIn(page_token(state)), secure=at.certificate is not None)
    names = {*LOCAL_NAMES, *at.names, *(() if at.uds else (as_name(at.host),))}
    scheme = "https" if at.certificate else "http"
    where = str(at.uds) if at.uds else f"{scheme}://{as_name(at.host)}:{at.port}/"
    listening = None if at.uds else _listen(at.host, at.port)
    say(f"page: {where} (asks {socket}); {DISCLAIMER}")
    config = uvicorn.Config(
        app.asgi(names), host=at.host, port=at.port, uds=None if at.uds is None else str(at.uds),
        ssl_certfile=at.certificate and str(at.certificate), ssl_keyfile=at.key and str(at.key),
        log_level="warning", access_log=False, server_header=False, proxy_headers=False,
        limit_concurrency=_CONNECTIONS, timeout_keep_alive=_KEEP_ALIVE_S,
        h11_max_incomplete_event_size=_HEADER_BYTES, timeout_graceful_shutdown=_STOP_S,
        lifespan="off", ws="none", http="h11",
    )  # fmt: skip
    server = uvicorn.Server(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn stops at either, and then raises it again: a stop that is asked for is no failure.
        signal.signal(number, lambda *_: None)
    server.run(None if listening is None else [listening])
    return 0 if server.started else 1


def _listen(host: str, port: int) -> Listening:
    try:
        family, _, _, _, address = getaddrinfo(host, port, type=SOCK_STREAM)[0]
        return create_server(address[:2], family=family)
    except OSError as error:
        # The text of the error itself names the address once more.
        number = error.errno or 0
        why = os.strerror(number) if number > 0 else error.strerror
        raise ConfigError(
            f"the page cannot listen at {as_name(host)}:{port} ({why}); fix: name another "
            "--host or --port, or stop what listens there"
        ) from error


def _refuse_open(at: At) -> None:
    """Refuse to send token and films over a network in the clear."""
    if at.uds is None and at.certificate is None and not is_loopback(at.host):
        raise ConfigError(
            f"--host {at.host}: reaches the network in the clear; fix: give --certificate and "
            "--key, or serve on loopback behind a proxy with TLS and --allow-host its name"
        )
