"""Discovery message for Home Assistant: the appliance as one device with its figures.

Layer: contract; pure. Source: Home Assistant, MQTT discovery of a device (2024.11 and later).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edge.contract.payloads import Presence
from edge.model import DISCLAIMER

if TYPE_CHECKING:
    from edge.contract.ids import DeviceName


def discovery(prefix: str, device: DeviceName, release: str) -> tuple[str, bytes]:
    """Topic and payload, to be published retained.

    ``prefix`` is Home Assistant's own (``homeassistant`` unless changed there).
    """
    ident = f"sharpedge_{device.site}_{device.room}_{device.device}".replace(".", "_")
    state, health = device.topic("state"), device.topic("health")
    figures: dict[str, dict[str, Any]] = {
        "state": {"topic": state, "value": "state", "name": "State", "icon": "mdi:radiology-box"},
        "held": {"topic": health, "value": "jobs.held | default(0)", "name": "Films held"},
        "outbox": {"topic": health, "value": "outbox_depth", "name": "Messages not delivered"},
        "latency": {"topic": health, "value": "latency.p50_ms | default(none)", "unit": "ms",
                    "name": "Latency, median"},
        "disk": {"topic": health, "value": "disk_free_mib", "unit": "MiB", "name": "Disk free"},
    }  # fmt: skip
    components: dict[str, Any] = {
        key: {
            "platform": "sensor",
            "name": it["name"],
            "unique_id": f"{ident}_{key}",
            "state_topic": it["topic"],
            "value_template": f"{{{{ value_json.{it['value']} }}}}",
            **({"unit_of_measurement": it["unit"]} if "unit" in it else {}),
            **({"icon": it["icon"]} if "icon" in it else {}),
        }
        for key, it in figures.items()
    }
    components["problem"] = {
        "platform": "binary_sensor",
        "name": "Problem",
        "unique_id": f"{ident}_problem",
        "device_class": "problem",
        "state_topic": state,
        "value_template": f"{{{{ 'OFF' if value_json.state == '{Presence.ONLINE}' else 'ON' }}}}",
    }
    body = {
        "device": {
            "identifiers": [ident],
            "name": f"sharpedge {device}",
            "manufacturer": "sharpedge",
            "model": DISCLAIMER,
            "sw_version": release,
        },
        "origin": {"name": "sharpedge", "sw_version": release},
        "components": components,
        "availability": [{
            "topic": state,
            "value_template": f"{{{{ 'offline' if value_json.state == '{Presence.OFFLINE}' "
            "else 'online' }}",
        }],
    }  # fmt: skip
    return f"{prefix}/device/{ident}/config", json.dumps(body, separators=(",", ":")).encode()
