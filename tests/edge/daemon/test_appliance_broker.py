"""The daemon and a broker that goes away or forgets, and what a dashboard asks."""

from __future__ import annotations

import json
import signal
import time

import paho.mqtt.client as mqtt
from appliance import Subscriber, until
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from stand_in import film_bytes

from edge.contract.payloads import DeliveryMode, Presence


def test_a_state_that_somebody_cleared_is_published_again(broker, subscriber, make_appliance):
    make_appliance(broker.port).start()
    until(lambda: subscriber.of("state") and subscriber.of("state")[-1].versions)
    before = len(subscriber.of("state"))
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    client.publish("sharpedge/clinic/xr1/box1/state", b"", 1, retain=True).wait_for_publish(5)
    client.disconnect()
    client.loop_stop()
    until(lambda: len(subscriber.of("state")) > before)


def test_after_an_outage_of_the_broker_everything_arrives_once_and_in_order(broker, make_appliance):
    it = make_appliance(broker.port).start()
    broker.kill()
    for number in range(40):
        it.put(f"{number}.jpg", film_bytes(f"n={number}"))
    until(lambda: list(it.states().values()) == ["queued"] * 40)
    # Held still, so that the dashboard is there first: this broker keeps nothing for it.
    it.process.send_signal(signal.SIGSTOP)
    broker.start()
    subscriber = Subscriber(broker.settings)
    it.process.send_signal(signal.SIGCONT)
    results = subscriber.wait("result", 40, 30)
    assert [r.sequence for r in results] == list(range(1, 41))
    assert subscriber.seen.repeats == 0
    subscriber.close()


def test_a_broker_that_forgets_what_it_acknowledged_loses_nothing_with_receipts(
    broker, make_appliance
):
    extra = '[delivery]\nmode = "receipt"\nresend_s = 1\n'
    it = make_appliance(broker.port, extra=extra).start()
    for number in range(10):
        it.put(f"{number}.jpg", film_bytes(f"n={number}"))
    until(lambda: list(it.states().values()) == ["sent"] * 10)
    broker.kill()
    broker.start()
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    assert len({r.id for r in dashboard.wait("result", 10, 30)}) == 10
    until(lambda: list(it.states().values()) == ["receipted"] * 10)
    dashboard.close()


def test_without_a_receipt_a_result_is_sent_again_and_with_it_the_row_closes(
    broker, subscriber, make_appliance
):
    extra = '[delivery]\nmode = "receipt"\nresend_s = 0.5\n'
    it = make_appliance(broker.port, extra=extra).start()
    it.put("a.jpg", film_bytes("limb=LH"))
    subscriber.wait("result", 1)
    until(lambda: subscriber.seen.repeats >= 2)
    assert it.states() == {1: "sent"}
    assert subscriber.of("state")[-1].delivery is DeliveryMode.RECEIPT
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    until(lambda: it.states() == {1: "receipted"})
    dashboard.close()
    assert dashboard.of("result")[0].sending > 1


def test_a_killed_appliance_is_told_offline_by_its_will(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    until(lambda: subscriber.of("state") and subscriber.of("state")[-1].versions)
    it.kill()
    until(lambda: subscriber.of("state")[-1].state is Presence.OFFLINE)
    it.start()
    until(lambda: subscriber.of("state")[-1].state is Presence.ONLINE)
    assert subscriber.of("state")[-1].session == 2


def test_a_dashboard_pauses_resumes_replays_and_is_answered(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    it.put("a.jpg", film_bytes("n=1"))
    (result,) = subscriber.wait("result", 1)
    until(lambda: it.states() == {1: "acked"})
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    answers = []
    client.on_message = lambda _c, _d, message: answers.append(message)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    until(client.is_connected)
    client.subscribe("sharpedge/ward/answers", 1)

    def ask(command, properties=None, **more):
        body = json.dumps({"command": command, **more})
        client.publish("sharpedge/clinic/xr1/box1/command", body, 1, properties=properties)

    ask("pause")
    until(lambda: "paused" in {a.code for a in subscriber.of("state")[-1].alerts})
    it.put("b.jpg", film_bytes("n=2"))
    time.sleep(1)
    assert it.states() == {1: "acked"}
    ask("resume")
    subscriber.wait("result", 2)
    until(lambda: not subscriber.of("state")[-1].alerts)
    wanted = Properties(PacketTypes.PUBLISH)
    wanted.ResponseTopic, wanted.CorrelationData = "sharpedge/ward/answers", b"7"
    before = subscriber.seen.repeats
    ask("replay", wanted, id=result.id)
    until(lambda: subscriber.seen.repeats > before)
    until(lambda: answers)
    assert json.loads(answers[0].payload)["done"] is True
    assert answers[0].properties.CorrelationData == b"7"
    births = len(subscriber.of("state"))
    ask("rebirth")
    ask("rescan")
    until(lambda: len(subscriber.of("state")) > births)
    ask("replay", id="00000000-0000-0000-0000-000000000000")
    ask("explode")
    until(lambda: len(subscriber.of("answer")) >= 6)
    assert [(a.command, a.done) for a in subscriber.of("answer")] == [
        ("pause", True), ("resume", True), ("rebirth", True), ("rescan", True), ("replay", False),
        (None, False),
    ]  # fmt: skip
    assert "rescan" in subscriber.of("answer")[-1].detail
    client.disconnect()
    client.loop_stop()
