"""The command ``licenses``."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from edge.errors import ConfigError
from sharpedge import components
from sharpedge.cli import app


def run(*words):
    return CliRunner().invoke(app, ["licenses", *words])


def test_the_list_names_packages_models_and_notice():
    text = run().output
    assert "onnxruntime" in text
    assert "engines/weights/hand-mask.npz  Apache-2.0" in text
    assert "\nedge/data/marker.npz  Apache-2.0" in text
    assert "CC BY 4.0" in text
    assert text.rstrip().endswith("Research use only, not a medical device.")


def test_json_and_the_bill_of_materials_are_one_object_each():
    assert {"packages", "models"} == set(json.loads(run("--json").output))
    assert json.loads(run("--sbom").output)["bomFormat"] == "CycloneDX"


def test_recipes_that_are_missing_are_a_message(monkeypatch):
    def missing():
        raise ConfigError("the engine recipes are missing")

    monkeypatch.setattr(components, "model_files", missing)
    done = run()
    assert done.exit_code == 1
    assert "the engine recipes are missing" in done.stderr


@pytest.mark.parametrize("options", [[], ["--json"], ["--sbom"]])
def test_every_form_ends_well(options):
    assert run(*options).exit_code == 0
