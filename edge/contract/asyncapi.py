"""The AsyncAPI 3 document of the MQTT contract: servers, topics, messages, examples.

Layer: contract; generated from the payload models and the table of topics.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import models_json_schema

from edge.contract.examples import examples, joined_examples
from edge.contract.payloads import SCHEMA_VERSION, absent_keys
from edge.contract.topics import CHANNELS
from edge.model import DISCLAIMER

if TYPE_CHECKING:
    from edge.contract.topics import Channel
    from edge.model import Record

_COMPONENT = "#/components/schemas/{model}"
_BINDING = "0.2.0"
_WORD = "1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit"
_PARAMETERS = {
    "site": f"site.name of the configuration: {_WORD}",
    "room": f"site.room: {_WORD}",
    "device": f"site.device: {_WORD}",
    "study": "pseudonym of a patient's set of films, 32 hexadecimal digits",
    "account": "user of the operator at the broker, to whom its access list keeps the topic",
}
_REPLIES = {"result": "receipt", "reject": "receipt", "command": "answer", "operator": "answer"}
"""Topic to the topic on which the other side answers."""


def asyncapi() -> dict[str, Any]:
    """Build the AsyncAPI 3.0 document of the appliance."""
    shown = {name: _json_of(example) for name, example in examples().items()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "sharpedge",
            "version": f"{SCHEMA_VERSION}.0.0",
            "description": f"Results of the sharpedge appliance: {DISCLAIMER}.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": _servers(),
        "channels": {channel.name: _channel(channel, shown) for channel in CHANNELS},
        "operations": {channel.name: _operation(channel) for channel in CHANNELS},
        "components": {
            "schemas": _component_schemas(),
            "securitySchemes": {
                "password": {"type": "userPassword", "description": "user and password of MQTT"},
                "certificate": {
                    "type": "X509",
                    "description": "the client's certificate; its common name is the user",
                },
            },
        },
    }


def _json_of(example: Record) -> dict[str, Any]:
    return example.model_dump(mode="json", exclude=absent_keys(example))


def _servers() -> dict[str, Any]:
    host = {"description": "the site's broker", "default": "localhost"}
    scheme = {name: {"$ref": f"#/components/securitySchemes/{name}"} for name in (
        "password", "certificate")}  # fmt: skip
    plain, tls = {"default": "1883"}, {"default": "8883"}
    return {
        "plain": {
            "host": "{host}:{port}", "protocol": "mqtt", "protocolVersion": "5.0",
            "description": "On one machine, or for a trial. MQTT 3.1.1 works too; without "
            "properties of MQTT 5 then.",
            "variables": {"host": host, "port": plain},
            "security": [scheme["password"]],
        },
        "tls": {
            "host": "{host}:{port}", "protocol": "mqtts", "protocolVersion": "5.0",
            "description": "As systemd/mosquitto.conf sets it up.",
            "variables": {"host": host, "port": tls},
            "security": [scheme["certificate"], scheme["password"]],
        },
    }  # fmt: skip


def _channel(channel: Channel, shown: dict[str, Any]) -> dict[str, Any]:
    parameters = ("site", "room", "device", *re.findall(r"{(\w+)}", channel.topic))
    return {
        "address": f"sharpedge/{{site}}/{{room}}/{{device}}/{channel.topic}",
        "description": channel.what,
        "parameters": {name: {"description": _PARAMETERS[name]} for name in parameters},
        "messages": {channel.name: _message(channel, shown)},
    }


def _message(channel: Channel, shown: dict[str, Any]) -> dict[str, Any]:
    binding: dict[str, Any] = {"bindingVersion": _BINDING, "contentType": channel.content_type}
    message: dict[str, Any] = {
        "name": channel.name,
        "contentType": channel.content_type,
        "summary": _summary(channel),
    }
    if channel.sent_by_device:
        message["headers"] = {
            "type": "object",
            "description": "user properties of MQTT 5",
            "properties": {"schema_version": {"type": "string", "const": str(SCHEMA_VERSION)}},
        }
    if channel.model is None:
        message["payload"] = {
            "type": "string",
            "contentMediaType": channel.content_type,
            "description": "its comment starts with `sharpedge result <id>`",
        }
    else:
        message["payload"] = {"$ref": _COMPONENT.format(model=channel.model.__name__)}
        message["examples"] = [{"name": channel.name, "payload": shown[channel.name]}]
        joined = joined_examples().get(channel.name)
        if joined is not None:
            name = f"{channel.name} with an identifier that the site has switched on"
            message["examples"].append({"name": name, "payload": _json_of(joined)})
        if "id" in channel.model.model_fields:
            message["correlationId"] = {
                "location": "$message.payload#/id",
                "description": "the result's id; MQTT 5's correlation data holds it too",
            }
    if channel.receipt:
        binding["responseTopic"] = {"type": "string", "description": "the topic receipt"}
    if channel.name in {"command", "operator"}:
        binding["responseTopic"] = {
            "type": "string",
            "description": "where the answer shall go: below sharpedge/, and none of this "
            "document's topics; without one it goes to the topic answer",
        }
    message["bindings"] = {"mqtt": binding}
    return message


def _summary(channel: Channel) -> str:
    if channel.receipt:
        return f"{channel.what}; sent again until a receipt with its id arrives"
    return channel.what


def _operation(channel: Channel) -> dict[str, Any]:
    reply = _REPLIES.get(channel.name)
    return {
        "action": "send" if channel.sent_by_device else "receive",
        "channel": {"$ref": f"#/channels/{channel.name}"},
        "messages": [{"$ref": f"#/channels/{channel.name}/messages/{channel.name}"}],
        "bindings": {"mqtt": {"qos": channel.qos, "retain": channel.retained}},
    } | ({} if reply is None else {"reply": {
        "channel": {"$ref": f"#/channels/{reply}"},
        "messages": [{"$ref": f"#/channels/{reply}/messages/{reply}"}],
    }})  # fmt: skip


def _component_schemas() -> dict[str, Any]:
    """Schema of every payload model and of the models in it, by name."""
    models = {channel.model for channel in CHANNELS if channel.model is not None}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, found = models_json_schema(
        [(model, "serialization") for model in ordered], ref_template=_COMPONENT
    )
    return dict(found["$defs"])
