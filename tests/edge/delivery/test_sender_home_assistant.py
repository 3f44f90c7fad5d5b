from __future__ import annotations

import json
import queue

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion


def retained_below(port, topic):
    """The first retained message below a topic, None where none comes in two seconds."""
    found = queue.SimpleQueue()
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _c, _d, message: found.put((message.topic, message.payload))
    client.on_connect = lambda client, *_: client.subscribe(topic)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        return found.get(timeout=2)
    except queue.Empty:
        return None
    finally:
        client.disconnect()
        client.loop_stop()


@pytest.mark.parametrize("asked", [True, False])
def test_home_assistant_is_told_only_where_a_site_asked_for_it(asked, make_appliance, broker):
    extra = '[delivery]\nmode = "puback"\n' + 'home_assistant = "homeassistant"\n' * asked
    make_appliance(broker.port, extra=extra).start()
    found = retained_below(broker.port, "homeassistant/#")
    if not asked:
        assert found is None
        return
    topic, payload = found
    assert topic == "homeassistant/device/sharpedge_clinic_xr1_box1/config"
    assert json.loads(payload)["availability"][0]["topic"] == "sharpedge/clinic/xr1/box1/state"
