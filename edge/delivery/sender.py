"""The sender: the thread that connects to the broker, again and again.

Layer: delivery; opens its own connection to the journal and one `Link` at a time.

`edge.delivery.session` serves a connection, `edge.delivery.outgoing` sends and
`edge.delivery.incoming` reads. The daemon uses `Sender.wake`, `announce`, `report` and `stop`.
"""

from __future__ import annotations

import logging
import queue
import random
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

from edge import __version__
from edge.contract.home_assistant import discovery
from edge.contract.payloads import Presence
from edge.delivery.broker_faults import broker_fault
from edge.delivery.control import Control
from edge.delivery.figures import Figures
from edge.delivery.incoming import Incoming
from edge.delivery.link import Event, Link, LinkError, Wake, open_link
from edge.delivery.outbox import Outbox
from edge.delivery.outgoing import Outgoing
from edge.delivery.pauses import Pauses
from edge.delivery.session import Session
from edge.delivery.settings import BrokerSettings, DeliverySettings, Protocol
from edge.delivery.standing import Announcement, DeliveryAlerts, Latencies, Standing
from edge.delivery.state_topic import StateTopic
from edge.errors import place_of
from edge.journal.names import Names
from edge.journal.store import Store, suspect_mark
from edge.outputs.packet import Extras
from edge.outputs.settings import JoiningSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.contract.ids import DeviceName
    from edge.contract.payloads import Command, HealthMessage
    from edge.delivery.figures import Counted

log = logging.getLogger(__name__)

_RECEIVE_BYTES = 1 << 18
_JOURNAL_PAUSE_S = 2.0


