"""Clears the retained topics of the appliance's former names.

Layer: delivery; reads and writes names and studies of the journal.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.contract.ids import DeviceName
    from edge.delivery.outbox import Outbox
    from edge.journal.names import Names

_STUDIES = 100


class OldTopics:
    """Retained topics to be cleared on one connection."""

    def __init__(self, names: Names, outbox: Outbox) -> None:
        self._names = names
        self._outbox = outbox
        self.left = names.to_clear()
        """Names whose topics are not all cleared."""
        self._topics = self._all()
        self._in_flight: Counter[str] = Counter()
        self._listed: set[str] = set()
        self._refused: set[str] = set()

    def _all(self) -> Iterator[tuple[DeviceName, str]]:
        for name in tuple(self.left):
            yield from ((name, name.topic(topic)) for topic in ("state", "health"))
            after = ""
            while studies := self._outbox.studies.after(after, _STUDIES):
                after = studies[-1]
                yield from ((name, name.topic("study", study)) for study in studies)
            self._listed.add(str(name))

    def next(self) -> tuple[DeviceName, str] | None:
        """Name and topic to be cleared next."""
        found = next(self._topics, None)
        if found is None:
            self._settle()
        return found

    def sent(self, name: DeviceName) -> None:
        """Note that an empty message was sent."""
        self._in_flight[str(name)] += 1

    def answered(self, name: DeviceName, *, refused: bool) -> None:
        """Take in the broker's answer to one empty message."""
        self._in_flight[str(name)] -= 1
        if refused:
            self._refused.add(str(name))
        self._settle()

    def _settle(self) -> None:
        for name in tuple(self.left):
            text = str(name)
            if text in self._listed and not self._in_flight[text] and text not in self._refused:
                self._names.cleared(name)
                self.left.remove(name)
