from __future__ import annotations

import json
import re

import pytest

from edge.contract.examples import examples
from edge.contract.home_assistant import discovery
from edge.contract.ids import DeviceName

DEVICE = DeviceName("clinic", "x.ray-1", "box1")


def body():
    topic, payload = discovery("homeassistant", DEVICE, "1.0")
    assert topic == "homeassistant/device/sharpedge_clinic_x_ray-1_box1/config"
    return json.loads(payload)


@pytest.mark.parametrize("name", sorted(body()["components"]))
def test_every_template_reads_a_key_that_its_topic_has(name):
    component = body()["components"][name]
    kind = component["state_topic"].rpartition("/")[2]
    message = examples()[kind].model_dump(mode="json")
    path = re.search(r"value_json\.([\w.]+)", component["value_template"])[1].split(".")
    for key in path:
        assert key in message
        message = message[key]


def test_ids_are_unique_and_the_notice_is_shown():
    found = body()
    ids = [it["unique_id"] for it in found["components"].values()]
    assert len(set(ids)) == len(ids)
    assert found["device"]["model"] == "research use only, not a medical device"