class Sender:
    """The thread; everything public may be called from the daemon's main thread.

    Parameters
    ----------
    journal, key, pictures
        The SQLite file, its chain key, and the folder of labelled pictures.
    device, session
        The appliance's name, and the number of this start.
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
        joining: JoiningSettings | None = None,
    ) -> None:
        self._journal = journal
        self._key = key
        self._pictures = pictures
        self._broker = broker
        self._delivery = delivery
        self._device = device
        self._session = session
        self._joining = joining or JoiningSettings()
        self._client_id = broker.client_id_of(device)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._control = Control()
        self._alerts = DeliveryAlerts()
        self._latencies = Latencies()
        self._pauses = Pauses(self._alerts)
        self._is_connected = False
        self._connected_s = 0.0
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    @property
    def commands(self) -> queue.SimpleQueue[Command]:
        """Dashboards' commands about the folder; the daemon's thread takes them."""
        return self._control.commands

    def start(self) -> None:
        """Begin to connect and to send."""
        self._thread.start()

    def wake(self) -> None:
        """Have the outbox read now: it has a new row."""
        self._events.put(Wake())

    def announce(self, announcement: Announcement) -> None:
        """Set the appliance's condition; it is published where it has changed."""
        self._control.announcement = announcement
        self.wake()

    def report(self, health: Callable[[Outbox, Counted], HealthMessage]) -> None:
        """Set the function that gives the published figures; it is called on this thread."""
        self._control.figures = Figures(self._journal)
        self._control.health = health

    def standing(self) -> Standing:
        """Condition of delivery."""
        return Standing(
            connected=self._is_connected,
            reconnects=self._control.reconnects,
            latency=self._latencies.summary(),
            alerts=self._alerts.active(),
            turned_s=self._control.turned_s,
            dropped=self._control.dropped,
            latencies=self._latencies.histogram(),
        )

    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def stop(self, within_s: float) -> None:
        """Send what can be sent, publish ``offline``, end; returns within the time given."""
        self._control.stop_by_s = time.monotonic() + within_s
        self.wake()
        self._thread.join(within_s + 0.5)

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - logged, and the daemon sees the thread's end
            if isinstance(error, sqlite3.DatabaseError):
                suspect_mark(self._journal).touch()
            log.error("delivery ended by a fault: %s", place_of(error))  # noqa: TRY400

    def _work(self) -> None:
        store = Store(self._journal, self._key)
        it = self._delivery
        self._outbox = Outbox(store, it.mode, it.receivers, it.resend_s)
        self._names = Names(store, self._device)
        self._state = StateTopic(store, self._device, self._session, it.mode, self._alerts)
        self._outgoing = Outgoing(
            self._outbox, self._names, self._device, self._pictures, it, self._alerts,
            self._latencies, self._joining,
        )  # fmt: skip
        while not self._control.stopping:
            self._control.turned_s = time.monotonic()
            try:
                self._connect_and_serve()
            except LinkError as error:
                pause_s = self._pause_after(error)
                self._alerts.raise_alert("broker", broker_fault(self._broker, error))
                self._rest(pause_s * random.uniform(0.8, 1.2))
            except (sqlite3.OperationalError, OSError) as error:
                log.warning("delivery: %s: tried again", error)
                self._alerts.raise_alert("outbox", str(error))
                self._rest(_JOURNAL_PAUSE_S)
        store.close()

    def _rest(self, pause_s: float) -> None:
        until_s = time.monotonic() + pause_s
        while not self._control.stopping and (left_s := until_s - time.monotonic()) > 0:
            self._control.turned_s = time.monotonic()
            time.sleep(min(left_s, 0.1))

    def _pause_after(self, error: LinkError) -> float:
        """Draw conclusions from a failure; returns the pause in seconds before the next attempt."""
        if not self._connected_s:
            return self._pauses.after_attempt()
        lasted_s, self._connected_s = time.monotonic() - self._connected_s, 0.0
        return self._pauses.after_connection(
            error.failure, lasted_s, in_flight=self._outgoing.ended(error)
        )

    def _connect_and_serve(self) -> None:
        self._connected_s = 0.0
        open_names = self._names.open()
        old_states = {it.topic("state"): it for it in self._names.to_clear()}
        subscriptions = (
            *map(self._device.topic, ("receipt", "command", "operator/+", "state", "health")),
            *_answer_topics(open_names - {self._device}),
            *old_states,
        )
        link, limits = open_link(
            lambda protocol: self._make_link(protocol, subscriptions), self._broker.protocol
        )
        self._is_connected = True
        try:
            self._state.forget()
            self._alerts.clear_alert("broker", "outbox")
            self._control.reconnects += 1
            self._connected_s = time.monotonic()
            log.info("broker: connected, MQTT %s", link.protocol)
            incoming = Incoming(
                self._device, self._session, open_names, self._outbox.store, self._pictures,
                self._alerts,
            )  # fmt: skip
            session = Session(
                link, self._events, self._control, self._outbox, self._outgoing, incoming,
                self._state, self._alerts, old_states, self._device.topic("health"),
                self._delivery.health_s,
            )  # fmt: skip
            try:
                self._outgoing.begin(link, limits)
                self._announce_to_home_assistant(link)
            except (sqlite3.Error, OSError, LinkError):
                link.abandon()
                raise
            session.serve()
        finally:
            self._is_connected = False

    def _announce_to_home_assistant(self, link: Link) -> None:
        """Publish the discovery message where a site asked for it. Raises `LinkError`."""
        prefix = self._delivery.home_assistant
        if prefix is not None:
            topic, payload = discovery(prefix, self._device, __version__)
            link.publish(topic, payload, Extras(), qos=0, retain=True)

    def _make_link(self, protocol: Protocol, subscriptions: tuple[str, ...]) -> Link:
        # A queue for each connection: events of an old one must not reach the new one.
        self._events = queue.SimpleQueue()
        version = "5" if protocol is Protocol.V5 else "3.1.1"
        will = self._state.payload(Announcement(Presence.OFFLINE), version)
        return Link(
            self._broker,
            self._client_id,
            protocol,
            will=(self._state.topic, will),
            subscriptions=subscriptions,
            events=self._events,
            receive_bytes=_RECEIVE_BYTES,
        )


def _answer_topics(names: set[DeviceName]) -> Iterator[str]:
    """Topics of former names on which answers to waiting messages arrive."""
    for name in sorted(names, key=str):
        yield from map(name.topic, ("receipt", "command", "operator/+"))
