"""A tiny real engine with its passport."""

import hashlib

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.engine.passport import EngineFile, InputSpec, Passport


def write_engine(folder, name="hand-score", role="score", limb="hand", weight=2.0, **changes):
    """Engine that multiplies [n, 1, 2, 2] by ``weight``; returns its path."""
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
    path = folder / f"{name}.onnx"
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
    path.with_suffix(".json").write_text(Passport(**fields).model_dump_json())
    return path


@pytest.fixture(scope="session")
def make_engine():
    return write_engine
