"""A simulated room: publishes as an appliance does, and answers decisions about held films.

Layer: dashboard; a client of a broker on this machine, for the demo and the tests.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from pydantic import ValidationError

from dashboard.simulated import SimulatedFilm, hexadecimal, simulated_health, simulated_state
from edge.contract.payloads import (
    AnswerMessage,
    OperatorCommand,
    OperatorMessage,
    Presence,
    ReceiptMessage,
    RejectMessage,
)
from edge.contract.vocabulary import Laterality, Limb, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.contract.ids import DeviceName
    from edge.contract.payloads import Alert, ResultMessage

_RELEASE_S = 0.5


class SimulatedRoom:
    """One device that does not exist.

    Parameters
    ----------
    device
        Its name.
    port
        Port of the broker on this machine.
    score
        Gives result and labelled picture of a film; ``supersedes`` is the reject that it replaces.
    protocol
        Version of MQTT.
    """

    def __init__(
        self,
        device: DeviceName,
        port: int,
        score: Callable[[SimulatedFilm, str | None], tuple[ResultMessage, bytes | None]],
        protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5,
    ) -> None:
        self.device = device
        self.receipts: set[str] = set()
        self._score = score
        self._sequence = 0
        self._held: dict[str, SimulatedFilm] = {}
        self._lock = threading.Lock()
        self._version = protocol
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=protocol)
        self._client.on_message = self._heard
        self._client.on_connect = self._connected
        self._client.will_set(
            device.topic("state"), self._state(Presence.OFFLINE), qos=1, retain=True
        )
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def film(
        self, patient: str, visit: int, limb: Limb, side: Laterality, at_s: float
    ) -> SimulatedFilm:
        """The next film of the room."""
        with self._lock:
            self._sequence += 1
            number = self._sequence
        words = (self.device, patient)
        return SimulatedFilm(
            self.device, number, limb, side, hexadecimal(*words, visit), hexadecimal(*words), at_s,
            latency_s=random.Random(number).uniform(0.15, 0.4),
        )  # fmt: skip

    def scored(self, film: SimulatedFilm, supersedes: str | None = None) -> ResultMessage:
        """Publish a film's result and picture."""
        result, picture = self._score(film, supersedes)
        self._publish("result", result.model_dump_json())
        if picture is not None:
            self._publish("image", with_comment(picture, result.id))
        return result

    def held(
        self,
        film: SimulatedFilm,
        reason: Reason = Reason.SIDE_NOT_KNOWN,
        picture: bytes | None = None,
    ) -> RejectMessage:
        """Publish that a film is held; its release scores it."""
        message = film.reject(reason)
        self._held[message.id] = film
        self._publish("reject", message.model_dump_json())
        if picture is not None:
            self._publish("image", with_comment(picture, message.id))
        return message

    def tell(self, state: Presence = Presence.ONLINE, *alerts: Alert) -> None:
        """Publish state and health."""
        self._publish("state", self._state(state, *alerts), retain=True)
        health = simulated_health(self.device, time.time(), self._sequence, len(self._held))
        self._publish("health", health.model_dump_json(), retain=True)

    def close(self) -> None:
        """End the connection as a power cut would: the broker sends the will."""
        self._client.loop_stop()
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def _state(self, state: Presence, *alerts: Alert) -> str:
        return simulated_state(self.device, time.time(), state, *alerts).model_dump_json()

    def _publish(
        self, topic: str, payload: str | bytes, *, retain: bool = False, correlation: Any = None
    ) -> None:
        properties = None
        if correlation is not None and self._version == MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.CorrelationData = correlation
        self._client.publish(
            self.device.topic(topic), payload, qos=1, retain=retain, properties=properties
        )

    def _connected(self, client: mqtt.Client, *_: object) -> None:
        for topic in ("receipt", "operator/+"):
            client.subscribe(self.device.topic(topic), qos=1)

    def _heard(self, _client: mqtt.Client, _data: object, it: mqtt.MQTTMessage) -> None:
        try:
            if it.topic.endswith("/receipt"):
                self.receipts.add(ReceiptMessage.model_validate_json(it.payload).id)
                return
            order = OperatorMessage.model_validate_json(it.payload)
        except ValidationError:
            return
        correlation = getattr(it.properties, "CorrelationData", None)
        film = self._held.get(order.id)
        answer = AnswerMessage(
            command=order.command, done=film is not None,
            detail="" if film is not None else "no such film is held",
        )  # fmt: skip
        if film is not None and order.command is not OperatorCommand.RETRY:
            del self._held[order.id]
        self._publish("answer", answer.model_dump_json(), correlation=correlation)
        if film is not None and order.command is OperatorCommand.RELEASE:
            threading.Timer(_RELEASE_S, self._release, (film, order)).start()

    def _release(self, film: SimulatedFilm, order: OperatorMessage) -> None:
        with self._lock:
            self._sequence += 1
            number = self._sequence
        stated = replace(
            film, sequence=number, limb=order.limb or film.limb, side=order.side or film.side
        )
        self.scored(stated, order.id)


def with_comment(jpeg: bytes, result_id: str) -> bytes:
    """Put a result's id into a JPEG's comment, as an appliance does."""
    text = f"sharpedge result {result_id}; simulated".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]
