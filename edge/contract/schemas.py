"""Writes the JSON Schemas and the AsyncAPI 3 document of the MQTT contract.

Layer: contract; generated from the payload models, written to a folder that is given.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edge.contract.asyncapi import asyncapi
from edge.contract.topics import CHANNELS

if TYPE_CHECKING:
    from pathlib import Path

    from edge.model import Record


def schema_of(model: type[Record]) -> dict[str, Any]:
    """JSON Schema (2020-12) of a payload as it is sent."""
    schema = model.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


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
