"""Subscribers: several on one broker, and one whose id another takes over."""

from __future__ import annotations

import threading

import paho.mqtt.client as mqtt
from appliance import until
from paho.mqtt.enums import CallbackAPIVersion

from edge.delivery.listen import listen

TOPIC = "sharpedge/clinic/xr1/box1/answer"


class Listener:
    """Listens on a thread of its own."""

    def __init__(self, settings, **options):
        self.got, self.connections, self._stop = [], 0, threading.Event()
        self._thread = threading.Thread(target=self._run, args=(settings, options), daemon=True)
        self._thread.start()

    def _run(self, settings, options):
        def connected(_protocol):
            self.connections += 1

        for message in listen(
            settings, stopped=self._stop.is_set, on_connected=connected, **options
        ):
            self.got.append(message.payload)

    def close(self):
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()


def publish(port, count):
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for number in range(count):
        client.publish(TOPIC, b"%d" % number, 1).wait_for_publish(5)
    client.disconnect()
    client.loop_stop()


def test_two_listeners_on_one_broker_both_get_everything(broker):
    two = [Listener(broker.settings) for _ in range(2)]
    until(lambda: all(it.connections for it in two))
    publish(broker.port, 20)
    until(lambda: all(len(it.got) == 20 for it in two))
    for it in two:
        it.close()
        assert it.connections == 1


def test_two_with_one_id_are_warned_of_and_leave_each_other_pauses(broker, caplog):
    two = [Listener(broker.settings, client_id="same") for _ in range(2)]
    until(lambda: sum(it.connections for it in two) >= 4)
    until(
        lambda: (
            "another client seems to use the id same" in caplog.text
            or "uses the id same" in caplog.text
        )
    )
    before = sum(it.connections for it in two)
    threading.Event().wait(3.0)
    assert sum(it.connections for it in two) - before <= 6
    for it in two:
        it.close()
