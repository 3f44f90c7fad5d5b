"""The contract and the faults of brokers, against Mosquitto, RabbitMQ and NATS.

Run by ``make brokers-test``. Appliance and dashboard are real; raw clients speak MQTT 3.1.1, which
all three know.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from itertools import count

import paho.mqtt.client as mqtt
import pytest
from appliance import Subscriber as Listener
from appliance import until
from broker_clinic import Clinic
from filled import fill
from paho.mqtt.enums import CallbackAPIVersion
from stand_in import film_bytes

from dashboard.store import films
from dashboard.store.tables import DEVICE, ORDER, PICTURE
from edge.contract.ids import DeviceName
from edge.contract.payloads import OperatorMessage
from edge.delivery.settings import BrokerSettings as EdgeBroker

RECEIPTS = '[delivery]\nmode = "receipt"\nresend_s = 2\n'
AUTO_APPLIANCE = '`protocol = "auto"`, appliance'
AUTO_DASHBOARD = '`protocol = "auto"`, dashboard'
PLACE = "sharpedge/clinic/xr9/box9"
_names = count()


class Peer:
    """A client without a contract: what it got and what was said to it."""

    def __init__(self, port, name=None, *, lasting=False, version=mqtt.MQTTv311, holds=False,
                 will=None):  # fmt: skip
        self.got, self.answers, self.ends, self.granted = [], [], [], []
        clean = None if version == mqtt.MQTTv5 else not lasting
        it = self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, name or f"peer{next(_names)}", protocol=version,
            clean_session=clean, manual_ack=holds, reconnect_on_failure=False,
        )  # fmt: skip
        it.on_message = lambda *words: self.got.append(words[2])
        it.on_connect = lambda *words: self.answers.append(words[3])
        it.on_disconnect = lambda *words: self.ends.append(words[3])
        it.on_subscribe = lambda *words: self.granted.append(words[3])
        if will is not None:
            it.will_set(*will, qos=1, retain=True)
        it.connect("127.0.0.1", port)
        it.loop_start()
        until(lambda: self.answers or self.ends)

    def subscribe(self, *filters):
        for one in filters:
            before = len(self.granted)
            self.client.subscribe(one, 1)
            until(lambda before=before: len(self.granted) > before or self.ends)
        return self

    def send(self, topic, payload, *, retain=False, wait_s=10):
        """Whether the broker has acknowledged it."""
        sent = self.client.publish(topic, payload, 1, retain)
        with contextlib.suppress(RuntimeError, ValueError):
            sent.wait_for_publish(wait_s)
        return sent.is_published()

    def leave(self):
        self.client.disconnect()
        self.client.loop_stop()

    def drop(self):
        """End the connection as a power cut does."""
        self.client.socket().shutdown(socket.SHUT_RDWR)
        until(lambda: self.ends)
        self.client.loop_stop()


@pytest.fixture
def peer(kind):
    made = []

    def make(*words, **options):
        made.append(Peer(kind.port, *words, **options))
        return made[-1]

    yield make
    for it in made:
        it.leave()


@pytest.fixture
def clinic(kind, tmp_path):
    made = []

    def make(**options):
        made.append(Clinic(tmp_path, kind.port, **options))
        return made[-1]

    yield make
    for it in made:
        it.close()


@pytest.fixture
def appliance(kind, make_appliance):
    """An appliance whose configuration names a protocol; each test has a device of its own name."""

    def make(protocol="3.1.1", extra=RECEIPTS, device=None):
        it = make_appliance(kind.port, extra=extra)
        it.extend(f'[broker]\nprotocol = "{protocol}"\n')
        if device is not None:
            it.config.write_text(it.config.read_text().replace('"box1"', f'"{device}"'))
        return it

    return make


def test_mqtt_5(peer, cell):
    it = peer(version=mqtt.MQTTv5)
    said = str(it.answers[0]) if it.answers else "ends the connection without an answer"
    cell("a client that speaks MQTT 5", "taken" if said == "Success" else said.lower())
    assert said in {"Success", "Unsupported protocol version",
                    "ends the connection without an answer"}  # fmt: skip
    assert str(peer().answers[0]) == "Success"


def test_protocol_auto(kind, appliance, clinic, cell, caplog):
    """Where the broker says nothing, appliance and dashboard name the key to be set."""
    caplog.set_level(logging.INFO)
    box = appliance("auto")
    box.start()
    dashboard = clinic(receiver="auto", protocol="auto")
    hint = 'broker.protocol = "3.1.1"'
    until(lambda: "broker: connected" in box.log() or hint in box.log(), 60)
    until(lambda: dashboard.subscriber.is_connected or hint in caplog.text, 60)
    if "broker: connected" in box.log():
        listener = Listener(EdgeBroker(port=kind.port))
        until(lambda: listener.of("state"))
        cell(AUTO_APPLIANCE, listener.of("state")[-1].protocol)
        listener.close()
    else:
        cell(AUTO_APPLIANCE, f"none; the log names `{hint}`")
    connected = dashboard.subscriber.is_connected
    cell(AUTO_DASHBOARD, "connected" if connected else
         f"none; the log names `{hint}`")  # fmt: skip
    assert box.process.poll() is None


def _in_order(appliance, clinic, kind):
    """A film, a held one and its release, with pictures and receipts."""
    dashboard = clinic()
    until(lambda: dashboard.subscriber.is_connected)
    listener = Listener(EdgeBroker(port=kind.port, protocol="3.1.1"))
    it = appliance().start()
    it.put("a.jpg", film_bytes("limb=LH"))
    it.put("b.jpg", film_bytes("reason=side_not_known"))
    until(lambda: len(dashboard.rows()) == 2, 60)
    held = next(row for row in dashboard.rows() if row.status == "held")
    with dashboard.database.writing() as connection:
        values = {"command": "release", "person": "Anna", "correlation": "ab", "side": "R"}
        films.begin_order(connection, held.pk, values)
    order = OperatorMessage(command="release", id=held.id, operator="Anna", limb="hand", side="R")
    device = DeviceName.parse(dashboard.rows(DEVICE)[0].name)
    assert dashboard.subscriber.order(device, order, "ab")
    until(lambda: len(dashboard.rows()) == 3, 60)
    until(lambda: dashboard.rows(ORDER)[0].answered_s is not None)
    assert dashboard.rows(ORDER)[0].done is True
    waits = {"claimed", "scored", "queued", "sent", "held"}
    until(lambda: not waits & set(it.states().values()), 60)
    until(lambda: len(dashboard.rows(PICTURE)) >= 2, 60)
    until(lambda: '"online"' in (dashboard.rows(DEVICE)[0].state or ""), 60)
    assert listener.of("state")[-1].protocol == "3.1.1"
    listener.close()
    listener.check_contract()
    assert it.audit()["findings"] == []


def test_contract(kind, appliance, clinic, cell):
    _in_order(appliance, clinic, kind)
    cell("results, pictures, receipts, decision and answer (MQTT 3.1.1)", "all")


def test_lasting_session(peer, cell, kind):
    """What is published while a dashboard is away, and over a kill of the broker."""
    rows = {"messages kept for a client that is away": False,
            "the same, over `kill -9` of the broker after its acknowledgement": True}  # fmt: skip
    for row, killed in rows.items():
        name = f"away{next(_names)}"
        peer(name, lasting=True).subscribe(f"{PLACE}/result").leave()
        sender = peer()
        assert all(sender.send(f"{PLACE}/result", b"x" * 17_000) for _ in range(100))
        if killed:
            kind.kill()
            kind.start()
        back = peer(name, lasting=True)
        with contextlib.suppress(AssertionError):
            until(lambda back=back: len(back.got) >= 100, 10)
        cell(row, f"{len(back.got)} of 100")
        assert killed or len(back.got) == 100


def test_retained(peer, cell):
    sender = peer()
    assert sender.send(f"{PLACE}/state", b"on", retain=True)
    exact, wild = f"{PLACE}/state", "sharpedge/+/xr9/+/state"
    found = []
    for one in (exact, wild):
        it = peer().subscribe(one)
        with contextlib.suppress(AssertionError):
            until(lambda it=it: it.got, 3)
        found.append("yes" if [m.payload for m in it.got if m.retain] == [b"on"] else "no")
    cell("a retained message comes by its topic / by a wildcard", " / ".join(found))
    assert found[0] == "yes"
    assert sender.send(exact, b"", retain=True)
    it = peer().subscribe(exact)
    time.sleep(1)
    cell("it can be cleared", "no" if it.got else "yes")


def test_last_will(peer, cell):
    watch = peer().subscribe(f"{PLACE}/state")
    dies = peer(will=(f"{PLACE}/state", b"offline"))
    dies.drop()
    until(lambda: [m for m in watch.got if m.payload == b"offline"], 30)
    late = peer().subscribe(f"{PLACE}/state")
    with contextlib.suppress(AssertionError):
        until(lambda: late.got, 3)
    cell("last will / and retained", f"yes / {'yes' if late.got else 'no'}")
    peer().send(f"{PLACE}/state", b"", retain=True)


def test_redelivery(peer, cell):
    """A QoS 1 message that was not acknowledged comes again; so long it took."""
    name = f"holds{next(_names)}"
    first = peer(name, lasting=True, holds=True).subscribe(f"{PLACE}/reject")
    assert peer().send(f"{PLACE}/reject", b"x")
    until(lambda: first.got)
    first.drop()
    began_s = time.monotonic()
    again = peer(name, lasting=True, holds=True)
    until(lambda: again.got, 60)
    took_s = time.monotonic() - began_s
    took = "at once" if took_s < 3 else f"after {took_s:.0f} s"
    cell("QoS 1 again after a lost acknowledgement", took)


def test_shared_subscription(peer, cell):
    """A broker of MQTT 3.1.1 may take the filter and give nothing."""
    group = [peer().subscribe("$share/centre/sharpedge/+/xr8/+/result") for _ in range(2)]
    time.sleep(1)
    sender = peer()
    for _ in range(20):
        sender.send("sharpedge/clinic/xr8/box8/result", b"x")
    time.sleep(2)
    shares = [len(it.got) for it in group]
    cell("shared subscription of two", f"{shares[0]} and {shares[1]} of 20")
    assert sum(shares) in {0, 20}


def test_large_message(peer, cell):
    """The longest picture of these that came through."""
    largest = 0
    for mib in (1, 4, 16):
        watch = peer().subscribe("sharpedge/clinic/xr7/box7/image")
        sender = peer()
        taken = sender.send("sharpedge/clinic/xr7/box7/image", b"x" * (mib << 20), wait_s=20)
        with contextlib.suppress(AssertionError):
            until(lambda watch=watch: watch.got, 10)
        largest = mib if taken and watch.got else largest
    cell("largest message of 1, 4 and 16 MiB that came through", f"{largest} MiB")
    assert largest >= 1


def test_name_with_a_dot(peer, cell):
    topic = "sharpedge/st.anna/xr1/box1/result"
    watch, sender = peer().subscribe("sharpedge/#"), peer()
    sender.send(topic, b"dotted", wait_s=5)
    with contextlib.suppress(AssertionError):
        until(lambda: [m for m in watch.got if m.payload == b"dotted"] or sender.ends, 10)
    came = [m.topic for m in watch.got if m.payload == b"dotted"]
    found = "yes" if came == [topic] else f"no: comes on `{came[0]}`" if came else "no"
    cell("a site's name with a dot", "no: ends the connection" if sender.ends else found)


def test_restart_of_the_broker(kind, appliance, clinic, cell):
    """Killed three times while results flow: lost and doubled."""
    dashboard = clinic(receiver="restarts")
    until(lambda: dashboard.subscriber.is_connected)
    it = appliance(device="box2")
    ids = fill(it, 200)
    it.start()
    for _ in range(3):
        time.sleep(1)
        kind.kill()
        kind.start()
    until(lambda: list(it.states().values()) == ["receipted"] * 200, 180)
    found = [row.id for row in dashboard.rows()]
    cell("200 results, the broker killed 3 times: lost / doubled",
         f"{len(set(ids) - set(found))} / {len(found) - len(set(found))}")  # fmt: skip
    assert set(found) == set(ids)
    assert len(found) == len(ids)
    assert it.process.poll() is None


def test_refused_publish(kind, peer, appliance, clinic, cell):
    """What the sender is told, and whether the results come once they are allowed."""
    kind.kill()
    kind.denied = "result"
    kind.start()
    sender = peer()
    taken = sender.send(f"{PLACE}/result", b"x", wait_s=20)
    told = "acknowledges and drops" if taken else "no word"
    told = "ends the connection" if sender.ends else told
    cell("a publish that the access list denies (MQTT 3.1.1)", told)
    dashboard = clinic(receiver="refusals")
    until(lambda: dashboard.subscriber.is_connected, 60)
    it = appliance(device="box3")
    ids = fill(it, 20)
    it.start()
    time.sleep(8)
    assert it.process.poll() is None
    assert set(it.states().values()) <= {"queued", "sent"}
    kind.kill()
    kind.denied = ""
    kind.start()
    until(lambda: list(it.states().values()) == ["receipted"] * 20, 180)
    found = [row.id for row in dashboard.rows()]
    cell("20 results that were denied at first: lost / doubled",
         f"{len(set(ids) - set(found))} / {len(found) - len(set(found))}")  # fmt: skip
    assert sorted(found) == sorted(ids)
