"""Active alerts, keyed by code. The caller that raises an alert also clears it.

Layer: daemon, on its thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.contract.payloads import Alert

if TYPE_CHECKING:
    from collections.abc import Callable


class Alerts:
    """The active alerts; ``announce`` is called after each change."""

    def __init__(self, announce: Callable[[], None]) -> None:
        self.announce = announce
        self._active: dict[str, Alert] = {}

    def active(self) -> tuple[Alert, ...]:
        """All of them, in the order in which they were raised; may be called from any thread."""
        return tuple(self._active.copy().values())

    def update(self, code: str, detail: str | None) -> bool:
        """Raise an alert, or clear it where ``detail`` is empty, and announce a change.

        Returns whether anything changed.
        """
        changed = self.note(code, detail)
        if changed:
            self.announce()
        return changed

    def note(self, code: str, detail: str | None) -> bool:
        """Raise or clear without announcing: for a caller that announces several changes at once.

        Returns whether anything changed.
        """
        if not detail:
            return self._active.pop(code, None) is not None
        alert = Alert(code=code, detail=detail)
        changed = self._active.get(code) != alert
        self._active[code] = alert
        return changed
