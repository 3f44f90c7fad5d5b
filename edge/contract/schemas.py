"""JSON Schemas and the AsyncAPI 3 document of the MQTT contract.

Layer: contract; generated from the payload models, written to a folder that is given.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import models_json_schema

from edge.contract.payloads import SCHEMA_VERSION
from edge.contract.topics import CHANNELS
from edge.model import DISCLAIMER

if TYPE_CHECKING:
    from pathlib import Path

    from edge.model import Record

_COMPONENT = "#/components/schemas/{model}"


def schema_of(model: type[Record]) -> dict[str, Any]:
    """JSON Schema (2020-12) of a payload as it is sent."""
    schema = model.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def asyncapi() -> dict[str, Any]:
    """Build the AsyncAPI 3.0 document of the appliance."""
    device = ("site", "room", "device")
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for channel in CHANNELS:
        name = channel.topic.split("/")[0]
        parameters = (*device, *re.findall(r"{(\w+)}", channel.topic))
        message: dict[str, Any] = {"name": name, "contentType": channel.content_type}
        if channel.model is not None:
            message["payload"] = {"$ref": _COMPONENT.format(model=channel.model.__name__)}
        channels[name] = {
            "address": f"sharpedge/{{site}}/{{room}}/{{device}}/{channel.topic}",
            "description": channel.what,
            "parameters": {parameter: {} for parameter in parameters},
            "messages": {name: message},
        }
        operations[name] = {
            "action": "send" if channel.sent_by_device else "receive",
            "channel": {"$ref": f"#/channels/{name}"},
            "bindings": {"mqtt": {"qos": channel.qos, "retain": channel.retained}},
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "sharpedge",
            "version": f"{SCHEMA_VERSION}.0.0",
            "description": f"Results of the sharpedge appliance: {DISCLAIMER}.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"schemas": _component_schemas()},
    }


def _component_schemas() -> dict[str, Any]:
    """Schema of every payload model and of the models in it, by name."""
    models = {channel.model for channel in CHANNELS if channel.model is not None}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, found = models_json_schema(
        [(model, "serialization") for model in ordered], ref_template=_COMPONENT
    )
    return dict(found["$defs"])


def write_contract(out_dir: Path) -> list[Path]:
    """Write one JSON Schema for each payload and ``asyncapi.json``; returns the files, in order."""
    out_dir.mkdir(parents=True, exist_ok=True)
    documents = {
        f"{channel.topic.split('/')[0]}.schema.json": schema_of(channel.model)
        for channel in CHANNELS
        if channel.model is not None
    }
    documents["asyncapi.json"] = asyncapi()
    written = []
    for name, document in documents.items():
        path = out_dir / name
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        written.append(path)
    return written
