"""Delivery: the thread that empties the outbox into the broker.

It opens its own connection to the journal, keeps one `Link` at a time and decides alone what is
sent and what is closed; `edge.delivery.outgoing` sends, `edge.delivery.incoming` reads what comes.
The daemon talks to it by `wake`, `announce`, `report` and `stop`.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import random
import sqlite3
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from edge.contract.payloads import HealthMessage, Presence, StateMessage
from edge.delivery.incoming import Hearing
from edge.delivery.link import (
    Answered,
    Arrived,
    Disconnected,
    Event,
    Failure,
    Link,
    LinkError,
    Wake,
    open_link,
)
from edge.delivery.outbox import Outbox
from edge.delivery.outgoing import Shipping
from edge.delivery.pauses import Pauses
from edge.delivery.refusals import Lane
from edge.delivery.settings import BrokerSettings, DeliverySettings, Protocol
from edge.delivery.standing import Announcement, Latencies, Raised, Standing, presence_with
from edge.delivery.unanswered import REPEATS_A_PASS
from edge.errors import place_of
from edge.journal.names import Names
from edge.journal.store import Store, suspect_mark
from edge.outputs.message import Extras

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from edge.contract.ids import DeviceName
    from edge.contract.payloads import Command
    from edge.model import Record

log = logging.getLogger(__name__)

_RIVAL_GONE_S = 120.0
_RECEIVE_BYTES = 1 << 18
_GAP_S = 3.0
"""A turn takes half a second at most: what goes beyond was spent stopped, or on a locked file."""


class Sender:
    """See the module. Everything public may be called from the daemon's main thread.

    Parameters
    ----------
    journal, key, pictures
        The SQLite file, its chain key, and the folder of labelled pictures.
    device, session
        Who we are, and which start this is.
    """

    def __init__(
        self,
        *,
        journal: Path,
        key: bytes,
        pictures: Path,
        broker: BrokerSettings,
        delivery: DeliverySettings,
        device: DeviceName,
        session: int,
    ) -> None:
        self._journal = journal
        self._key = key
        self._pictures = pictures
        self._broker = broker
        self._delivery = delivery
        self._device = device
        self._session = session
        self._client_id = (
            broker.client_id or f"sharpedge-{device.site}-{device.room}-{device.device}"
        )
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._announcement = Announcement()
        self._announced: Announcement | None = None
        self._health: Callable[[Outbox], HealthMessage] | None = None
        self._link: Link | None = None
        self._raised = Raised()
        self._latencies = Latencies()
        self._reconnects = 0
        self._pauses = Pauses(self._raised)
        self._connected_s = 0.0
        self._since = time.time()
        self.commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        """What dashboards asked of the folder; the daemon's thread takes it."""
        self._dropped = 0
        self._health_at_s = 0.0
        self._turned_s = time.monotonic()
        self._stop_by_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def start(self) -> None:
        """Begin to connect and to send."""
        self._thread.start()

    def wake(self) -> None:
        """There is something new in the outbox."""
        self._events.put(Wake())

    def announce(self, announcement: Announcement) -> None:
        """Say anew how the appliance is; published when it differs from what was said."""
        self._announcement = announcement
        self.wake()

    def report(self, health: Callable[[Outbox], HealthMessage]) -> None:
        """Set where the sender gets the figures that it publishes; called on its thread."""
        self._health = health

    def standing(self) -> Standing:
        """How delivery stands."""
        return Standing(
            connected=self._link is not None,
            reconnects=self._reconnects,
            latency=self._latencies.summary(),
            alerts=self._raised.all(),
            turned_s=self._turned_s,
            dropped=self._dropped,
        )

    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def stop(self, within_s: float) -> None:
        """Send what can be sent, say ``offline``, end; returns within the time given."""
        self._stop_by_s = time.monotonic() + within_s
        self.wake()
        self._thread.join(within_s + 0.5)

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - told, and the daemon sees the thread's end
            if isinstance(error, sqlite3.DatabaseError):
                suspect_mark(self._journal).touch()
            log.error("delivery ended by a fault: %s", place_of(error))  # noqa: TRY400

    def _work(self) -> None:
        store = Store(self._journal, self._key)
        it = self._delivery
        self._outbox = Outbox(store, it.mode, it.receivers, it.resend_s)
        self._names = Names(store, self._device)
        self._shipping = Shipping(
            self._outbox, self._names, self._device, self._pictures, it, self._raised,
            self._latencies,
        )  # fmt: skip
        while not self._stopping():
            self._turned_s = time.monotonic()
            try:
                self._connect()
                self._serve()
            except LinkError as error:
                pause_s = self._pause_after(error)
                self._raised.say("broker", str(error))
                self._rest(pause_s * random.uniform(0.8, 1.2))
            except (sqlite3.OperationalError, OSError) as error:
                log.warning("delivery: %s: tried again", error)
                self._raised.say("outbox", str(error))
                self._drop()
                self._rest(2.0)
        store.close()

    def _stopping(self) -> bool:
        return self._stop_by_s is not None

    def _rest(self, pause_s: float) -> None:
        until_s = time.monotonic() + pause_s
        while not self._stopping() and (left_s := until_s - time.monotonic()) > 0:
            self._turned_s = time.monotonic()
            time.sleep(min(left_s, 0.1))

    def _pause_after(self, error: LinkError) -> float:
        """Draw conclusions from a failure; returns the pause in seconds that it calls for."""
        if not self._connected_s:
            return self._pauses.after_attempt()
        lasted_s, self._connected_s = time.monotonic() - self._connected_s, 0.0
        return self._pauses.after_connection(
            error.failure, lasted_s, in_flight=self._shipping.ended(error)
        )

    def _connect(self) -> None:
        self._connected_s = 0.0
        self._open_names = self._names.open()
        self._old_states = {it.topic("state"): it for it in self._names.to_clear()}
        link, limits = open_link(self._make_link, self._broker.protocol)
        self._link = link
        self._announced = None
        self._raised.end("broker", "outbox")
        self._reconnects += 1
        self._connected_s = time.monotonic()
        log.info("broker: connected, MQTT %s", link.protocol)
        self._hearing = Hearing(
            self._device, self._open_names, self._outbox, self._pictures, self._raised
        )
        self._shipping.begin(link, limits)

    def _make_link(self, protocol: Protocol) -> Link:
        # A queue for each connection: what an old one still says must not reach the new one.
        self._events = queue.SimpleQueue()
        word: Literal["5", "3.1.1"] = "5" if protocol is Protocol.V5 else "3.1.1"
        will = self._state_payload(word, Announcement(Presence.OFFLINE))
        return Link(
            self._broker,
            self._client_id,
            protocol,
            will=(self._device.topic("state"), will),
            subscriptions=(
                *map(self._device.topic, ("receipt", "command", "state", "health")),
                *self._old_topics(),
            ),
            events=self._events,
            receive_bytes=_RECEIVE_BYTES,
        )

    def _old_topics(self) -> Iterator[str]:
        """Topics of former names: answers to what still waits, and the states to be cleared."""
        for name in sorted(self._open_names - {self._device}, key=str):
            yield from (name.topic("receipt"), name.topic("command"))
        yield from self._old_states

    def _drop(self) -> None:
        if self._link is not None:
            self._link.abandon()
        self._link = None

    def _serve(self) -> None:
        """Send and listen until the connection ends or the appliance stops."""
        due_at_s = resend_at_s = self._health_at_s = 0.0
        try:
            while True:
                before_s, self._turned_s = self._turned_s, time.monotonic()
                now_s = self._turned_s
                if now_s - before_s > _GAP_S:
                    self._shipping.flights.touch(now_s)
                self._say_state()
                self._shipping.clear_old_topics()
                self._shipping.send_rows()
                if now_s >= resend_at_s:
                    # While a pass is full there is more to be sent again.
                    more = self._outbox.resend_overdue() == REPEATS_A_PASS
                    resend_at_s = now_s + (0.05 if more else 1.0)
                if now_s >= due_at_s:
                    due_at_s = now_s + 1.0
                    self._chores()
                if not self._stopping():
                    self._shipping.send_study()
                if now_s >= self._health_at_s and self._health is not None:
                    self._health_at_s = now_s + self._delivery.health_s
                    self._publish_plain("health", self._health(self._outbox))
                if self._stopping() and self._farewell():
                    return
                self._listen(0.05 if self._stopping() else 0.5)
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
            self._shipping.release()

    def _farewell(self) -> bool:
        """Whether it is time to go; says goodbye if so."""
        assert self._link is not None  # noqa: S101 - called while serving
        assert self._stop_by_s is not None  # noqa: S101 - called while stopping
        # A second is kept for the last message.
        left_s = self._stop_by_s - time.monotonic() - 1.0
        if left_s > 0 and (self._shipping.flights.rows() or self._outbox.next_rows(1, ())):
            return False
        offline = Announcement(Presence.OFFLINE, self._announcement.versions)
        self._shipping.flights.clear()
        self._say(offline)
        until_s = time.monotonic() + 1.0
        while self._shipping.flights.has("state") and time.monotonic() < until_s:
            self._listen(0.05)
        self._link.close()
        return True

    def _listen(self, timeout_s: float) -> None:
        """Take in all that happened; waits for the first event."""
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
                row = self._shipping.answered(event)
                acknowledged += [] if row is None else [row]
            elif isinstance(event, Arrived) and self._hearing.is_receipt(event):
                receipts += self._hearing.receipt_in(event)
            elif isinstance(event, Arrived):
                self._arrived(event)
            elif isinstance(event, Disconnected):
                ended = event
        if acknowledged:
            self._outbox.acknowledged(acknowledged)
        if receipts and (unknown := self._shipping.receipts(receipts)):
            self._dropped += unknown
            log.warning("%d receipts for nothing that was sent were dropped", unknown)
        self._dropped += self._hearing.take_dropped()
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
                self._shipping.clear(old, event.topic)
            return
        if self._hearing.is_command(event):
            answer = self._hearing.obey(event, self._be_reborn, self.commands.put)
            if answer is not None:
                topic, payload, extras = answer
                self._shipping.publish_plain("answer", topic, payload, extras, retain=False)
            return
        # What other connections of this process published cannot be missing.
        if event.retained and self._reconnects <= 1:
            self._hearing.compare(event, first_start=self._session == 1)
        if self._hearing.contradicts(event, self._session) and not self._stopping():
            self._announced = None

    def _be_reborn(self) -> None:
        self._announced = None
        self._health_at_s = 0.0
        self._outbox.republish_studies()

    def _say_state(self) -> None:
        alerts = (*self._announcement.alerts, *self._raised.all())
        presence = presence_with(self._announcement.presence, alerts)
        wanted = replace(self._announcement, alerts=alerts, presence=presence)
        refused = self._shipping.is_paused(Lane.STATE)
        if (wanted != self._announced or refused) and not self._stopping():
            if not self._shipping.may_send(Lane.STATE):
                return
            self._say(wanted)
            self._announced = wanted

    def _say(self, announcement: Announcement) -> None:
        assert self._link is not None  # noqa: S101 - called while serving
        payload = self._state_payload(self._link.protocol, announcement)
        self._shipping.publish_state(self._device.topic("state"), payload)

    def _state_payload(self, protocol: str, announcement: Announcement) -> bytes:
        head = self._outbox.store.head()
        message = StateMessage.model_validate(
            {
                "state": announcement.presence,
                "session": self._session,
                "site": self._device.site,
                "room": self._device.room,
                "device": self._device.device,
                "since": self._since,
                "protocol": protocol,
                "delivery": self._delivery.mode,
                "versions": announcement.versions,
                "alerts": announcement.alerts,
                "journal_row": head.row,
                "journal_head": head.mac,
            }
        )
        return message.model_dump_json().encode()

    def _chores(self) -> None:
        """Do what time brings about."""
        if time.monotonic() - self._connected_s > _RIVAL_GONE_S:
            self._raised.end("client_id")
        self._shipping.look_after()

    def _publish_plain(self, topic: str, message: Record) -> None:
        assert self._link is not None  # noqa: S101 - called while serving
        payload = message.model_dump_json().encode()
        self._link.publish(self._device.topic(topic), payload, Extras(), qos=0, retain=True)
