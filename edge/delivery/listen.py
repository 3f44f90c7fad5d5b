"""A subscriber as an example for integrators: it de-duplicates by id and gives receipts.

Layer: delivery; connects to a broker as a dashboard does.

Results may arrive twice (after a crash, a reconnect, without a receipt), always under one id.
"""

from __future__ import annotations

import logging
import queue
import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import ValidationError

from edge.contract.payloads import (
    AnswerMessage,
    HealthMessage,
    ReceiptMessage,
    RejectMessage,
    ResultMessage,
    StateMessage,
    StudyMessage,
)
from edge.delivery.link import Arrived, Disconnected, Event, Failure, Link, LinkError, open_link
from edge.delivery.rivalry import Rivalry
from edge.outputs.packet import Extras

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.delivery.settings import BrokerSettings, Protocol
    from edge.model import Record

log = logging.getLogger(__name__)

_MODELS: dict[str, type[Record]] = {
    "state": StateMessage,
    "result": ResultMessage,
    "reject": RejectMessage,
    "study": StudyMessage,
    "health": HealthMessage,
    "answer": AnswerMessage,
}
_COMMENT = b"sharpedge result "
_FIRST_REST_S = 0.25
_LONGEST_REST_S = 10.0


@dataclass(frozen=True)
class Received:
    """One message.

    ``kind`` is the last part of the topic (``result``, ``reject``, ``image``, ``state``, ``study``,
    ``health``, ``answer``); ``message`` its model, None for an image, a cleared study, or what does
    not satisfy the contract (then ``fault`` says how). ``result_id`` is set for results, rejects
    and images.
    """

    topic: str
    kind: str
    payload: bytes
    retained: bool
    received_unix_s: float
    message: Record | None = None
    result_id: str | None = None
    fault: str | None = None


@dataclass
class Seen:
    """Ids that arrived before; remembers the latest ``limit``."""

    limit: int = 100_000
    _ids: set[tuple[str, str]] = field(default_factory=set)
    _order: deque[tuple[str, str]] = field(default_factory=deque)
    repeats: int = 0

    def is_new(self, kind: str, result_id: str) -> bool:
        """Whether this is the first message of its kind with this id."""
        key = (kind, result_id)
        if key in self._ids:
            self.repeats += 1
            return False
        self._ids.add(key)
        self._order.append(key)
        if len(self._order) > self.limit:
            self._ids.discard(self._order.popleft())
        return True


def listen(
    broker: BrokerSettings,
    *,
    topic: str = "sharpedge/#",
    client_id: str | None = None,
    receiver: str | None = None,
    seen: Seen | None = None,
    stopped: Callable[[], bool] = lambda: False,
    on_connected: Callable[[str], None] = lambda _protocol: None,
) -> Iterator[Received]:
    """Yield messages until ``stopped``; reconnects for ever.

    Parameters
    ----------
    broker
        Where to connect; user and TLS as in the configuration.
    topic
        Filter to subscribe to.
    client_id
        By default one that no other subscriber has: two with one id end each other's connection.
    receiver
        Name under which receipts are given, each after the caller came back for the next
        message, that is, after the result was processed. None gives no receipts.
    seen
        Memory of ids; results, rejects and images that arrived before are not yielded again.
    stopped
        Asked at least twice a second.
    on_connected
        Called with ``"5"`` or ``"3.1.1"`` when subscribed.
    """
    memory = Seen() if seen is None else seen
    own_id = client_id or f"sharpedge-listen-{secrets.token_hex(6)}"
    pause_s = 0.0
    rivalry = Rivalry()
    while not stopped():
        queues: list[queue.SimpleQueue[Event]] = []

        def make(protocol: Protocol, queues: list[queue.SimpleQueue[Event]] = queues) -> Link:
            # A queue for each attempt: the end of a failed one must not reach the next.
            queues.append(queue.SimpleQueue())
            return Link(
                broker, own_id, protocol, will=None, subscriptions=(topic,), events=queues[-1]
            )

        try:
            link, _ = open_link(make, broker.protocol)
        except LinkError as error:
            log.warning("broker: %s", error)
            rivalry.failed()
            pause_s = min(_LONGEST_REST_S, max(_FIRST_REST_S, pause_s * 2))
            _rest(pause_s, stopped)
            continue
        on_connected(link.protocol)
        begun_s = time.monotonic()
        try:
            yield from _serve(link, queues[-1], memory, receiver, stopped)
        except LinkError as error:
            taken_over = error.failure is Failure.TAKEN_OVER
            lasted_s = time.monotonic() - begun_s
            pause_s = max(_FIRST_REST_S, rivalry.ended(lasted_s, taken_over=taken_over))
            if rivalry.suspected:
                sure = "uses" if taken_over else "seems to use"
                log.warning("broker: another client %s the id %s", sure, own_id)
        finally:
            link.close()
        _rest(pause_s, stopped)


def _rest(pause_s: float, stopped: Callable[[], bool]) -> None:
    until_s = time.monotonic() + pause_s
    while not stopped() and (left_s := until_s - time.monotonic()) > 0:
        time.sleep(min(left_s, _FIRST_REST_S))


def _serve(
    link: Link,
    events: queue.SimpleQueue[Event],
    memory: Seen,
    receiver: str | None,
    stopped: Callable[[], bool],
) -> Iterator[Received]:
    while not stopped():
        try:
            event = events.get(timeout=0.25)
        except queue.Empty:
            continue
        if isinstance(event, Disconnected):
            log.warning("broker: connection lost (%s)", event.why)
            failure = Failure.TAKEN_OVER if event.taken_over else Failure.ENDED
            raise LinkError(failure, event.why)
        if not isinstance(event, Arrived):
            continue
        received = parse(event, time.time())
        if received is None:
            continue
        result_id = received.result_id
        if result_id is None or memory.is_new(received.kind, result_id):
            yield received
        if receiver is not None and result_id and received.kind in {"result", "reject"}:
            receipt = ReceiptMessage(id=result_id, receiver=receiver)
            topic = received.topic.rpartition("/")[0] + "/receipt"
            link.publish(topic, receipt.model_dump_json().encode(), Extras(), qos=1, retain=False)


def parse(event: Arrived, received_unix_s: float) -> Received | None:
    """Parse one message; None for topics on which no appliance publishes."""
    parts = event.topic.split("/")
    if len(parts) < 5 or parts[0] != "sharpedge":
        return None
    kind = parts[4]
    message: Record | None = None
    fault: str | None = None
    result_id: str | None = None
    if kind == "image":
        result_id = _id_in_comment(event.payload)
    elif kind not in _MODELS:
        return None
    elif event.payload:
        try:
            message = _MODELS[kind].model_validate_json(event.payload)
        except ValidationError as error:
            fault = f"{error.error_count()} faults, first: {error.errors()[0]['msg']}"
    if isinstance(message, ResultMessage | RejectMessage):
        result_id = message.id
    return Received(
        topic=event.topic,
        kind=kind,
        payload=event.payload,
        retained=event.retained,
        received_unix_s=received_unix_s,
        message=message,
        result_id=result_id,
        fault=fault,
    )


def _id_in_comment(jpeg: bytes) -> str | None:
    at = jpeg.find(_COMMENT, 0, 4096)
    return None if at < 0 else jpeg[at + len(_COMMENT) :][:36].decode("ascii", "replace")
