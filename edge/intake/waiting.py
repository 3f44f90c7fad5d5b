"""Films that are whole and wait for the worker: new ones and the backlog take turns.

Layer: intake; a data structure, touches no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.intake.settle import Source

if TYPE_CHECKING:
    from edge.intake.settle import Ready


class Waiting:
    """Whole films by path, in the order in which they became so.

    One that came since the start and one of the backlog are given in turn, so that neither waits
    for all of the other.
    """

    def __init__(self) -> None:
        self._new: dict[bytes, Ready] = {}
        self._backlog: dict[bytes, Ready] = {}
        self._new_is_next = True

    def __len__(self) -> int:
        return len(self._new) + len(self._backlog)

    def __contains__(self, path: object) -> bool:
        return path in self._new or path in self._backlog

    def add(self, ready: Ready) -> None:
        """Take in a film."""
        part = self._backlog if ready.source is Source.AT_START else self._new
        part[ready.path] = ready

    def drop(self, path: bytes) -> None:
        """Drop a film that must settle again; one that does not wait is passed over."""
        self._new.pop(path, None)
        self._backlog.pop(path, None)

    def next(self) -> Ready | None:
        """Give the film whose turn it is, None where none waits."""
        first, second = self._new, self._backlog
        if not self._new_is_next:
            first, second = second, first
        part = first or second
        if not part:
            return None
        self._new_is_next = part is self._backlog
        return part.pop(next(iter(part)))
