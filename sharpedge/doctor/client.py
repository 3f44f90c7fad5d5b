"""A client of the broker for experiments: one request, one answer, each with a deadline.

Layer: sharpedge; connects to a broker over paho's client.
"""

from __future__ import annotations

import queue
import secrets
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from edge.delivery.settings import BrokerSettings

NO_SUBSCRIBER = 0x10
"""Reason code of a publish that nobody has subscribed to."""
_SESSION_S = 60


class ProbeError(Exception):
    """The broker ended the connection, or did not answer in time."""


class Probe:
    """A connection of MQTT 5 (or 3.1.1) under a client id of its own.

    A context manager: connects on the way in, disconnects on the way out. Raises `ProbeError` and
    `OSError`.
    """

    def __init__(
        self, broker: BrokerSettings, client_id: str, *, v5: bool, clean: bool = True
    ) -> None:
        self._broker = broker
        self._v5 = v5
        self._clean = clean
        self._answers: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.session_present = False
        self.arrived: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id,
            protocol=mqtt.MQTTv5 if v5 else mqtt.MQTTv311,
            clean_session=None if v5 else clean, reconnect_on_failure=False,
        )  # fmt: skip
        put = self._answers.put
        self._client.on_connect = lambda _c, _d, flags, code, _p: put(("connect", (flags, code)))
        self._client.on_disconnect = lambda _c, _d, _f, code, _p: put(("gone", code))
        self._client.on_publish = lambda _c, _d, _mid, code, _p: put(("publish", code))
        self._client.on_subscribe = lambda _c, _d, _mid, codes, _p: put(("subscribe", codes[0]))
        self._client.on_message = lambda _c, _d, message: self.arrived.put(bytes(message.payload))

    def __enter__(self) -> Self:
        broker, client = self._broker, self._client
        client.connect_timeout = broker.connect_s
        if broker.username is not None:
            lines = (
                broker.password_file.read_text("utf-8").splitlines() if broker.password_file else []
            )
            client.username_pw_set(broker.username, lines[0] if lines else None)
        if broker.ca_file is not None:
            client.tls_set(
                str(broker.ca_file),
                None if broker.certificate_file is None else str(broker.certificate_file),
                None if broker.key_file is None else str(broker.key_file),
            )
        if self._v5:
            asked = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            asked.SessionExpiryInterval = 0 if self._clean else _SESSION_S
            client.connect(broker.host, broker.port, clean_start=self._clean, properties=asked)
        else:
            client.connect(broker.host, broker.port)
        client.loop_start()
        flags, code = self._wait("connect")
        if code.is_failure:
            raise ProbeError(str(code))
        self.session_present = bool(flags.session_present)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._client.disconnect()
        self._client.loop_stop()

    def subscribe(self, topic: str) -> int:
        """Subscribe at quality of service 1; returns the reason code, 0x80 and above: refused."""
        self._client.subscribe(topic, qos=1)
        return int(self._wait("subscribe").value)

    def publish(self, topic: str, payload: bytes = b"") -> int:
        """Publish at quality of service 1, not retained; returns the broker's reason code."""
        self._client.publish(topic, payload, qos=1)
        return int(self._wait("publish").value)

    def message(self) -> bytes | None:
        """Return the next message that arrives; None where none comes in time."""
        try:
            return self.arrived.get(timeout=self._broker.connect_s)
        except queue.Empty:
            return None

    def _wait(self, wanted: str) -> Any:
        while True:
            try:
                kind, answer = self._answers.get(timeout=self._broker.connect_s)
            except queue.Empty:
                raise ProbeError(f"no answer within {self._broker.connect_s:g} s") from None
            if kind == wanted:
                return answer
            if kind == "gone":
                raise ProbeError(f"the broker ended the connection ({answer})")


def probe_id(client_id: str) -> str:
    """Client id of an experiment: the appliance's own would end its connection."""
    return f"{client_id}-doctor-{secrets.token_hex(3)}"
