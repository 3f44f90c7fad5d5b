"""What the PACS thread does and since when, and which step lasts longer than every deadline.

Layer: delivery; the PACS thread writes it, the daemon's thread reads it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from edge.delivery.pacs.settings import PacsSettings

_SLACK_S = 10.0
"""For the ends of pynetdicom's threads."""


class _Step(NamedTuple):
    what: str
    began_s: float


class Steps:
    """The step in work of the PACS thread."""

    def __init__(self, settings: PacsSettings) -> None:
        # The name, TCP, TLS, the association and its end; then the answer.
        self.limit_s = 5 * settings.connect_s + settings.answer_s + _SLACK_S
        self._step = _Step("the thread starts", time.monotonic())

    def begin(self, what: str) -> None:
        """Name the step that begins now, and ends when the next one begins."""
        self._step = _Step(what, time.monotonic())

    def hanging(self) -> str | None:
        """Name the step that has taken longer than its deadlines allow; None without one."""
        what, began_s = self._step
        return what if time.monotonic() - began_s > self.limit_s else None
