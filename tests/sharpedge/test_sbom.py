"""The bill of materials is valid CycloneDX, by another's validator, and names what is installed."""

from __future__ import annotations

import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from sharpedge.components import libraries, model_files
from sharpedge.sbom import cyclonedx


@pytest.fixture(scope="module")
def document():
    return cyclonedx(libraries(), model_files())


def fault(document):
    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document))


def test_it_is_valid_and_the_validator_would_notice(document):
    assert fault(document) is None
    assert fault(document | {"components": [{"type": "model"}]}) is not None


def test_it_lists_libraries_and_model_files_with_hashes(document):
    kinds = [one["type"] for one in document["components"]]
    assert kinds.count("library") == len(libraries()) - 1
    models = [one for one in document["components"] if one["type"] == "machine-learning-model"]
    assert {one["name"]: one["hashes"][0]["content"] for one in models} == {
        one.path: one.sha256 for one in model_files()
    }
    assert all(one["licenses"] and one["description"] for one in models)


def test_every_reference_leads_to_a_component(document):
    own = document["metadata"]["component"]["bom-ref"]
    known = {own, *(one["bom-ref"] for one in document["components"])}
    for row in document["dependencies"]:
        assert {row["ref"], *row["dependsOn"]} <= known
    (needs,) = [row["dependsOn"] for row in document["dependencies"] if row["ref"] == own]
    assert {"weights/hand-mask.npz", "edge/data/marker.npz"} <= set(needs)


def test_the_same_installation_gives_the_same_document(document):
    assert cyclonedx(libraries(), model_files()) == document
    assert cyclonedx(libraries()[:5], [])["serialNumber"] != document["serialNumber"]
