"""A tiny real engine with its signed passport, under a device key of the tests' own."""

import hashlib

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.engine.key import device_key
from edge.engine.passport import EngineFile, InputSpec, Passport, open_engine, signed


@pytest.fixture(autouse=True, scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHARPEDGE_HOME", str(folder))
        yield folder


def write_engine(
    folder, name="hand-score", role="score", limb="hand", weight=2.0, stem=None, **changes
):
    """Engine that multiplies [n, 1, 2, 2] by ``weight``; returns its passport's path."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = helper.make_graph(
        [helper.make_node("Mul", ["image", "w"], ["out"])],
        name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 2, 2])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 1, 2, 2])],
        initializer=[numpy_helper.from_array(np.array(weight, np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    path = folder / f"{stem or name}.onnx"
    path.write_bytes(data)
    fields = {
        "name": name,
        "role": role,
        "limb": limb,
        "input": InputSpec(channels=1, height=2, width=2, scale=1 / 255, mean=(0.0,), std=(1.0,)),
        "outputs": {"out": (None, 1, 2, 2)},
        "engine": EngineFile(
            file=path.name, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data)
        ),
        "sources": (),
        "build_key": "k",
        "versions": {},
        **changes,
    }
    passport = signed(Passport(**fields), device_key())
    path.with_suffix(".json").write_text(passport.model_dump_json())
    return path.with_suffix(".json")


def resign(path, **changes):
    """Change fields of a passport and sign it again, as its rightful device may."""
    passport = Passport.model_validate_json(path.read_bytes())
    changed = Passport.model_validate({**passport.model_dump(), **changes})
    path.write_text(signed(changed, device_key()).model_dump_json())


def open_signed(path):
    return open_engine(path, device_key())


@pytest.fixture(scope="session")
def make_engine():
    return write_engine


@pytest.fixture(scope="session")
def sign_again():
    return resign


@pytest.fixture(scope="session")
def opened():
    return open_signed
