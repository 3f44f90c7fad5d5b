"""One connection to the broker while it serves: sends, and takes in what arrives.

Layer: delivery; runs on the sender's thread over an open `Link`.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import sqlite3
import time
from typing import TYPE_CHECKING

from edge.delivery.link import Answered, Arrived, Disconnected, Failure, LinkError, Wake
from edge.delivery.unanswered import REPEATS_A_PASS
from edge.outputs.packet import Extras

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from edge.contract.ids import DeviceName
    from edge.delivery.control import Control
    from edge.delivery.incoming import Incoming
    from edge.delivery.link import Event, Link
    from edge.delivery.outbox import Outbox
    from edge.delivery.outgoing import Outgoing
    from edge.delivery.standing import DeliveryAlerts
    from edge.delivery.state_topic import StateTopic

log = logging.getLogger(__name__)

_RIVAL_GONE_S = 120.0
"""After so long without an end of the connection no other client uses our id."""
_GAP_S = 3.0
"""A loop takes half a second at most: a longer one was stopped, or waited for a locked file."""
_LAST_MESSAGE_S = 1.0
"""Time kept for the last message when the appliance stops."""


class Session:
    """One connection.

    Parameters
    ----------
    events
        Events of this connection only.
    old_states
        Topics ``state`` of the device's former names, each with its name.
    health_s
        Interval of the topic ``health``.
    """

    def __init__(
        self,
        link: Link,
        events: queue.SimpleQueue[Event],
        control: Control,
        outbox: Outbox,
        outgoing: Outgoing,
        incoming: Incoming,
        state: StateTopic,
        alerts: DeliveryAlerts,
        old_states: Mapping[str, DeviceName],
        health_topic: str,
        health_s: float,
    ) -> None:
        self._link: Link | None = link
        self._protocol = link.protocol
        self._events = events
        self._control = control
        self._outbox = outbox
        self._outgoing = outgoing
        self._incoming = incoming
        self._state = state
        self._alerts = alerts
        self._old_states = old_states
        self._health_topic = health_topic
        self._health_s = health_s
        self._health_at_s = 0.0
        self._begun_s = time.monotonic()

    def serve(self) -> None:
        """Send and receive until the appliance stops.

        Raises `LinkError` when the connection ends, `sqlite3.Error` or `OSError` where the journal
        cannot be used; the connection is then closed.
        """
        try:
            self._loop()
        except LinkError:
            self._drop()
            # What had still arrived: the broker does not send it again.
            self._take_in(it for it in self._waiting() if not isinstance(it, Disconnected))
            raise
        except (sqlite3.Error, OSError):
            self._drop()
            raise
        finally:
            self._link = None
            self._outgoing.release()

    def _drop(self) -> None:
        if self._link is not None:
            self._link.abandon()
        self._link = None

    def _loop(self) -> None:
        control = self._control
        check_at_s = resend_at_s = 0.0
        while True:
            before_s, control.turned_s = control.turned_s, time.monotonic()
            now_s = control.turned_s
            if now_s - before_s > _GAP_S:
                self._outgoing.flights.touch(now_s)
            if not control.stopping:
                self._state.publish(self._outgoing, control.announcement, self._protocol)
            self._outgoing.clear_old_topics()
            self._outgoing.send_rows()
            if now_s >= resend_at_s:
                # While a pass is full there are more rows to be sent again.
                more = self._outbox.repeats.choose_overdue() == REPEATS_A_PASS
                resend_at_s = now_s + (0.05 if more else 1.0)
            if now_s >= check_at_s:
                check_at_s = now_s + 1.0
                self._check(now_s)
            if not control.stopping:
                self._outgoing.send_study()
            self._publish_health(now_s)
            if control.stop_by_s is not None and self._has_ended(control.stop_by_s):
                return
            self._receive(0.05 if control.stopping else 0.5)

    def _check(self, now_s: float) -> None:
        if now_s - self._begun_s > _RIVAL_GONE_S:
            self._alerts.clear_alert("client_id")
        self._outgoing.check()

    def _publish_health(self, now_s: float) -> None:
        figures, message = self._control.figures, self._control.health
        if figures is None or message is None:
            return
        assert self._link is not None  # noqa: S101 - called while serving
        if now_s >= self._health_at_s:
            self._health_at_s = now_s + self._health_s
            figures.ask(lambda: self._events.put(Wake()))
        counted = figures.take()
        if counted is None:
            return
        payload = message(self._outbox, counted).model_dump_json().encode()
        self._link.publish(self._health_topic, payload, Extras(), qos=0, retain=True)

    def _has_ended(self, stop_by_s: float) -> bool:
        """Whether it is time to end; publishes ``offline`` and disconnects if so."""
        assert self._link is not None  # noqa: S101 - called while serving
        left_s = stop_by_s - time.monotonic() - _LAST_MESSAGE_S
        if left_s > 0 and (self._outgoing.flights.rows() or self._outbox.next_rows(1, ())):
            return False
        self._outgoing.flights.clear()
        self._state.publish_offline(self._outgoing, self._control.announcement, self._protocol)
        until_s = time.monotonic() + _LAST_MESSAGE_S
        while self._outgoing.flights.has("state") and time.monotonic() < until_s:
            self._receive(0.05)
        self._link.close()
        return True

    def _receive(self, timeout_s: float) -> None:
        """Take in all events; waits for the first one."""
        with contextlib.suppress(queue.Empty):
            self._take_in([self._events.get(timeout=timeout_s), *self._waiting()])

    def _waiting(self) -> Iterator[Event]:
        """Events that wait."""
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._events.get_nowait()

    def _take_in(self, events: Iterable[Event]) -> None:
        acknowledged = []
        receipts: list[tuple[str, str]] = []
        ended: Disconnected | None = None
        for event in events:
            if isinstance(event, Answered):
                row = self._outgoing.answered(event)
                acknowledged += [] if row is None else [row]
            elif isinstance(event, Arrived) and self._incoming.is_receipt(event):
                receipts += self._incoming.read_receipt(event)
            elif isinstance(event, Arrived):
                self._arrived(event)
            elif isinstance(event, Disconnected):
                ended = event
        if acknowledged:
            self._outbox.endings.acknowledged(acknowledged)
        if receipts and (unknown := self._outgoing.receipts(receipts)):
            self._control.dropped += unknown
            log.warning("%d receipts for nothing that was sent were dropped", unknown)
        self._control.dropped += self._incoming.take_dropped()
        if ended is not None:
            log.warning("broker: connection lost (%s)", ended.why)
            failure = Failure.TAKEN_OVER if ended.taken_over else Failure.UNREACHABLE
            raise LinkError(failure, ended.why, ended.code)

    def _arrived(self, event: Arrived) -> None:
        if self._link is None:
            return
        old = self._old_states.get(event.topic)
        if old is not None:
            if event.payload:
                # The late will of an earlier connection.
                self._outgoing.clear(old, event.topic)
            return
        if self._incoming.is_command(event):
            pass_on = self._control.commands.put
            self._answer(self._incoming.answer_command(event, self._publish_again, pass_on))
            return
        if self._incoming.is_decision(event):
            self._answer(self._incoming.answer_decision(event))
            return
        # What other connections of this process published cannot be missing.
        if event.retained and self._control.reconnects <= 1:
            self._incoming.check_published_head(event)
        if self._incoming.contradicts(event) and not self._control.stopping:
            self._state.forget()

    def _answer(self, answer: tuple[str, bytes, Extras] | None) -> None:
        if answer is not None:
            topic, payload, extras = answer
            self._outgoing.publish_plain("answer", topic, payload, extras, retain=False)

    def _publish_again(self) -> None:
        """Have state, health and studies published again."""
        self._state.forget()
        self._health_at_s = 0.0
        self._outbox.studies.republish()
