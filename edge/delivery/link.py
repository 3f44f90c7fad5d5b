"""One connection to the broker, from CONNECT to its end, over paho-mqtt.

Layer: delivery; opens a socket to the broker, reads the site's certificates and password file.

paho does not reconnect: each connection is a new client, so that only the outbox decides what is
sent again. paho's callbacks run on its thread and only enqueue.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import termios
import time
from collections.abc import Callable  # noqa: TC003 - in a class body
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.contract.payloads import SCHEMA_VERSION
from edge.delivery.local_pair import use_local_pairs
from edge.delivery.paho_client import PACKET_TOO_LARGE, Client
from edge.delivery.settings import BrokerSettings, Protocol
from edge.enums import StrEnum

if TYPE_CHECKING:
    import queue

    from paho.mqtt.reasoncodes import ReasonCode

    from edge.outputs.packet import Extras

WILL_DELAY_S = 3
TOO_LARGE = "packet too large"
"""A refusal that a repeat does not change."""
_SESSION_S = 120


@dataclass(frozen=True)
class Connected:
    """The broker accepted the connection; its limits."""

    packet_limit: int | None
    window: int


@dataclass(frozen=True)
class Disconnected:
    """The connection ended; ``taken_over`` when another client connected with our id.

    ``code`` is the reason code that an MQTT 5 broker gave; None where it gave none.
    """

    why: str
    taken_over: bool = False
    code: int | None = None


@dataclass(frozen=True)
class Answered:
    """The broker answered a publish; ``refusal`` is empty when it accepted it."""

    mid: int
    refusal: str


@dataclass(frozen=True)
class Arrived:
    """A message that arrived; MQTT 5 may give a topic and correlation data for an answer."""

    topic: str
    payload: bytes
    retained: bool
    response_topic: str | None = None
    correlation: bytes | None = None


@dataclass(frozen=True)
class Wake:
    """There is a new row to be sent, or it is time to stop."""


Event = Connected | Disconnected | Answered | Arrived | Wake


class Failure(StrEnum):
    """Why there is no connection."""

    UNREACHABLE = "unreachable"
    PROTOCOL = "protocol"
    """The broker answered that it does not support the protocol's version."""
    ENDED = "ended"
    """The broker ended the connection before CONNACK, without a reason."""
    UNACKNOWLEDGED = "unacknowledged"
    """The connection is open, and the broker does not acknowledge what it was sent."""
    REFUSED = "refused"
    TAKEN_OVER = "taken_over"
    SECRETS = "secrets"
    """Our certificate, key or password file cannot be used; read again at the next attempt."""
    SILENT = "silent"


class LinkError(Exception):
    """No connection was made, or it ended; ``code`` as in `Disconnected`."""

    def __init__(self, failure: Failure, detail: str, code: int | None = None) -> None:
        super().__init__(f"{failure}: {detail}")
        self.failure = failure
        self.detail = detail
        self.code = code


