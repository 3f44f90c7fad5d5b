"""The client of the broker: a session that the broker keeps, messages to the writer, orders out.

Layer: dashboard; one connection by paho-mqtt. MQTT 5, and 3.1.1 where the broker knows no 5.
"""

from __future__ import annotations

import logging
import re
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from dashboard.errors import DashboardError
from dashboard.intake.writer import Raw
from edge.contract.payloads import Command, CommandMessage, OperatorMessage, ReceiptMessage
from edge.contract.topics import CHANNELS

if TYPE_CHECKING:
    from pathlib import Path

    from dashboard.intake.writer import Writer
    from dashboard.settings import BrokerSettings
    from edge.contract.ids import DeviceName

log = logging.getLogger(__name__)

FILTERS = tuple(
    "sharpedge/+/+/+/" + re.sub(r"{\w+}", "+", it.topic) for it in CHANNELS if it.sent_by_device
)
_KEPT = tuple(
    one
    for one, it in zip(FILTERS, (it for it in CHANNELS if it.sent_by_device), strict=True)
    if it.retained
)
"""What brokers keep, and give to no shared subscription."""
_KEPT_S = 10.0
"""So long a member of a group reads what the broker has kept."""
ORDER_EXPIRY_S = 300
"""An order that has not reached its device by then does not reach it later."""
_SESSION_S = 14 * 86400
_KEEPALIVE_S = 30
_IN_FLIGHT = 200
_CONNECT_S = 10.0
_FIRST_REST_S, _LONGEST_REST_S = 0.25, 10.0
_NO_MQTT_5 = 132
_PUBLISH_S = 5.0
_REBIRTH_S = 60.0


