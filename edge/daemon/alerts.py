"""What is wrong for now, by code: raised by whoever sees it, ended by the same.

Part of `daemon`, on its thread; touches nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.contract.payloads import Alert

if TYPE_CHECKING:
    from collections.abc import Callable


class Alerts:
    """The standing alerts; ``changed`` is called after each change."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._standing: dict[str, Alert] = {}

    def standing(self) -> tuple[Alert, ...]:
        """All of them, in the order in which they were raised."""
        return tuple(self._standing.values())

    def say(self, code: str, detail: str | None) -> bool:
        """Raise an alert, or end it where nothing is to be said; whether that is new."""
        news = self.note(code, detail)
        if news:
            self._changed()
        return news

    def note(self, code: str, detail: str | None) -> bool:
        """As `say`, for one who tells of the change with more news of its own."""
        if not detail:
            return self._standing.pop(code, None) is not None
        alert = Alert(code=code, detail=detail)
        news = self._standing.get(code) != alert
        self._standing[code] = alert
        return news
