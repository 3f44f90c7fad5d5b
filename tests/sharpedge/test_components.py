"""Libraries and model files are found with their licences, and nothing of the tests' tools is."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from sharpedge import components
from sharpedge.components import NOT_STATED, libraries, model_files, notice

ROOT = Path(__file__).resolve().parents[2]


def test_the_program_comes_first_and_its_requirements_are_all_there():
    own, *others = libraries()
    assert (own.name, own.licence, own.expression) == ("sharpedge", "Apache-2.0", True)
    names = [one.name for one in others]
    assert names == sorted(set(names))
    assert {"numpy", "onnxruntime", "pydicom", "opencv-python-headless"} <= set(own.requires)
    assert set(own.requires) <= set(names)
    assert all(set(one.requires) <= {own.name, *names} for one in others)


def test_packages_that_only_the_tests_need_are_left_out():
    names = {one.name for one in libraries()}
    assert not names & {"pytest", "ruff", "mypy", "hypothesis", "cyclonedx-python-lib"}


def test_every_version_is_the_installed_one():
    for one in libraries():
        assert metadata.version(one.name) == one.version
        assert one.licence != NOT_STATED, one.name


class Metadata(dict):
    """The part of a package's metadata that is read."""

    def get_all(self, key):
        return super().get(key)


@pytest.mark.parametrize(
    ("field", "classifiers", "licence"),
    [
        ("MIT", [], "MIT"),
        ("Copyright (c)\nall rights", ["License :: OSI Approved :: BSD License"], "BSD License"),
        (None, ["Topic :: Any"], NOT_STATED),
        (
            None,
            ["License :: OSI Approved :: MIT License", "License :: Public Domain"],
            "MIT License AND Public Domain",
        ),
    ],
)
def test_an_older_package_gives_its_licence_by_field_or_classifier(field, classifiers, licence):
    package = SimpleNamespace(
        metadata=Metadata(
            {"Name": "Some_Package", "License": field and [field], "Classifier": classifiers}
        ),
        version="1",
        requires=[],
    )
    found = components._library(package, [])
    assert (found.name, found.licence, found.expression) == ("some-package", licence, False)


def test_every_shipped_model_file_has_its_hash_origin_and_licence():
    own = (ROOT / "engines" / "weights", ROOT / "edge")
    shipped = {path for folder in own for path in folder.rglob("*.npz")}
    found = {ROOT / one.shown: one for one in model_files()}
    assert shipped <= set(found)
    for path, one in found.items():
        data = path.read_bytes()
        assert (one.sha256, one.bytes) == (hashlib.sha256(data).hexdigest(), len(data))
        assert one.licence == "Apache-2.0"
        assert "FracAtlas" in one.origin or "Darknet" in one.origin
        assert one.engines or one.path == "edge/data/marker.npz"


def test_the_notice_is_the_one_of_the_installation():
    assert "FracAtlas" in notice()