class Subscriber:
    """Keeps one connection to the broker; a new one is made whenever it ends."""

    def __init__(self, settings: BrokerSettings, writer: Writer) -> None:
        self._settings = settings
        self._writer = writer
        self._version = {
            "3.1.1": MQTTProtocolVersion.MQTTv311,
        }.get(settings.protocol, MQTTProtocolVersion.MQTTv5)
        self._stopped = threading.Event()
        self._ended = threading.Event()
        self._client: mqtt.Client | None = None
        self._answered = self._connected = False
        self._reborn_s: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, name="subscriber", daemon=True)

    @property
    def is_connected(self) -> bool:
        """Whether the connection stands, and the broker has taken the subscriptions."""
        return self._connected

    def start(self) -> None:
        """Begin to connect. Raises `DashboardError` where a file of the settings is missing."""
        self._make()
        self._thread.start()

    def stop(self) -> None:
        """End the connection; the broker keeps the session."""
        self._stopped.set()
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def order(self, device: DeviceName, message: OperatorMessage, correlation: str) -> bool:
        """Publish a person's decision; whether the broker has it."""
        payload = message.model_dump_json(exclude_none=True)
        return self._ask(device.topic("operator", self._settings.account), payload, correlation)

    def ask_picture(self, device: DeviceName, result_id: str) -> bool:
        """Ask for the picture of a result again; whether the broker has the command."""
        message = CommandMessage(command=Command.PICTURE, id=result_id)
        return self._ask(device.topic("command"), message.model_dump_json(), None)

    def _ask(self, topic: str, payload: str, correlation: str | None) -> bool:
        client = self._client
        if client is None or not self._connected:
            return False
        properties = None
        if self._version == MQTTProtocolVersion.MQTTv5:
            properties = _properties(PacketTypes.PUBLISH)
            properties.MessageExpiryInterval = ORDER_EXPIRY_S
            if correlation is not None:
                properties.CorrelationData = correlation.encode()
        sent = client.publish(topic, payload, qos=1, properties=properties)
        try:
            sent.wait_for_publish(_PUBLISH_S)
        except (RuntimeError, ValueError):
            return False
        return sent.is_published()

    def _run(self) -> None:
        rest_s = _FIRST_REST_S
        while not self._stopped.is_set():
            self._ended.clear()
            self._answered = False
            client = self._make()
            try:
                client.connect(
                    self._settings.host, self._settings.port, _KEEPALIVE_S, **self._session()
                )
            except (OSError, ValueError) as error:
                log.warning("broker: %s", error)
                rest_s = min(_LONGEST_REST_S, rest_s * 2)
            else:
                self._client = client
                client.loop_start()
                self._ended.wait()
                rest_s = _FIRST_REST_S if self._connected else min(_LONGEST_REST_S, rest_s * 2)
                self._connected = False
                client.disconnect()
                client.loop_stop()
            self._stopped.wait(rest_s)

    def _session(self) -> dict[str, Any]:
        if self._version != MQTTProtocolVersion.MQTTv5:
            return {}
        properties = _properties(PacketTypes.CONNECT)
        properties.ReceiveMaximum = _IN_FLIGHT
        # A member that is away must leave the whole load to the others: what it had not answered
        # comes again, to another one.
        alone = self._settings.group is None
        if alone:
            properties.SessionExpiryInterval = _SESSION_S
        return {"clean_start": not alone, "properties": properties}

    def _filters(self) -> tuple[str, ...]:
        group = self._settings.group
        if group is None:
            return FILTERS
        return (*(f"$share/{group}/{one}" for one in FILTERS), *_KEPT)

    def _make(self) -> mqtt.Client:
        it = self._settings
        clean = None if self._version == MQTTProtocolVersion.MQTTv5 else False
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=it.client_id, protocol=self._version,
            manual_ack=True, reconnect_on_failure=False, clean_session=clean,
        )  # fmt: skip
        client.connect_timeout = _CONNECT_S
        try:
            if it.ca_file is not None:
                client.tls_set(
                    str(it.ca_file), _path(it.certificate_file),
                    _path(it.key_file), tls_version=ssl.PROTOCOL_TLS_CLIENT,
                )  # fmt: skip
            if it.username is not None:
                lines = [""] if it.password_file is None else it.password_file.read_text(
                    encoding="utf-8").splitlines()  # fmt: skip
                client.username_pw_set(it.username, lines[0] if lines else "")
        except OSError as error:
            raise DashboardError(
                f"broker: {error.filename or 'a certificate'}: cannot be used "
                f"({error.strerror or error}); fix: correct its path in [broker]"
            ) from error
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        return client

    def _on_connect(
        self, client: mqtt.Client, _data: object, _flags: object, code: Any, _more: object
    ) -> None:
        self._answered = True
        if code.is_failure:
            log.warning("broker: refused the connection (%s)", code)
            if code.value == _NO_MQTT_5:
                self._without_mqtt_5()
            self._ended.set()
            return
        client.subscribe([(one, 1) for one in self._filters()])
        if self._settings.group is not None:
            timer = threading.Timer(_KEPT_S, client.unsubscribe, [list(_KEPT)])
            timer.daemon = True
            timer.start()

    def _without_mqtt_5(self) -> None:
        if self._settings.group is not None:
            log.warning("broker: knows no MQTT 5, which a group needs; fix: unset broker.group")
        elif self._settings.protocol == "auto":
            self._version = MQTTProtocolVersion.MQTTv311

    def _on_subscribe(
        self, client: mqtt.Client, _data: object, _mid: int, codes: Any, _more: object
    ) -> None:
        refused = [
            one for one, code in zip(self._filters(), codes, strict=False) if code.is_failure
        ]
        if refused:
            log.warning("broker: may not read %s; fix: its access list", ", ".join(refused))
        self._connected = client is self._client
        log.info("broker: connected")

    def _on_disconnect(
        self, client: mqtt.Client, _data: object, _flags: object, code: Any, _more: object
    ) -> None:
        if client is self._client:
            log.info("broker: connection ended (%s)", code)
            if not self._answered and self._version == MQTTProtocolVersion.MQTTv5:
                log.warning(
                    "broker: gave no answer to MQTT 5; fix: if it knows only MQTT 3.1.1, "
                    'set broker.protocol = "3.1.1"'
                )
            self._ended.set()

    def _on_message(self, client: mqtt.Client, _data: object, it: mqtt.MQTTMessage) -> None:
        def receipt(topic: str, result_id: str) -> None:
            message = ReceiptMessage(id=result_id, receiver=self._settings.receiver)
            # Not sent where the connection has ended: the appliance asks again.
            client.publish(topic, message.model_dump_json(), qos=1)

        def ask_state(device: DeviceName) -> None:
            self._ask_state(client, device)

        def acknowledge() -> None:
            if it.qos and client.ack(it.mid, it.qos) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                log.debug("a message was not acknowledged: its connection has ended")

        correlation = getattr(it.properties, "CorrelationData", None)
        self._writer.put(
            Raw(
                it.topic,
                bytes(it.payload),
                correlation,
                it.retain,
                receipt,
                acknowledge,
                ask_state,
            )
        )

    def _ask_state(self, client: mqtt.Client, device: DeviceName) -> None:
        """Ask a device for its state, which some brokers give to no wildcard; once a minute."""
        name, now_s = str(device), time.monotonic()
        if now_s - self._reborn_s.get(name, -_REBIRTH_S) >= _REBIRTH_S:
            self._reborn_s[name] = now_s
            message = CommandMessage(command=Command.REBIRTH)
            client.publish(
                device.topic("command"), message.model_dump_json(exclude_none=True), qos=1
            )


def _properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call]


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path)
