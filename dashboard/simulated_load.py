"""Many simulated devices at one broker: films at a pace, repeated until they are answered.

Layer: dashboard; a client of the broker for each device, all in one thread, for load and tests.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import selectors
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from pydantic import ValidationError

from dashboard.simulated import SimulatedFilm, hexadecimal, simulated_health, simulated_state
from dashboard.simulated_room import with_comment
from edge.contract.ids import DeviceName
from edge.contract.payloads import Presence, ReceiptMessage
from edge.contract.vocabulary import Laterality, Limb

if TYPE_CHECKING:
    import socket

    from edge.contract.payloads import ResultMessage

_LOOK_S = 0.005
_KEEPALIVE_S = 60
_MISC_S = 5.0
_REJOIN_S = 1.0
_CONNECTED_S = 60.0


@dataclass(frozen=True)
class Pace:
    """How much the devices send.

    Attributes
    ----------
    devices
        How many there are.
    period_s
        From one film of a device to its next; None: as fast as receipts come back.
    window
        Without a period: no more results than this are open at once.
    health_s
        From one message on the topic health to the next of the same device.
    resend_s
        A result without a receipt is sent again after so long.
    picture_bytes
        Length of the picture that follows each result; 0 sends none.
    after
        Number of each device's last film before.
    settle_s
        Between the last connection and the first film.
    """

    devices: int = 1000
    period_s: float | None = 60.0
    window: int = 500
    health_s: float = 30.0
    resend_s: float = 30.0
    picture_bytes: int = 0
    after: int = 0
    settle_s: float = 0.0


@dataclass
class Report:
    """What was sent and answered. ``answered`` counts results, not receipts."""

    published: int = 0
    answered: int = 0
    resent: int = 0
    pictures: int = 0
    reconnects: int = 0
    seconds: float = 0.0
    receipt_ms: list[float] = field(default_factory=list)
    """From a result's first sending to its receipt."""

    def figures(self) -> dict[str, object]:
        """Counts, rate and percentiles, as JSON takes them."""
        found = asdict(self)
        ordered = sorted(found.pop("receipt_ms"))
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            rank = min(len(ordered) - 1, int(share * len(ordered)))
            found[f"receipt_{name}_ms"] = round(ordered[rank], 1) if ordered else None
        found["a_second"] = round(self.answered / self.seconds, 1) if self.seconds else None
        return found


class _Open(NamedTuple):
    topic: str
    payload: str
    first_s: float
    due_s: float


