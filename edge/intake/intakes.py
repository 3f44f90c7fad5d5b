"""The folders that films come from, as one: the drop folder, and the inbox of the DICOM receiver.

Layer: intake; each folder has a thread of its own, so that a share that hangs stops no other.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge.intake.film import Film
    from edge.intake.intake import Condition, Intake
    from edge.intake.seen import Listing
    from edge.model import Signature


class Intakes:
    """Both intakes; films are fetched from them in turn."""

    def __init__(self, drop: Intake, inbox: Intake) -> None:
        self.drop = drop
        self.inbox = inbox
        self._next, self._other = drop, inbox

    def start(self) -> None:
        """Begin to follow the folders."""
        self.drop.start()
        self.inbox.start()

    def stop(self) -> None:
        """Take no further film; returns at once."""
        self.drop.stop()
        self.inbox.stop()

    @property
    def is_started(self) -> bool:
        """Whether `start` was called."""
        return self.drop.is_started

    @property
    def following(self) -> bool:
        """Whether each folder was looked at once."""
        return self.drop.following and self.inbox.following

    def is_alive(self) -> bool:
        """Whether both threads run."""
        return self.drop.is_alive() and self.inbox.is_alive()

    def fetch(self) -> Film | None:
        """Next film that is whole, None when none waits."""
        film = self._next.fetch()
        if film is None:
            return self._other.fetch()
        self._next, self._other = self._other, self._next
        return film

    def forget(self, paths: Collection[bytes]) -> None:
        """Take these files for new ones; returns at once."""
        self.drop.forget(paths)
        self.inbox.forget(paths)

    def first_listing(self) -> Listing | None:
        """Paths that the first listings met; None until both were done."""
        return _both(self.drop.first_listing(), self.inbox.first_listing())

    def latest_listing(self) -> Listing | None:
        """Paths that the latest listings met; None where one folder cannot be listed."""
        return _both(self.drop.latest_listing(), self.inbox.latest_listing())

    def passed_over(self) -> list[tuple[bytes, Signature]] | None:
        """What lay in the drop folder at the start and is left alone; None until it was listed."""
        return self.drop.passed_over()

    def condition(self) -> Condition:
        """How the drop folder stands; ``waiting`` counts the films of both."""
        drop, inbox = self.drop.condition(), self.inbox.condition()
        return replace(drop, waiting=drop.waiting + inbox.waiting)


def _both(one: Listing | None, other: Listing | None) -> Listing | None:
    return None if one is None or other is None else one.with_paths_of(other)
