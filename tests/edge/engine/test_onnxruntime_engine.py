"""The ONNX Runtime back end runs what its passport vouches for, and nothing else."""

import hashlib
import json

import numpy as np
import pytest

from edge.engine.inputs import input_size, to_inputs
from edge.engine.onnxruntime import OnnxRuntimeEngine
from edge.errors import EngineError


@pytest.fixture
def engine_path(tmp_path, make_engine):
    return make_engine(tmp_path)


def test_it_runs_any_batch(engine_path):
    engine = OnnxRuntimeEngine(engine_path, threads=1)
    for count in (1, 3):
        image = np.full((count, 1, 2, 2), 3, np.float32)
        np.testing.assert_array_equal(engine.run({"image": image})["out"], image * 2)


def test_it_says_what_it_is(engine_path):
    engine = OnnxRuntimeEngine(engine_path)
    assert engine.name == "hand-score"
    assert engine.input_shapes == {"image": (None, 1, 2, 2)}
    assert engine.passport["limb"] == "hand"
    assert len(engine.sha256) == 64
    assert input_size(engine) == (2, 2)


def test_pixels_become_inputs_as_the_passport_says(tmp_path, make_engine):
    spec = {
        "channels": 3,
        "height": 1,
        "width": 2,
        "scale": 0.5,
        "mean": (1, 2, 3),
        "std": (1, 1, 2),
    }
    engine = OnnxRuntimeEngine(make_engine(tmp_path, input=spec))
    inputs = to_inputs(engine, np.array([[[10, 20]]], np.uint8))
    assert inputs["image"].dtype == np.float32
    np.testing.assert_allclose(inputs["image"], [[[[4, 9]], [[3, 8]], [[1, 3.5]]]])


@pytest.mark.parametrize("at", [0, 20, -1])
def test_a_changed_engine_is_refused_with_the_mend(engine_path, at):
    data = bytearray(engine_path.read_bytes())
    data[at] ^= 1
    engine_path.write_bytes(data)
    with pytest.raises(EngineError, match="sharpedge export") as caught:
        OnnxRuntimeEngine(engine_path)
    assert caught.value.engine == "hand-score"
    assert "SHA-256" in str(caught.value)


def test_a_missing_engine_or_passport_is_refused(engine_path):
    engine_path.unlink()
    with pytest.raises(EngineError, match="cannot be read"):
        OnnxRuntimeEngine(engine_path)
    engine_path.with_suffix(".json").unlink()
    with pytest.raises(EngineError, match="passport cannot be read"):
        OnnxRuntimeEngine(engine_path)


@pytest.mark.parametrize(
    ("key", "value"), [("role", "sing"), ("colour", "red"), ("schema_version", 9), ("input", None)]
)
def test_a_passport_of_another_form_is_refused_by_field(engine_path, key, value):
    path = engine_path.with_suffix(".json")
    passport = json.loads(path.read_text())
    path.write_text(json.dumps({**passport, key: value}))
    with pytest.raises(EngineError, match=key):
        OnnxRuntimeEngine(engine_path)


def test_an_engine_outside_the_folder_is_refused(engine_path):
    path = engine_path.with_suffix(".json")
    passport = json.loads(path.read_text())
    passport["engine"]["file"] = "../other.onnx"
    path.write_text(json.dumps(passport))
    with pytest.raises(EngineError, match=r"engine\.file"):
        OnnxRuntimeEngine(engine_path)


def test_a_file_that_is_no_engine_is_refused(tmp_path, make_engine):
    path = make_engine(tmp_path)
    passport = json.loads(path.with_suffix(".json").read_text())
    path.write_bytes(b"no engine")
    passport["engine"]["sha256"] = hashlib.sha256(b"no engine").hexdigest()
    path.with_suffix(".json").write_text(json.dumps(passport))
    with pytest.raises(EngineError, match="cannot load"):
        OnnxRuntimeEngine(path)


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"picture": np.zeros((1, 1, 2, 2), np.float32)},
        {"image": np.zeros((1, 1, 2, 3), np.float32)},
        {"image": np.zeros((1, 2, 2), np.float32)},
        {"image": np.zeros((0, 1, 2, 2), np.float32)},
        {"image": np.zeros((1, 1, 2, 2), np.float64)},
    ],
)
def test_a_wrong_input_is_named(engine_path, inputs):
    engine = OnnxRuntimeEngine(engine_path)
    with pytest.raises(EngineError, match=r"input (image|picture)"):
        engine.run(inputs)
