"""The published contract, judged by the tools that integrators use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.contract.examples import example_result

ROOT = Path(__file__).resolve().parents[1]
CONTRACT = ROOT / "docs" / "contract"
DOCUMENTS = sorted(ROOT.glob("docs/**/*asyncapi*.json"))
SCHEMAS = sorted(CONTRACT.glob("*.schema.json"))
ERROR = 0


BROKEN = ("#/$defs/StateMessage", "#/components/schemas/Nothing")


@pytest.fixture(scope="module")
def judged(npm_tools, tmp_path_factory):
    """Errors by file: our documents, and copies with a reference to nothing."""
    folder = tmp_path_factory.mktemp("broken")
    copies = [folder / f"{number}.json" for number in range(len(BROKEN))]
    text = DOCUMENTS[0].read_text()
    for path, reference in zip(copies, BROKEN, strict=True):
        path.write_text(text.replace("#/components/schemas/StateMessage", reference))
    # One run for all: the parser takes seconds to load.
    found = {path: [] for path in (*DOCUMENTS, *copies)}
    for line in npm_tools.run("asyncapi.mjs", *found):
        if line["severity"] == ERROR:
            found[Path(line["file"])].append(line)
    return found


def test_the_official_parser_finds_no_error_in_any_asyncapi_document(judged):
    assert {path: judged[path] for path in DOCUMENTS} == {path: [] for path in DOCUMENTS}


def test_the_parser_finds_a_reference_to_nothing(judged):
    copies = judged.keys() - set(DOCUMENTS)
    assert len(copies) == len(BROKEN)
    assert all(judged[path] for path in copies)


def test_ajv_compiles_every_schema_in_strict_mode(npm_tools):
    assert len(SCHEMAS) > 5
    assert npm_tools.run("schemas.mjs", *SCHEMAS) == []


def test_ajv_takes_the_example_and_refuses_a_changed_one(npm_tools, tmp_path):
    schema = CONTRACT / "result.schema.json"
    example = json.loads(example_result().model_dump_json())
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(example))
    bad.write_text(json.dumps({**example, "sequence": "one"}))
    lines = npm_tools.run("schemas.mjs", f"{schema}={good}", f"{schema}={bad}")
    assert {line["file"] for line in lines} == {str(bad)}
