"""Delivery: the thread that empties the outbox into the broker.

It opens its own connection to the journal, keeps one `Link` at a time and decides alone what is
sent and what is closed. The daemon talks to it by `wake`, `announce`, `report` and `stop`.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import queue
import random
import sqlite3
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from pydantic import ValidationError

from edge.delivery.commands import carry_out, command_in
from edge.delivery.contract import (
    Alert,
    HealthMessage,
    Presence,
    ReceiptMessage,
    StateMessage,
)
from edge.delivery.link import (
    TOO_LARGE,
    Answered,
    Arrived,
    Connected,
    Disconnected,
    Event,
    Extras,
    Failure,
    Link,
    LinkError,
    Wake,
    open_link,
)
from edge.delivery.message import packet_of
from edge.delivery.outbox import RESENDS_A_PASS, Outbox, Row, StudyRow
from edge.delivery.settings import BrokerSettings, DeliverySettings, Protocol
from edge.delivery.standing import Announcement, Latencies, Standing
from edge.delivery.store import Head, Store, suspect_mark
from edge.delivery.suspects import Rivalry, Suspects
from edge.errors import place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from edge.delivery.contract import Command
    from edge.delivery.identity import DeviceName
    from edge.model import Record

log = logging.getLogger(__name__)

_Told = TypeVar("_Told", StateMessage, HealthMessage)

IN_FLIGHT = 32
_PACKET_OVERHEAD = 1024
"""Bytes kept free for topic and properties when a payload is held against the broker's limit."""
_FIRST_REST_S = 0.25
_LONGEST_REST_S = 8.0
"""Between attempts to connect: a broker that comes back is served soon."""
_LONGEST_FLAP_S = 4.0
"""The same where connections come about and end."""
_LASTING_S = 10.0
_RIVAL_GONE_S = 120.0
_PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
"""Why a picture cannot be read now, and can later."""
_RECEIVE_BYTES = 1 << 18
_RECEIPT_BYTES = 4096
"""No receipt is longer."""


_HALF_SENT = -1
"""Number of a message that was being written when the connection ended."""