class _Device:
    """One device: its connection, its number, and its results without a receipt."""

    def __init__(self, name: DeviceName, load: SimulatedLoad) -> None:
        self.name = name
        self.sequence = load.pace.after
        self.open: dict[str, _Open] = {}
        self.film_due_s = self.health_due_s = 0.0
        self.sock: socket.socket | None = None
        self.rejoin_s = 0.0
        self.is_ready = False
        self._load = load
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=f"{name.device}-simulated",
            protocol=load.protocol,
        )  # fmt: skip
        self.client.on_connect = self._connected
        self.client.on_subscribe = self._subscribed
        self.client.on_message = self._heard
        offline = simulated_state(name, time.time(), Presence.OFFLINE).model_dump_json()
        self.client.will_set(name.topic("state"), offline, qos=1, retain=True)

    def connect(self) -> None:
        """Connect, and have the loop watch the socket."""
        self.client.connect(self._load.host, self._load.port, _KEEPALIVE_S)
        sock = self.client.socket()
        assert sock is not None  # noqa: S101 - it has just been opened
        self.sock = sock  # type: ignore[assignment]

    def publish(self, topic: str, payload: str | bytes, *, retain: bool = False) -> None:
        """Publish below this device's topic."""
        self.client.publish(self.name.topic(topic), payload, qos=1, retain=retain)

    def _connected(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe(self.name.topic("receipt"), qos=1)
        state = simulated_state(self.name, time.time()).model_dump_json()
        self.publish("state", state, retain=True)

    def _subscribed(self, *_: object) -> None:
        # A receipt that came before would be lost.
        self.is_ready = True

    def _heard(self, _client: mqtt.Client, _data: object, it: mqtt.MQTTMessage) -> None:
        try:
            receipt = ReceiptMessage.model_validate_json(it.payload)
        except ValidationError:
            return
        self._load.answered(self, receipt.id)


class SimulatedLoad:
    """Devices ``clinic/room<n>/box<n>`` at one broker; `run` until all results are answered."""

    def __init__(
        self, port: int, pace: Pace, *, host: str = "127.0.0.1",
        protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5, seed: int = 1,
    ) -> None:  # fmt: skip
        self.host, self.port, self.protocol = host, port, protocol
        self.pace = pace
        self.report = Report()
        self._chance = random.Random(seed)
        self._selector = selectors.DefaultSelector()
        names = (DeviceName("clinic", f"room{it}", f"box{it}") for it in range(pace.devices))
        self._devices = [_Device(it, self) for it in names]
        self._like: dict[tuple[Limb, Laterality], ResultMessage] = {}
        self._picture = b""
        if pace.picture_bytes:
            noise = self._chance.randbytes(pace.picture_bytes).replace(b"\xff", b"\xfe")
            self._picture = b"\xff\xd8\xff\xdb" + noise

    def run(self, results: int, longest_s: float) -> Report:
        """Send ``results`` films, then wait for what is open; for ``longest_s`` in all."""
        for one in self._devices:
            self._join(one)
        self._settle()
        begun_s = time.monotonic()
        self._spread(begun_s)
        misc_s = begun_s
        while time.monotonic() - begun_s < longest_s:
            now_s = time.monotonic()
            self._send_due(now_s, results)
            self._exchange()
            if now_s - misc_s >= _MISC_S:
                misc_s = now_s
                self._keep_alive()
            if self.report.published >= results and not any(it.open for it in self._devices):
                break
        self.report.seconds = time.monotonic() - begun_s
        return self.report

    def close(self) -> None:
        """Disconnect every device."""
        for one in self._devices:
            one.client.disconnect()
        self._selector.close()

    def answered(self, device: _Device, result_id: str) -> None:
        """A receipt has come; one for what is no longer open says nothing new."""
        found = device.open.pop(result_id, None)
        if found is not None:
            self.report.answered += 1
            self.report.receipt_ms.append((time.monotonic() - found.first_s) * 1000)

    def _settle(self) -> None:
        """Wait until the devices are connected and what they said of themselves is past."""
        end_s = time.monotonic() + _CONNECTED_S
        while time.monotonic() < end_s and not all(it.is_ready for it in self._devices):
            self._exchange()
        end_s = time.monotonic() + self.pace.settle_s
        while time.monotonic() < end_s:
            self._exchange()

    def _spread(self, now_s: float) -> None:
        """Let the devices' films and figures come at times of their own."""
        period_s = self.pace.period_s or 0.0
        for one in self._devices:
            one.film_due_s = now_s + self._chance.random() * period_s
            one.health_due_s = now_s + self._chance.random() * self.pace.health_s

    def _send_due(self, now_s: float, results: int) -> None:
        if self.pace.period_s is None:
            room = self.pace.window - sum(len(it.open) for it in self._devices)
            ready = [it for it in self._devices if it.is_ready]
            for one in self._chance.choices(ready, k=max(0, room)) if ready else ():
                self._film(one, now_s, results)
        for one in self._devices:
            if not one.is_ready:
                continue
            if self.pace.period_s is not None and now_s >= one.film_due_s:
                one.film_due_s += self.pace.period_s
                self._film(one, now_s, results)
            if now_s >= one.health_due_s:
                one.health_due_s = now_s + self.pace.health_s
                health = simulated_health(one.name, time.time(), one.sequence, 0)
                one.publish("health", health.model_dump_json(), retain=True)
            for key, it in list(one.open.items()):
                if now_s >= it.due_s:
                    one.open[key] = it._replace(due_s=now_s + self.pace.resend_s)
                    one.publish(it.topic, it.payload)
                    self.report.resent += 1

    def _film(self, one: _Device, now_s: float, results: int) -> None:
        if self.report.published >= results:
            return
        one.sequence += 1
        message = self._result(one)
        payload = message.model_dump_json()
        one.open[message.id] = _Open("result", payload, now_s, now_s + self.pace.resend_s)
        one.publish("result", payload)
        self.report.published += 1
        if self._picture:
            one.publish("image", with_comment(self._picture, message.id))
            self.report.pictures += 1

    def _result(self, one: _Device) -> ResultMessage:
        """A result of its own; joints and grades are those of a few, so that it takes no time."""
        limb = Limb.HAND if one.sequence % 4 < 2 else Limb.FOOT
        side = Laterality.LEFT if one.sequence % 2 else Laterality.RIGHT
        study, patient = one.sequence // 4, one.sequence // 8
        latency_s = 0.2
        film = SimulatedFilm(
            one.name, one.sequence, limb, side, hexadecimal(one.name, "study", study),
            hexadecimal(one.name, "patient", patient), time.time() - latency_s, latency_s,
        )  # fmt: skip
        if (limb, side) not in self._like:
            self._like[limb, side] = film.result(self._chance)
        return film.like(self._like[limb, side])

    def _join(self, one: _Device) -> None:
        try:
            one.connect()
        except OSError:
            one.rejoin_s = time.monotonic() + _REJOIN_S
            return
        assert one.sock is not None  # noqa: S101 - it has just been opened
        self._selector.register(one.sock, selectors.EVENT_READ, one)

    def _exchange(self) -> None:
        for key, _ in self._selector.select(_LOOK_S):
            one: _Device = key.data
            if one.client.loop_read() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._lost(one)
        for one in self._devices:
            if one.sock is None:
                if time.monotonic() >= one.rejoin_s:
                    self._join(one)
            elif one.client.want_write() and (
                one.client.loop_write() != MQTTErrorCode.MQTT_ERR_SUCCESS
            ):
                self._lost(one)

    def _lost(self, one: _Device) -> None:
        if one.sock is not None:
            self._selector.unregister(one.sock)
        one.sock, one.is_ready = None, False
        one.rejoin_s = time.monotonic() + _REJOIN_S
        self.report.reconnects += 1

    def _keep_alive(self) -> None:
        for one in self._devices:
            if one.sock is not None:
                one.client.loop_misc()


def main() -> int:
    """Send as the words of the command say; the report is one line of JSON."""
    parser = argparse.ArgumentParser(description="Simulated devices. Research use only.")
    parser.add_argument("--port", type=int, default=1883, help="port of the broker")
    parser.add_argument("--host", default="127.0.0.1", help="its name")
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--results", type=int, default=1000, help="of all devices together")
    parser.add_argument("--period", type=float, default=60.0, help="seconds between the films of a "
                        "device; 0: as fast as receipts come back")  # fmt: skip
    parser.add_argument("--resend", type=float, default=30.0, help="seconds without a receipt")
    parser.add_argument("--picture", type=int, default=0, help="bytes of each picture")
    parser.add_argument("--after", type=int, default=0, help="number of each device's last film")
    parser.add_argument("--settle", type=float, default=0.0, help="seconds before the first film")
    parser.add_argument("--longest", type=float, default=3600.0, help="seconds in all")
    it = parser.parse_args()
    pace = Pace(
        devices=it.devices, period_s=it.period or None, resend_s=it.resend,
        picture_bytes=it.picture, after=it.after, settle_s=it.settle,
    )  # fmt: skip
    load = SimulatedLoad(it.port, pace, host=it.host)
    report = load.run(it.results, it.longest)
    load.close()
    sys.stdout.write(json.dumps(report.figures()) + "\n")
    return 0 if report.answered == it.results else 1


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    sys.exit(main())
