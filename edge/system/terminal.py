"""Writes progress to a terminal, text and lines to standard output.

Help and version load no library by way of it.

Layer: system; writes to the standard streams, imports nothing of ours.
"""

from __future__ import annotations

import os
import sys

_WIDTH = 30
_ERASE = "\r\033[K"


class OutputError(OSError):
    """Standard output cannot be written: closed, full, or nobody reads it any more."""


class Progress:
    """A progress line on standard error where that is a terminal; nothing elsewhere."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._shown = sys.stderr is not None and sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        """Show ``done`` of ``total``."""
        if not self._shown:
            return
        full = _WIDTH * done // max(total, 1)
        end = "\n" if done >= total else ""
        line = f"{self._label} [{'#' * full}{'.' * (_WIDTH - full)}] {done}/{total}"
        sys.stderr.write(f"{_ERASE}{line}{end}")
        sys.stderr.flush()

    def clear(self) -> None:
        """Erase the line, so that a line of output can take its place."""
        if self._shown:
            sys.stderr.write(_ERASE)
            sys.stderr.flush()


def prepare_streams() -> None:
    """Make the standard streams safe to use.

    A closed one would give its number to the next file that is opened, and a character that the
    terminal does not know would end the program.
    """
    # The lowest free number is given out: opened until one lies above the three.
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(number)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """Print text and a line end at once. Raises `OutputError` where it cannot be written."""
    if sys.stdout is None:
        raise OutputError("standard output is closed: give it a file or a pipe")
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError as error:
        silence(sys.stdout.fileno())
        raise OutputError(
            f"standard output cannot be written ({error.strerror}): the output is not complete"
        ) from error


def complain(text: str) -> None:
    """Print a line to standard error, where there is one that takes it."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(f"sharpedge: {text}\n")
        sys.stderr.flush()
    except OSError:
        silence(sys.stderr.fileno())


def silence(descriptor: int) -> None:
    """Turn a stream to nowhere: Python flushes once more at its end and would fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
