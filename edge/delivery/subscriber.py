"""A subscriber on a thread of its own, for the demo and the benchmarks.

Layer: delivery; connects to a broker as a dashboard does.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING

from typing_extensions import Self

from edge.contract.payloads import StateMessage
from edge.delivery.listen import Received, listen
from edge.delivery.settings import BrokerSettings, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Subscriber:
    """Messages that a dashboard would receive, in order of arrival."""

    def __init__(self, port: int, protocol: Protocol = Protocol.AUTO) -> None:
        self.messages: queue.Queue[Received] = queue.Queue()
        self.protocol = ""
        self._stop = threading.Event()
        self._ready = threading.Event()
        settings = BrokerSettings(port=port, protocol=protocol)
        self._thread = threading.Thread(target=self._run, args=(settings,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)

    def _connected(self, protocol: str) -> None:
        self.protocol = protocol
        self._ready.set()

    def _run(self, settings: BrokerSettings) -> None:
        for message in listen(
            settings,
            client_id="sharpedge-demo-dashboard",
            receiver="demo-dashboard",
            stopped=self._stop.is_set,
            on_connected=self._connected,
        ):
            self.messages.put(message)

    def wait_for(
        self,
        wanted: Callable[[Received], bool],
        limit_s: float,
        alive: Callable[[], bool] = lambda: True,
    ) -> Received | None:
        """Next message that is wanted.

        ``None`` after ``limit_s``, or soon after its sender is no longer ``alive``.
        """
        end = time.monotonic() + limit_s
        while (left := end - time.monotonic()) > 0:
            was_alive = alive()
            try:
                message = self.messages.get(timeout=min(left, 0.5))
            except queue.Empty:
                if not was_alive:
                    return None
                continue
            if wanted(message):
                return message
        return None


def state_of(message: Received) -> str | None:
    """The state that a message announces, or ``None`` for any other message."""
    return str(message.message.state) if isinstance(message.message, StateMessage) else None


def serves(message: Received) -> bool:
    """Whether a message says that the appliance is up and has loaded its engines."""
    body = message.message
    up = state_of(message) in ("online", "degraded")
    return up and isinstance(body, StateMessage) and body.versions is not None
