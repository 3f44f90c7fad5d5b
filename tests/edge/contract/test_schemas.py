"""The published schemas."""

from __future__ import annotations

import json

import jsonschema

from edge.contract.asyncapi import asyncapi
from edge.contract.schemas import write_contract
from edge.contract.topics import CHANNELS


def test_every_written_schema_is_a_valid_schema(tmp_path):
    written = write_contract(tmp_path)
    names = {path.name for path in written}
    assert "asyncapi.json" in names
    assert len(names) == 1 + sum(channel.model is not None for channel in CHANNELS)
    for path in written:
        document = json.loads(path.read_text())
        if path.name != "asyncapi.json":
            jsonschema.Draft202012Validator.check_schema(document)
            assert document["additionalProperties"] is False


def test_the_asyncapi_document_names_every_topic_with_its_direction():
    document = asyncapi()
    assert document["asyncapi"].startswith("3.")
    assert set(document["channels"]) == {
        "state", "result", "reject", "image", "study", "health", "receipt", "command", "operator",
        "answer",
    }  # fmt: skip
    assert document["operations"]["receipt"]["action"] == "receive"
    assert document["operations"]["command"]["action"] == "receive"
    assert document["operations"]["result"]["action"] == "send"
    assert "research use only" in document["info"]["description"]
