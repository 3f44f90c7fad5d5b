"""Dashboards that answer twice, late, wrongly, for others, or never; junk on our topics."""

from __future__ import annotations

import contextlib
import json
import time

import paho.mqtt.client as mqtt
import pytest
from appliance import Subscriber, until
from filled import fill
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from stand_in import film_bytes

RECEIPTS = '[delivery]\nmode = "receipt"\nresend_s = 2\n'
TOPIC = "sharpedge/clinic/xr1/box1/"


@contextlib.contextmanager
def client_of(port, protocol=mqtt.MQTTv5):
    it = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=protocol)
    it.connect("127.0.0.1", port)
    it.loop_start()
    try:
        yield it
    finally:
        it.disconnect()
        it.loop_stop()


def say(client, topic, payload, *, retain=False, correlation=None):
    properties = None
    if correlation is not None:
        properties = Properties(PacketTypes.PUBLISH)
        properties.CorrelationData = correlation
    client.publish(TOPIC + topic, payload, 1, retain, properties).wait_for_publish(5)


def receipt(result_id, receiver="dashboard"):
    return json.dumps({"id": result_id, "receiver": receiver})


def test_receipts_that_say_two_things(broker, subscriber, make_appliance, figures):
    """A receipt whose correlation data is another result's closes nothing; twice, late, once."""
    it = make_appliance(broker.port, extra=RECEIPTS + "health_s = 1\n").start()
    for name in "ab":
        it.put(f"{name}.jpg", film_bytes(f"n={name}"))
    first, second = subscriber.wait("result", 2)
    with client_of(broker.port) as client:
        say(client, "receipt", receipt(first.id), correlation=second.id.encode())
        say(client, "receipt", receipt(first.id), correlation=b"\xff" * 40)
        until(lambda: subscriber.of("health")[-1].messages_dropped == 2)
        assert set(it.states().values()) == {"sent"}
        for _ in range(50):
            say(client, "receipt", receipt(first.id), correlation=first.id.encode())
        until(lambda: it.states() == {1: "receipted", 2: "sent"})
        it.kill()
        say(client, "receipt", receipt(second.id))
        it.start()
        for _ in range(3):
            say(client, "receipt", receipt(second.id))
        until(lambda: set(it.states().values()) == {"receipted"})
        # Long after its end, and after a restart.
        say(client, "receipt", receipt(first.id))
        it.put("c.jpg", film_bytes("n=c"))
        third = subscriber.wait("result", 3)[-1]
        say(client, "receipt", receipt(third.id))
        until(lambda: list(it.states().values()) == ["receipted"] * 3)
    figures["dropped"] = 2
    assert it.audit()["findings"] == []


def test_a_forged_receipt_for_what_was_never_sent(broker, make_appliance, figures):
    """A receipt for a result that was never sent does not close it: it still goes out."""
    it = make_appliance(broker.port, extra=RECEIPTS)
    ids = fill(it, 200)
    with client_of(broker.port) as client:
        client.subscribe(TOPIC + "result", 1)
        got = set()
        client.on_message = lambda _c, _d, m: got.add(json.loads(m.payload)["id"])
        it.start(ready=False)
        until(lambda: "broker: connected" in it.log())
        for result_id in reversed(ids):
            client.publish(TOPIC + "receipt", receipt(result_id), 1)
        until(lambda: got == set(ids), 30, "every result")
    figures["sent all the same"] = len(got)


@pytest.mark.faults
def test_one_of_two_named_dashboards_never_answers(broker, make_appliance, figures):
    """Of two named dashboards one never answers: told, new results flow, it gets all on return."""
    ward = Subscriber(broker.settings, receiver="ward")
    it = make_appliance(
        broker.port, extra=RECEIPTS + 'receivers = ["ward", "pacs"]\nalert_s = 2\n'
    ).start()
    for number in range(40):
        it.put(f"{number}.jpg", film_bytes(f"n={number}"))
    ward.wait("result", 40)
    until(lambda: any(a.code == "undelivered" for a in ward.of("state")[-1].alerts), 15)
    until(lambda: set(it.states().values()) == {"sent"})
    with client_of(broker.port) as client:
        for number in range(500):
            client.publish(TOPIC + "receipt", receipt(ward.of("result")[0].id, f"x{number}"), 1)
        time.sleep(1)
    assert set(it.states().values()) == {"sent"}
    assert it.audit()["exit_status"] in (0, 3)
    pacs = Subscriber(broker.settings, receiver="pacs")
    begun_s = time.monotonic()
    until(lambda: set(it.states().values()) == {"receipted"}, 30)
    figures["recovered in s"] = round(time.monotonic() - begun_s, 1)
    assert len(pacs.of("result")) == len(ward.of("result")) == 40
    until(lambda: not ward.of("state")[-1].alerts)
    assert it.audit()["findings"] == []
    ward.close()
    pacs.close()


