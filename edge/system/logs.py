"""Log lines with time, level and film: as text, as JSON, or to systemd's journal with fields.

A line about one film starts with ``job N:``; N becomes the field ``film``.

Layer: system; writes to standard error or to the journal's socket.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import struct
import sys
from datetime import datetime, timezone
from pathlib import Path

from edge.enums import StrEnum

JOURNAL_SOCKET = Path("/run/systemd/journal/socket")
_IDENTIFIER = "sharpedge"
_FILM = re.compile(r"\bjob (\d+)\b")
_LONGEST = 16_384
"""Characters of a line; the journal takes a datagram of twice this everywhere."""
_SEND_S = 0.2


class LogFormat(StrEnum):
    """How log lines are written."""

    AUTO = "auto"
    """Fields for the journal under systemd, else text."""
    TEXT = "text"
    JSON = "json"
    JOURNAL = "journal"


class LogLevel(StrEnum):
    """The least level that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def priority(level: int) -> int:
    """Syslog's priority of a logging level."""
    steps = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
    return next((number for least, number in steps if level >= least), 7)


def film_of(message: str) -> int | None:
    """Job number of the film that a line is about."""
    found = _FILM.search(message)
    return None if found is None else int(found.group(1))


def _message(record: logging.LogRecord) -> str:
    return record.getMessage()[:_LONGEST]


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


class TextFormatter(logging.Formatter):
    """``2026-03-01T08:15:02.123Z WARNING edge.daemon.films: job 12: ...``, one line an event."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        text = _message(record).replace("\n", "; ")
        return f"{_time(record)} {record.levelname} {record.name}: {text}"


class PrefixFormatter(logging.Formatter):
    """``<4>edge.daemon.films: ...``: systemd reads the priority from the prefix."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        text = _message(record).replace("\n", "; ")
        return f"<{priority(record.levelno)}>{record.name}: {text}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        text = _message(record)
        fields: dict[str, object] = {
            "time": _time(record), "level": record.levelname.lower(), "logger": record.name,
            "message": text,
        }  # fmt: skip
        film = film_of(text)
        return json.dumps(fields if film is None else fields | {"film": film}, ensure_ascii=False)


_FORMATTERS = (TextFormatter, PrefixFormatter, JsonFormatter)


class JournalHandler(logging.Handler):
    """Sends records to systemd's journal with priority and fields; to a stream where that fails.

    Fields: ``PRIORITY``, ``SYSLOG_IDENTIFIER``, ``LOGGER``, ``FILM`` (job number) and ``MESSAGE``.
    """

    def __init__(self, path: Path = JOURNAL_SOCKET) -> None:
        super().__init__()
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(_SEND_S)
        self._fallback = logging.StreamHandler()
        self._fallback.setFormatter(PrefixFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        try:
            self._socket.sendto(datagram(record), self._path)
        except OSError:
            self._fallback.emit(record)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()


def datagram(record: logging.LogRecord) -> bytes:
    """A record in the journal's native protocol."""
    text = _message(record)
    film = film_of(text)
    fields = {
        "PRIORITY": str(priority(record.levelno)),
        "SYSLOG_IDENTIFIER": _IDENTIFIER,
        "LOGGER": record.name,
        **({} if film is None else {"FILM": str(film)}),
        "MESSAGE": text,
    }
    return b"".join(_field(name, value.encode("utf-8", "replace")) for name, value in
                    fields.items())  # fmt: skip


def _field(name: str, value: bytes) -> bytes:
    if b"\n" not in value:
        return b"%s=%s\n" % (name.encode(), value)
    # A value of several lines is preceded by its length.
    return b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(value)), value)


def under_journal() -> bool:
    """Whether standard error is a stream to systemd's journal."""
    try:
        device, inode = map(int, os.environ.get("JOURNAL_STREAM", "").split(":"))
        found = os.fstat(sys.stderr.fileno())
    except (ValueError, OSError, AttributeError):
        return False
    return (found.st_dev, found.st_ino) == (device, inode)


_QUOTING = ("pydicom", "highdicom", "pynetdicom")
"""Loggers of libraries whose lines quote what stands in films, or what peers send."""


def set_up_logs(style: LogFormat = LogFormat.AUTO, level: LogLevel = LogLevel.INFO) -> None:
    """Send the log lines of this process to where ``style`` says.

    May be called again: the former handler is replaced.
    """
    if style is LogFormat.AUTO:
        style = LogFormat.JOURNAL if under_journal() else LogFormat.TEXT
    handler: logging.Handler = logging.StreamHandler()
    if style is LogFormat.JOURNAL and JOURNAL_SOCKET.exists():
        handler = JournalHandler()
    elif style is LogFormat.JOURNAL:
        handler.setFormatter(PrefixFormatter())
    else:
        handler.setFormatter(JsonFormatter() if style is LogFormat.JSON else TextFormatter())
    root = logging.getLogger()
    for former in root.handlers[:]:
        # Another's handler stays, as a test's that collects records.
        if isinstance(former, JournalHandler) or isinstance(former.formatter, _FORMATTERS):
            root.removeHandler(former)
            former.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _QUOTING:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    # A log whose reader has gone is no reason to stop.
    logging.raiseExceptions = False
