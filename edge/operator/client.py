"""Asks a running appliance over its operator socket.

Layer: operator; connects to one Unix socket, with a deadline.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote_from_bytes

from pydantic import ValidationError

from edge.errors import EdgeError
from edge.operator.listener import short_name
from edge.operator.protocol import PICTURE_BYTES, Answer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edge.operator.protocol import Request

_WITHIN_S = 15.0
_AGAIN_S = 0.05
_PIECE_BYTES = 1 << 18
_ANSWER_BYTES = 8 << 20


class OperatorError(EdgeError):
    """The appliance cannot be asked, or said no; the message gives the cause and the fix."""


class NotRunningError(OperatorError):
    """No appliance answers at this socket."""


class Told(NamedTuple):
    """An answer, and the bytes of a picture."""

    answer: Answer
    data: bytes = b""


def ask(path: Path, request: Request, within_s: float = _WITHIN_S) -> Told:
    """Ask at the socket ``path``.

    Raises `NotRunningError` where none answers there, `OperatorError` where this user may not ask,
    no whole answer comes in time, or the appliance says no.
    """
    until_s = time.monotonic() + within_s
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(within_s)
            _connect(sock, path, until_s)
            # An answer may come before all is read: where the appliance has too many to serve.
            with contextlib.suppress(BrokenPipeError):
                sock.sendall(request.model_dump_json(exclude_none=True).encode() + b"\n")
            told = _read(sock, until_s)
    except PermissionError as error:
        raise OperatorError(
            f"{path}: this user may not ask the appliance; fix: as root, usermod -aG "
            "sharpedge-operator USER, then sign in again"
        ) from error
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
        raise NotRunningError(f"{path}: no appliance answers here") from error
    except (OSError, ValidationError) as error:
        why = error.strerror if isinstance(error, OSError) else "not an answer of this release"
        raise OperatorError(
            f"{path}: the appliance gave no answer ({why or 'too slow'}); fix: try again"
        ) from error
    if told.answer.other_state:
        raise NotRunningError(f"{path}: another appliance answers here")
    if not told.answer.ok:
        raise OperatorError(told.answer.error)
    return told


def ask_first(paths: Iterable[Path], request: Request, within_s: float = _WITHIN_S) -> Told:
    """Ask at the first of these sockets where the appliance answers. Raises as `ask`."""
    missing = NotRunningError("no appliance answers")
    for path in paths:
        try:
            return ask(path, request, within_s)
        except NotRunningError as error:  # noqa: PERF203 - two turns at most
            missing = error
    raise missing


def film_name(name: str) -> str:
    """A film's name for a `Request`: percent-encoded, a path as seen from this folder."""
    if os.path.lexists(name):
        name = os.path.abspath(name)  # noqa: PTH100 - names that are not UTF-8
    return quote_from_bytes(os.fsencode(name))


def _connect(sock: socket.socket, path: Path, until_s: float) -> None:
    """Connect, again while too many others do so. Raises `OSError`."""
    with short_name(path) as name:
        while (failed := sock.connect_ex(name)) == errno.EAGAIN and time.monotonic() < until_s:
            time.sleep(_AGAIN_S)
    if failed:
        raise OSError(failed, os.strerror(failed))


def _read(sock: socket.socket, until_s: float) -> Told:
    """Read answer and picture. Raises `OSError` and `pydantic.ValidationError`."""
    data = bytearray()
    wanted, answer = _ANSWER_BYTES, None
    while len(data) < wanted:
        sock.settimeout(max(0.01, until_s - time.monotonic()))
        piece = sock.recv(_PIECE_BYTES)
        if not piece:
            break
        data += piece
        if answer is None and b"\n" in data:
            line, _, rest = bytes(data).partition(b"\n")
            answer = Answer.model_validate_json(line)
            data, wanted = bytearray(rest), min(answer.bytes or 0, PICTURE_BYTES)
    if answer is None or len(data) < (answer.bytes or 0):
        raise ConnectionError(0, "the connection ended early")
    return Told(answer, bytes(data[: answer.bytes or 0]))