@pytest.mark.faults
@pytest.mark.parametrize(
    "payload", [b"", b"junk", b"{}", b'{"state": "offline"}', b"\xff" * 3000], ids=range(5)
)
def test_junk_retained_on_our_topics(broker, make_appliance, payload):
    """Junk that stays retained on state, receipt and command: overwritten, dropped, no harm."""
    it = make_appliance(broker.port, extra=RECEIPTS)
    subscriber = Subscriber(broker.settings)
    with client_of(broker.port) as client:
        for topic in ("state", "receipt", "command", "health"):
            say(client, topic, payload, retain=True)
        it.start()
        it.put("a.jpg", film_bytes("n=1"))
        (result,) = subscriber.wait("result", 1)
        say(client, "state", payload, retain=True)
        say(client, "receipt", receipt(result.id))
        until(lambda: it.states() == {1: "receipted"})
        until(lambda: retained_state(broker) == "online", 15)
        say(client, "receipt", b"", retain=True)
        say(client, "command", b"", retain=True)
    subscriber.close()
    assert it.audit(broker=True)["findings"] == []


def retained_state(broker):
    late = Subscriber(broker.settings)
    until(lambda: [m for m in late.messages if m.kind == "state"], 5)
    late.close()
    found = late.of("state")
    return found[-1].state if found else None


@pytest.mark.faults
def test_receipts_of_3_1_1(broker, make_appliance, figures):
    """MQTT 3.1.1 on both sides: receipts by topic close results, over restarts of both."""
    settings = broker.settings.model_copy(update={"protocol": "3.1.1"})
    dashboard = Subscriber(settings, receiver="dashboard")
    it = make_appliance(broker.port, extra=RECEIPTS)
    it.extend('[broker]\nprotocol = "3.1.1"\n')
    it.start()
    for number in range(5):
        it.put(f"{number}.jpg", film_bytes(f"n={number}"))
    until(lambda: list(it.states().values()) == ["receipted"] * 5)
    assert dashboard.of("state")[-1].protocol == "3.1.1"
    broker.kill()
    it.put("5.jpg", film_bytes("n=5"))
    until(lambda: it.states().get(6) == "queued")
    it.kill()
    broker.start()
    begun_s = time.monotonic()
    it.start()
    until(lambda: list(it.states().values()) == ["receipted"] * 6)
    figures["recovered in s"] = round(time.monotonic() - begun_s, 1)
    assert len(dashboard.of("result")) == 6
    assert it.audit()["findings"] == []
    dashboard.close()


@pytest.mark.faults
def test_a_flood_of_wrong_messages(broker, subscriber, make_appliance, figures):
    """20,000 forged receipts and commands at once: results flow, memory stays."""
    it = make_appliance(broker.port, extra=RECEIPTS + "health_s = 1\n").start()
    it.put("a.jpg", film_bytes("n=1"))
    (result,) = subscriber.wait("result", 1)
    before = it.rss_mib()
    with client_of(broker.port) as client:
        for number in range(10_000):
            forged = f"5ce4d5c1-0451-5ebc-8015-{number:012x}"
            client.publish(TOPIC + "receipt", receipt(forged), 1)
            client.publish(TOPIC + "command", b'{"command": "sing"}', 1)
        it.put("b.jpg", film_bytes("n=2"))
        begun_s = time.monotonic()
        answered_s = 0.0

        def all_receipted():
            # The broker drops what its queue has no room for, receipts too: a dashboard that sees a
            # result come again answers again.
            nonlocal answered_s
            if time.monotonic() - answered_s > 1.0:
                answered_s = time.monotonic()
                for found in subscriber.of("result"):
                    say(client, "receipt", receipt(found.id))
            states = it.states().values()
            return len(states) == 2 and set(states) == {"receipted"}

        until(all_receipted, 60)
    figures |= {
        "next delivered in s": round(time.monotonic() - begun_s, 1),
        "RSS growth in MiB": round(it.rss_mib() - before, 1),
    }
    assert it.rss_mib() - before < 20
    assert result.id
