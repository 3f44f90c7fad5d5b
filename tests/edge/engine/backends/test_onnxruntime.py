"""The ONNX Runtime back end runs what its passport describes, and nothing else."""

import hashlib

import numpy as np
import pytest

from edge.engine.backends.onnxruntime import OnnxRuntimeEngine
from edge.engine.inputs import input_size, to_inputs
from edge.engine.passport import EngineFile
from edge.errors import EngineError


@pytest.fixture
def verified(tmp_path, make_engine, opened):
    return opened(make_engine(tmp_path))


def test_it_runs_any_batch(verified):
    engine = OnnxRuntimeEngine(verified, threads=1)
    for count in (1, 3):
        image = np.full((count, 1, 2, 2), 3, np.float32)
        np.testing.assert_array_equal(engine.run({"image": image})["out"], image * 2)
    assert engine.timings.total_ms == engine.timings.compute_ms > 0


def test_it_describes_itself(verified):
    engine = OnnxRuntimeEngine(verified)
    assert engine.name == "hand-score"
    assert engine.input_shapes == {"image": (None, 1, 2, 2)}
    assert engine.passport["limb"] == "hand"
    assert len(engine.sha256) == 64
    assert input_size(engine) == (2, 2)


def test_pixels_become_inputs_as_the_passport_states(tmp_path, make_engine, opened):
    spec = {
        "channels": 3,
        "height": 1,
        "width": 2,
        "scale": 0.5,
        "mean": (1, 2, 3),
        "std": (1, 1, 2),
    }
    engine = OnnxRuntimeEngine(opened(make_engine(tmp_path, input=spec)))
    inputs = to_inputs(engine, np.array([[[10, 20]]], np.uint8))
    assert inputs["image"].dtype == np.float32
    np.testing.assert_allclose(inputs["image"], [[[[4, 9]], [[3, 8]], [[1, 3.5]]]])


def test_a_file_that_is_no_engine_is_refused(tmp_path, make_engine, sign_again, opened):
    path = make_engine(tmp_path)
    engine = path.with_suffix(".onnx")
    engine.write_bytes(b"no engine")
    digest = hashlib.sha256(b"no engine").hexdigest()
    sign_again(path, engine=EngineFile(file=engine.name, sha256=digest, bytes=9))
    with pytest.raises(EngineError, match="cannot load"):
        OnnxRuntimeEngine(opened(path))


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
def test_a_wrong_input_is_named(verified, inputs):
    engine = OnnxRuntimeEngine(verified)
    with pytest.raises(EngineError, match=r"input (image|picture)"):
        engine.run(inputs)


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("std::bad_alloc", "free memory"),
        ("Failed to allocate memory for requested buffer of size 9", "free memory"),
        ("Non-zero status code returned while running Conv node", "sharpedge export"),
    ],
)
def test_the_remedy_for_want_of_memory_is_memory_and_not_another_engine(
    verified, monkeypatch, text, fix
):
    engine = OnnxRuntimeEngine(verified)

    class Failing:
        def run(self, *_arguments):
            raise RuntimeError(text)

    monkeypatch.setattr(engine, "_session", Failing())
    with pytest.raises(EngineError) as caught:
        engine.run({"image": np.zeros((1, 1, 2, 2), np.float32)})
    assert caught.value.fix.startswith(fix)
