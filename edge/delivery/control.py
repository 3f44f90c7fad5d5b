"""What the daemon's thread sets for the sender's thread, and what it reads of it.

Layer: delivery; shared between the two threads: each field has one writer.
"""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge.delivery.standing import Announcement

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.contract.payloads import Command, HealthMessage
    from edge.delivery.figures import Counted, Figures
    from edge.delivery.outbox import Outbox


@dataclass
class Control:
    """Fields of the daemon's thread come first, then those of the sender's thread.

    ``figures`` counts what is published on the topic health, on a thread of its own; ``health``
    gives the message with these counts, on the sender's. ``stop_by_s`` is the
    monotonic time by which the sender must have ended, None while it runs.
    """

    announcement: Announcement = field(default_factory=Announcement)
    figures: Figures | None = None
    health: Callable[[Outbox, Counted], HealthMessage] | None = None
    stop_by_s: float | None = None

    commands: queue.SimpleQueue[Command] = field(default_factory=queue.SimpleQueue)
    """Dashboards' commands about the folder; the daemon's thread takes them."""
    turned_s: float = field(default_factory=time.monotonic)
    reconnects: int = 0
    dropped: int = 0
    """Receipts and commands that were malformed, retained or for something else."""

    @property
    def stopping(self) -> bool:
        """Whether the daemon wants the sender to end."""
        return self.stop_by_s is not None