class _Flight(NamedTuple):
    """A row that is with the broker and not acknowledged."""

    row: Row
    size_bytes: int


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
        self._limits = Connected(None, IN_FLIGHT)
        self._rows: dict[int, _Flight] = {}
        self._studies: dict[int, StudyRow] = {}
        self._states: set[int] = set()
        self._alerts: dict[str, Alert] = {}
        self._latencies = Latencies()
        self._reconnects = 0
        self._suspects = Suspects()
        self._rivalry = Rivalry()
        self._connected_s = self._sent_s = 0.0
        self._proved = False
        """Whether the broker has acknowledged anything on this connection."""
        self._dropped = 0
        self._since = time.time()
        self.commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        """What dashboards asked of the folder; the daemon's thread takes it."""
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
            alerts=tuple(self._alerts.values()),
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
        pause_s = 0.0
        while not self._stopping():
            self._turned_s = time.monotonic()
            try:
                self._connect()
                self._serve()
            except LinkError as error:
                pause_s = self._pause_after(error, pause_s)
                self._alert("broker", str(error))
                self._rest(pause_s * random.uniform(0.8, 1.2))
            except (sqlite3.OperationalError, OSError) as error:
                log.warning("delivery: %s: tried again", error)
                self._alert("outbox", str(error))
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

    def _pause_after(self, error: LinkError, before_s: float) -> float:
        """Draw conclusions from a failure; returns the pause in seconds that it calls for.

        ``before_s`` was the pause before.
        """
        if not self._connected_s:
            self._rivalry.failed()
            return min(_LONGEST_REST_S, max(_FIRST_REST_S, before_s * 2))
        now_s = time.monotonic()
        lasted_s, self._connected_s = now_s - self._connected_s, 0.0
        in_flight = {it.row.row: it for it in self._rows.values()}
        sizes = {number: it.size_bytes for number, it in in_flight.items()}
        # A broker that had answered nothing yet may end a connection for reasons of its own.
        guilty = self._suspects.ended(sizes, now_s - self._sent_s if self._proved else math.inf)
        if guilty is not None:
            self._set_aside(in_flight[guilty].row, "ends_the_connection")
        taken_over = error.failure is Failure.TAKEN_OVER
        if in_flight and not taken_over:
            return _FIRST_REST_S
        pause_s = self._rivalry.ended(lasted_s, taken_over=taken_over)
        if self._rivalry.suspected:
            sure = "uses" if taken_over else "seems to use"
            self._alert("client_id", f"another client {sure} this appliance's client id")
        flap_s = 0.0 if lasted_s > _LASTING_S else min(_LONGEST_FLAP_S, before_s * 2)
        return max(pause_s, flap_s, _FIRST_REST_S)

    def _connect(self) -> None:
        self._connected_s, self._proved = 0.0, False
        link, self._limits = open_link(self._make_link, self._broker.protocol)
        self._link = link
        self._rows, self._studies, self._states = {}, {}, set()
        self._announced = None
        self._alerts.pop("broker", None)
        self._alerts.pop("outbox", None)
        self._reconnects += 1
        self._connected_s = time.monotonic()
        log.info("broker: connected, MQTT %s", link.protocol)
        self._outbox.reopen()

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
            subscriptions=tuple(map(self._device.topic, ("receipt", "command", "state", "health"))),
            events=self._events,
            receive_bytes=_RECEIVE_BYTES,
        )

    def _drop(self) -> None:
        if self._link is not None:
            self._link.abandon()
        self._link = None

    def _serve(self) -> None:
        """Send and listen until the connection ends or the appliance stops."""
        due_at_s = resend_at_s = self._health_at_s = 0.0
        try:
            while True:
                self._turned_s = now_s = time.monotonic()
                self._say_state()
                self._send_rows()
                if now_s >= resend_at_s:
                    # While a pass is full there is more to be sent again.
                    more = self._outbox.resend_overdue() == RESENDS_A_PASS
                    resend_at_s = now_s + (0.05 if more else 1.0)
                if now_s >= due_at_s:
                    due_at_s = now_s + 1.0
                    self._chores()
                self._send_study()
                if now_s >= self._health_at_s and self._health is not None:
                    self._health_at_s = now_s + self._delivery.health_s
                    self._publish_plain("health", self._health(self._outbox), qos=0)
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

    def _farewell(self) -> bool:
        """Whether it is time to go; says goodbye if so."""
        assert self._link is not None  # noqa: S101 - called while serving
        assert self._stop_by_s is not None  # noqa: S101 - called while stopping
        # A second is kept for the last message.
        left_s = self._stop_by_s - time.monotonic() - 1.0
        if left_s > 0 and (self._rows or self._outbox.next_rows(1, ())):
            return False
        offline = Announcement(Presence.OFFLINE, self._announcement.versions)
        self._states.clear()
        self._say(offline)
        until_s = time.monotonic() + 1.0
        while self._states and time.monotonic() < until_s:
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
                acknowledged += self._answered(event)
            elif isinstance(event, Arrived) and event.topic == self._device.topic("receipt"):
                receipts += self._receipt_in(event)
            elif isinstance(event, Arrived):
                self._arrived(event)
            elif isinstance(event, Disconnected):
                ended = event
        if acknowledged:
            self._outbox.acknowledged(acknowledged)
        if receipts and (unknown := self._outbox.receipts(receipts)):
            self._dropped += unknown
            log.warning("%d receipts for nothing that was sent were dropped", unknown)
        if ended is not None:
            log.warning("broker: connection lost (%s)", ended.why)
            failure = Failure.TAKEN_OVER if ended.taken_over else Failure.UNREACHABLE
            raise LinkError(failure, ended.why)

    def _answered(self, event: Answered) -> list[int]:
        flight = self._rows.pop(event.mid, None)
        study = self._studies.pop(event.mid, None)
        self._states.discard(event.mid)
        self._proved = True
        if flight is not None:
            row = flight.row
            if not event.refusal:
                self._alerts.pop("message_refused", None)
                self._suspects.taken(row.row, flight.size_bytes)
                return [row.row]
            self._suspects.cleared((row.row,))
            if event.refusal == TOO_LARGE:
                self._set_aside(row, "larger_than_broker_limit")
            elif self._outbox.refused(row.row, event.refusal):
                self._alerts.pop("message_refused", None)
                self._set_aside_alert(row, event.refusal)
            else:
                self._alert("message_refused", f"job {row.job}: {row.kind}: {event.refusal}")
        if study is not None and not event.refusal:
            self._outbox.study_published(study)
        return []

    def _arrived(self, event: Arrived) -> None:
        if self._link is None:
            return
        if event.topic == self._device.topic("command"):
            self._obey(event)
            return
        if event.retained:
            self._compare(event)
        if event.topic != self._device.topic("state"):
            return
        state = _read(StateMessage, event.payload)
        # Cleared, overwritten by a stranger, or by the late will of an earlier connection.
        lies = state is None or state.state is Presence.OFFLINE or state.session < self._session
        if lies and not self._stopping():
            self._announced = None

    def _compare(self, event: Arrived) -> None:
        """Hold the journal against the head that was published before this connection."""
        told: StateMessage | HealthMessage | None = (
            _read(StateMessage, event.payload)
            if event.topic == self._device.topic("state")
            else _read(HealthMessage, event.payload)
        )
        # What other connections of this process published cannot be missing, and what a journal
        # finds at its first start another one had published.
        if told is None or not told.journal_row or self._reconnects > 1:
            return
        head = Head(told.journal_row, told.journal_head)
        if self._outbox.note_published(head, first_start=self._session == 1):
            detail = f"row {told.journal_row} was published and is not in the journal"
            self._alert("journal_cut", f"{detail}: an older one was put back? sharpedge audit")

    def _obey(self, event: Arrived) -> None:
        wish = command_in(event)
        if wish is None:
            self._dropped += 1
            log.warning("a command was dropped: retained or malformed")
            return
        log.info("command: %s", wish.command)
        answer = carry_out(wish, self._outbox.store, self._be_reborn, self.commands.put)
        assert self._link is not None  # noqa: S101 - called while serving
        # Only among our own topics: nobody sends us to write anywhere else.
        topic = event.response_topic or ""
        if not topic.startswith("sharpedge/") or set(topic) & set("+#\0"):
            topic = self._device.topic("answer")
        extras = Extras(correlation=event.correlation)
        self._link.publish(topic, answer.model_dump_json().encode(), extras, qos=1, retain=False)

    def _be_reborn(self) -> None:
        self._announced = None
        self._health_at_s = 0.0
        self._outbox.republish_studies()

    def _receipt_in(self, event: Arrived) -> list[tuple[str, str]]:
        """Read a receipt; nothing where it is none."""
        if not event.retained and len(event.payload) <= _RECEIPT_BYTES:
            with contextlib.suppress(ValidationError):
                receipt = ReceiptMessage.model_validate_json(event.payload)
                # One that names two results names none.
                if event.correlation in {None, b"", receipt.id.encode()}:
                    return [(receipt.id, receipt.receiver)]
        self._dropped += 1
        log.warning("a receipt was dropped: retained, malformed, or with another's correlation")
        return []

    def _say_state(self) -> None:
        alerts = (*self._announcement.alerts, *self._alerts.values())
        wanted = replace(self._announcement, alerts=alerts)
        if wanted != self._announced and not self._stopping():
            self._say(wanted)
            self._announced = wanted

    def _say(self, announcement: Announcement) -> None:
        assert self._link is not None  # noqa: S101 - called while serving
        payload = self._state_payload(self._link.protocol, announcement)
        topic = self._device.topic("state")
        self._states.add(self._link.publish(topic, payload, Extras(), qos=1, retain=True))

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

    def _send_rows(self) -> None:
        # A few places of the broker's window are kept for state and study.
        window = max(1, min(IN_FLIGHT, self._limits.window - 8))
        if self._suspects.careful:
            # Sent alone, and where the broker is known to answer: only then does an end blame it.
            window = 1 if self._proved else 0
        free = window - len(self._rows) - len(self._studies)
        if free <= 0:
            return
        flying = {it.row.row for it in self._rows.values()}
        sent = [row for row in self._outbox.next_rows(free, flying) if self._send(row)]
        if sent:
            self._outbox.note_sent(sent)

    def _send(self, row: Row) -> bool:
        """Send one row, or set it aside; whether it was sent."""
        assert self._link is not None  # noqa: S101 - called while serving
        if not row.sound:
            self._outbox.score_again(row)
            self._set_aside_alert(row, "damaged in the journal: its film is scored anew")
            return False
        try:
            packet = packet_of(row, self._device, self._pictures, self._delivery.historical_s)
        except (OSError, ValidationError) as error:
            if isinstance(error, OSError) and error.errno in _PASSING:
                raise
            log.warning("job %d: message cannot be made: %s", row.job, place_of(error))
            self._set_aside(row, "unreadable")
            return False
        if packet.latency_ms is not None:
            self._latencies.note(packet.latency_ms)
        limit = self._limits.packet_limit
        if limit is not None and len(packet.payload) + _PACKET_OVERHEAD > limit:
            self._set_aside(row, "larger_than_broker_limit")
            return False
        flight = _Flight(row, len(packet.payload))
        self._sent_s = time.monotonic()
        try:
            mid = self._link.publish(
                packet.topic, packet.payload, packet.extras, qos=1, retain=False
            )
        except LinkError:
            # The broker may have hung up at the first bytes of this very message.
            self._rows[_HALF_SENT] = flight
            raise
        self._rows[mid] = flight
        log.info("job %d: %s sent", row.job, row.kind)
        return True

    def _set_aside(self, row: Row, why: str) -> None:
        self._outbox.set_aside(row.row, why)
        self._set_aside_alert(row, why)

    def _set_aside_alert(self, row: Row, why: str) -> None:
        log.error("job %d: %s set aside: %s", row.job, row.kind, why)
        self._alert("message_set_aside", f"job {row.job}: {row.kind}: {why}")

    def _send_study(self) -> None:
        assert self._link is not None  # noqa: S101 - called while serving
        if self._studies or self._stopping():
            return
        found = self._outbox.next_study(self._delivery.study_ttl_s)
        if found is None:
            return
        payload = b"" if found.message is None else found.message.model_dump_json().encode()
        extras = Extras(expiry_s=int(self._delivery.study_ttl_s))
        topic = self._device.topic("study", found.study)
        self._studies[self._link.publish(topic, payload, extras, qos=1, retain=True)] = found

    def _chores(self) -> None:
        """Do what time brings about."""
        self._outbox.expire_studies(self._delivery.study_wait_s)
        if time.monotonic() - self._connected_s > _RIVAL_GONE_S:
            self._alerts.pop("client_id", None)
        depth = self._outbox.depth()
        if depth.rows and depth.oldest_s > self._delivery.alert_s:
            self._alert("undelivered", "results wait in the outbox longer than alert_s")
        else:
            self._alerts.pop("undelivered", None)

    def _publish_plain(self, topic: str, message: Record, *, qos: int) -> None:
        assert self._link is not None  # noqa: S101 - called while serving
        payload = message.model_dump_json().encode()
        self._link.publish(self._device.topic(topic), payload, Extras(), qos=qos, retain=True)

    def _alert(self, code: str, detail: str) -> None:
        alert = Alert(code=code, detail=detail)
        if self._alerts.get(code) != alert:
            log.warning("alert %s: %s", code, detail)
        self._alerts[code] = alert


def _read(model: type[_Told], payload: bytes) -> _Told | None:
    """Read a message of our own kind; None for anything else."""
    with contextlib.suppress(ValidationError):
        return model.model_validate_json(payload)
    return None