class Link:
    """One connection.

    Parameters
    ----------
    settings, client_id, protocol
        Broker, client id, and version of MQTT (never ``auto``).
    will
        Topic and payload, retained, that the broker publishes when the connection is lost.
    subscriptions
        Topics to subscribe to after CONNACK.
    events
        Receives everything that happens, from paho's thread.
    receive_bytes
        Longest message that an MQTT 5 broker may send us; None takes any.

    Raises `LinkError` where the files of `BrokerSettings` cannot be used.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        client_id: str,
        protocol: Protocol,
        *,
        will: tuple[str, bytes] | None,
        subscriptions: tuple[str, ...],
        events: queue.SimpleQueue[Event],
        receive_bytes: int | None = None,
    ) -> None:
        self._settings = settings
        self._events = events
        self._subscriptions = subscriptions
        self._receive_bytes = receive_bytes
        self.v5 = protocol is Protocol.V5
        use_local_pairs()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=mqtt.MQTTv5 if self.v5 else mqtt.MQTTv311,
            clean_session=None if self.v5 else True,
            reconnect_on_failure=False,
        )
        self._client.max_inflight_messages_set(0)
        self._client.connect_timeout = settings.connect_s
        self._client.on_crash = self._on_crash
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_message = self._on_message
        self._client.on_socket_open = self._on_socket_open
        try:
            self._secure()
        except (OSError, ValueError) as error:
            raise LinkError(Failure.SECRETS, f"key, certificate or password: {error}") from error
        if will is not None:
            topic, payload = will
            self._client.will_set(
                topic, payload, qos=1, retain=True, properties=self._will_properties()
            )
        self._answers: list[Connected | LinkError | Disconnected] = []

    @property
    def protocol(self) -> Literal["5", "3.1.1"]:
        """Version of MQTT of this connection."""
        return "5" if self.v5 else "3.1.1"

    def _secure(self) -> None:
        it = self._settings
        if it.username is not None:
            password = None
            if it.password_file is not None:
                lines = it.password_file.read_text(encoding="utf-8").splitlines()
                password = lines[0] if lines else ""
            self._client.username_pw_set(it.username, password)
        if it.ca_file is not None:
            self._client.tls_set(
                ca_certs=str(it.ca_file),
                certfile=None if it.certificate_file is None else str(it.certificate_file),
                keyfile=None if it.key_file is None else str(it.key_file),
            )

    def _will_properties(self) -> Properties | None:
        if not self.v5:
            return None
        made = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
        made.WillDelayInterval = WILL_DELAY_S
        made.ContentType = "application/json"
        return made

    def open(self) -> Connected:
        """Connect and wait for CONNACK. Raises `LinkError`."""
        answers = self._answers
        try:
            if self.v5:
                asked = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
                # The broker's session outlives the connection, so that the will is delayed and
                # receipts that arrive meanwhile are kept.
                asked.SessionExpiryInterval = _SESSION_S
                if self._receive_bytes is not None:
                    asked.MaximumPacketSize = self._receive_bytes
                self._client.connect(
                    self._settings.host, self._settings.port, self._settings.keepalive_s,
                    clean_start=False, properties=asked,
                )  # fmt: skip
            else:
                self._client.connect(
                    self._settings.host, self._settings.port, self._settings.keepalive_s
                )
        except OSError as error:
            raise LinkError(Failure.UNREACHABLE, str(error)) from error
        self._client.loop_start()
        deadline_s = time.monotonic() + self._settings.connect_s
        while not answers and time.monotonic() < deadline_s:
            time.sleep(0.002)
        answer = answers[0] if answers else LinkError(Failure.SILENT, "no CONNACK in time")
        if isinstance(answer, Connected):
            return answer
        self.abandon()
        if isinstance(answer, Disconnected):
            hint = '; if it knows only MQTT 3.1.1, set broker.protocol = "3.1.1"' if self.v5 else ""
            raise LinkError(Failure.ENDED, f"before CONNACK ({answer.why}){hint}")
        raise answer

    def publish(self, topic: str, payload: bytes, extras: Extras, *, qos: int, retain: bool) -> int:
        """Pass a message to paho; returns its number, which `Answered` refers to.

        Raises `LinkError` when the connection is lost.
        """
        properties = _properties(extras) if self.v5 else None
        info = self._client.publish(topic, payload, qos, retain, properties)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise LinkError(Failure.UNREACHABLE, mqtt.error_string(info.rc))
        return info.mid

    def is_flushed(self) -> bool:
        """Whether the broker's machine has all bytes that were to be sent."""
        if self._client.want_write():
            return False
        sock = self._client.socket()
        if not isinstance(sock, socket.socket):
            return True
        try:
            unsent = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
        except OSError:
            return True
        return bool(struct.unpack("i", unsent)[0] == 0)

    def close(self) -> None:
        """Disconnect: the broker then publishes no will."""
        with contextlib.suppress(OSError, ValueError):
            self._client.disconnect()
        self._release()

    def abandon(self) -> None:
        """Close the connection without DISCONNECT."""
        sock = self._client.socket()
        if isinstance(sock, socket.socket):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._release()

    def _release(self) -> None:
        """End paho's thread, and the reference cycle that would keep its sockets open."""
        self._client.loop_stop()
        it = self._client
        it.on_connect = it.on_disconnect = it.on_publish = it.on_message = None
        it.on_socket_open = None
        it.on_crash = lambda _why: None

    # paho's callbacks: an exception here would end its thread silently.

    def _on_socket_open(self, _client: mqtt.Client, _data: Any, sock: Any) -> None:
        with contextlib.suppress(OSError, AttributeError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _on_connect(
        self, client: mqtt.Client, _data: Any, _flags: Any, code: ReasonCode, properties: Any
    ) -> None:
        if code.is_failure:
            name = str(code)
            unknown = "protocol version" in name.lower()
            failure = Failure.PROTOCOL if unknown else Failure.REFUSED
            self._answers.append(LinkError(failure, name))
            return
        for topic in self._subscriptions:
            client.subscribe(topic, qos=1)
        limit = getattr(properties, "MaximumPacketSize", None)
        window = getattr(properties, "ReceiveMaximum", None) or 65535
        self._answers.append(Connected(limit, window))

    def _on_disconnect(
        self, _client: mqtt.Client, _data: Any, flags: Any, code: ReasonCode, _props: Any
    ) -> None:
        given = bool(getattr(flags, "is_disconnect_packet_from_server", False))
        gone = Disconnected(
            str(code), "taken over" in str(code).lower(), int(code.value) if given else None
        )
        self._answers.append(gone)
        self._events.put(gone)

    def _on_crash(self, why: str) -> None:
        gone = Disconnected(f"the broker's bytes could not be read ({why})")
        self._answers.append(gone)
        self._events.put(gone)

    def _on_publish(
        self, _client: mqtt.Client, _data: Any, mid: int, code: ReasonCode, _props: Any
    ) -> None:
        refusal = str(code) if code.is_failure else ""
        number, unforeseen = self._client.unforeseen
        if number == mid and refusal:
            too_large = unforeseen == PACKET_TOO_LARGE
            refusal = TOO_LARGE if too_large else f"reason code 0x{unforeseen:02x}"
            self._client.unforeseen = (0, 0)
        self._events.put(Answered(mid, refusal))

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        properties = message.properties
        self._events.put(
            Arrived(
                message.topic,
                bytes(message.payload),
                message.retain,
                getattr(properties, "ResponseTopic", None),
                getattr(properties, "CorrelationData", None),
            )
        )


def open_link(make: Callable[[Protocol], Link], wanted: Protocol) -> tuple[Link, Connected]:
    """Open a connection with the protocol that is wanted, or with one that the broker supports.

    3.1.1 follows only where the broker has answered that it does not support 5: brokers that do
    may also give no answer or end the connection. Raises `LinkError`.
    """
    link = make(Protocol.V5 if wanted is Protocol.AUTO else wanted)
    try:
        return link, link.open()
    except LinkError as error:
        if wanted is not Protocol.AUTO or error.failure is not Failure.PROTOCOL:
            raise
    link = make(Protocol.V311)
    return link, link.open()


def _properties(extras: Extras) -> Properties:
    """Properties of a publication as paho takes them."""
    made = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    made.ContentType = extras.content_type
    if extras.expiry_s is not None:
        made.MessageExpiryInterval = extras.expiry_s
    if extras.response_topic is not None:
        made.ResponseTopic = extras.response_topic
    if extras.correlation is not None:
        made.CorrelationData = extras.correlation
    made.UserProperty = [("schema_version", str(SCHEMA_VERSION))]
    return made
