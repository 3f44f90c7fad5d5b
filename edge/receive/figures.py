"""Figures of the receiver, for whoever watches it: a small file in the inbox.

Layer: receive; writes and reads one file. The receiver serves no figures itself: the appliance
reads them and serves them with its own.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from edge.model import Record
from edge.system.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

log = logging.getLogger(__name__)

FILE = ".figures.json"
_LONGEST_BYTES = 1 << 16
_MODE = 0o640


class ReceiverFigures(Record):
    """What a receiver has counted since its start."""

    started_unix_s: float
    answers: dict[str, int] = Field(
        default={}, description="instances by status of the answer, four hexadecimal digits"
    )
    rejected: int = Field(default=0, ge=0, description="associations that were rejected")


class FigureFile:
    """Writes the figures of a receiver to the inbox ``folder`` where they have changed."""

    def __init__(self, folder: Path, started_unix_s: float) -> None:
        self._path = folder / FILE
        self._started_unix_s = started_unix_s
        self._written: ReceiverFigures | None = None

    def write(self, answers: Mapping[int, int], rejected: int) -> None:
        """Write them; a fault of the disk is left to the next turn."""
        found = ReceiverFigures(
            started_unix_s=self._started_unix_s,
            answers={f"{status:04X}": count for status, count in answers.items()},
            rejected=rejected,
        )
        if found == self._written:
            return
        try:
            write_whole(self._path, found.model_dump_json().encode(), durable=False, mode=_MODE)
        except OSError as error:
            log.debug("figures cannot be written (%s)", error.strerror)
            return
        self._written = found


def read_figures(folder: Path) -> ReceiverFigures | None:
    """Figures of the receiver that has the inbox ``folder``, or had it last; None without any."""
    try:
        with (folder / FILE).open("rb") as file:
            return ReceiverFigures.model_validate_json(file.read(_LONGEST_BYTES))
    except (OSError, ValidationError):
        return None
