"""Whatever an operator of a saved Keras model computes is in the graph, or the model is refused."""

import numpy as np
import pytest
from keras_files import (
    CHANNELS,
    HEIGHT,
    SHAPE,
    WIDTH,
    answers,
    array,
    image,
    layer,
    operator,
    save_h5,
    save_keras,
    tensor,
)

from export.errors import ExportError, LayerError
from export.importers.keras import keras_to_onnx, read_keras

BINARY = {
    "Add": np.add,
    "Subtract": np.subtract,
    "Multiply": np.multiply,
    "Divide": np.divide,
    "TrueDivide": np.divide,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "Power": np.power,
}
CONSTANTS = {
    "number": 1.5,
    "whole": 2,
    "channel": [1.5, 0.5],
    "pixel": np.linspace(0.2, 2, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH, 1),
    "all": np.linspace(0.2, 2, HEIGHT * WIDTH * CHANNELS).reshape(1, *SHAPE),
}


@pytest.mark.parametrize("save", [save_keras, save_h5])
@pytest.mark.parametrize("constant", CONSTANTS)
@pytest.mark.parametrize("kind", BINARY)
def test_a_constant_on_either_side_of_an_operator_is_in_the_graph(
    tmp_path, tools, kind, constant, save
):
    value = CONSTANTS[constant]
    stored = value if isinstance(value, int | float) else array(value)
    x = image()
    for args, wanted in (
        ([tensor("film"), stored], BINARY[kind](x, np.asarray(value, np.float32))),
        ([stored, tensor("film")], BINARY[kind](np.asarray(value, np.float32), x)),
    ):
        path = save(tmp_path / "net.keras", [operator(kind, args)])
        np.testing.assert_allclose(answers(path, tools, x)["op"], wanted, rtol=2e-6)


@pytest.mark.parametrize("kind", BINARY)
def test_an_operator_of_two_tensors_takes_both_in_order(tmp_path, tools, kind):
    half = operator("Multiply", [tensor("film"), 0.5], "half")
    entries = [half, operator(kind, [tensor("half"), tensor("film")])]
    x = image()
    found = answers(save_keras(tmp_path / "net.keras", entries), tools, x)["op"]
    np.testing.assert_allclose(found, BINARY[kind](x * 0.5, x), rtol=2e-6)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize(
    ("kind", "config", "function"),
    [
        ("Negative", {}, np.negative),
        ("Absolute", {}, np.abs),
        ("Square", {}, np.square),
        ("Sqrt", {}, np.sqrt),
        ("Exp", {}, np.exp),
        ("Log", {}, np.log),
        ("Tanh", {}, np.tanh),
        ("Sigmoid", {}, lambda x: 1 / (1 + np.exp(-x))),
        ("Silu", {}, lambda x: x / (1 + np.exp(-x))),
        ("Relu", {}, lambda x: np.maximum(x, 0)),
        ("Relu6", {}, lambda x: np.clip(x, 0, 6)),
        ("Softplus", {}, lambda x: np.log1p(np.exp(x))),
        ("HardSigmoid", {}, lambda x: np.clip(x / 6 + 0.5, 0, 1)),
        ("LeakyRelu", {"negative_slope": 0.3}, lambda x: np.where(x > 0, x, 0.3 * x)),
        ("Softmax", {"axis": -1}, softmax),
        ("Clip", {"x_min": 0.2, "x_max": 1}, lambda x: np.clip(x, 0.2, 1)),
        ("Cast", {"dtype": "float32"}, lambda x: x),
        (
            "Reshape",
            {"newshape": [-1, WIDTH, HEIGHT, 2]},
            lambda x: x.reshape(-1, WIDTH, HEIGHT, 2),
        ),
        ("Concatenate", {"axis": -1}, lambda x: x),
    ],
)
def test_an_operator_of_one_tensor_gives_what_it_means(tmp_path, tools, kind, config, function):
    x = image()
    for save in (save_keras, save_h5):
        path = save(tmp_path / "net.keras", [operator(kind, [tensor("film")], **config)])
        np.testing.assert_allclose(answers(path, tools, x)["op"], function(x), rtol=3e-6, atol=1e-6)


SLICE = [{"class_name": "__slice__", "config": {"start": None, "stop": 2, "step": None}}]


@pytest.mark.parametrize("save", [save_keras, save_h5])
@pytest.mark.parametrize(
    "entry",
    [
        operator("Mod", [tensor("film"), 2]),
        operator("FloorDivide", [tensor("film"), 2]),
        operator("Greater", [tensor("film"), 1]),
        operator("Mean", [tensor("film")], axis=-1, keepdims=True),
        operator("Average", [tensor("film")], axis=1),
        operator("Transpose", [tensor("film")], axes=[0, 2, 1, 3]),
        operator("Cast", [tensor("film")], dtype="float16"),
        operator("Softmax", [tensor("film")], axis=1),
        operator("GetItem", [tensor("film"), SLICE]),
        operator("Relu", [tensor("film"), 0.5]),
        operator("Relu", [tensor("film")], negative_slope=0.2),
        operator("Subtract", [tensor("film"), 1, 2]),
        operator("Subtract", [tensor("film")], kwargs={"x2": 1}),
        operator("Add", [tensor("film"), True]),
        operator("Add", [tensor("film"), "one"]),
        operator("Add", [tensor("film"), array([1, 2, 3])]),
        operator("Concatenate", [[tensor("film"), 1.0]], axis=-1),
        operator("Clip", [tensor("film")], x_min=[0, 1], x_max=1),
    ],
    ids=lambda entry: entry["class_name"],
)
def test_an_operator_that_is_not_known_is_refused_by_name(tmp_path, entry, save):
    path = save(tmp_path / "net.keras", [entry])
    with pytest.raises(ExportError, match=r"op \[" + entry["class_name"]):
        keras_to_onnx(read_keras(path), batch="n")


@pytest.mark.parametrize(
    "entry",
    [
        layer("Subtract", [[tensor("film")], 1.0]),
        layer("Maximum", [tensor("film"), 0.5]),
        layer("ReLU", [tensor("film"), tensor("film")]),
        layer("Dropout", [tensor("film")], kwargs={"training": True}, rate=0.5),
        layer("BatchNormalization", [tensor("film")], kwargs={"training": True}),
        layer("ReLU", [tensor("film")], kwargs={"mask": tensor("film")}),
        layer("ReLU", [tensor("film")], kwargs={"scale": 2}),
        layer("RandomCrop", [tensor("film")], height=3, width=3),
        {**layer("ReLU", [tensor("film")]), "module": "mine.layers"},
        {**layer("ReLU", [tensor("film")]), "registered_name": "mine>ReLU"},
    ],
    ids=lambda entry: entry["class_name"],
)
def test_nothing_in_the_call_of_a_layer_is_ignored(tmp_path, entry):
    path = save_keras(tmp_path / "net.keras", [entry])
    with pytest.raises(LayerError, match=r"op \["):
        keras_to_onnx(read_keras(path), batch="n")


@pytest.mark.parametrize("kwargs", [{}, {"training": False}, {"mask": None}, {"training": None}])
def test_what_changes_nothing_may_be_passed_by_name(tmp_path, tools, kwargs):
    entry = layer("ReLU", [tensor("film")], kwargs=kwargs)
    x = image() - 1
    found = answers(save_keras(tmp_path / "net.keras", [entry]), tools, x)["op"]
    np.testing.assert_array_equal(found, np.maximum(x, 0))


def lambda_of(function, *place):
    return {
        "class_name": "TFOpLambda",
        "name": "op",
        "config": {"name": "op", "trainable": True, "dtype": "float32", "function": function},
        "inbound_nodes": [list(place)],
    }


@pytest.mark.parametrize(
    ("entry", "function"),
    [
        (lambda_of("math.subtract", "film", 0, 0, {"y": 1.5, "name": None}), lambda x: x - 1.5),
        (lambda_of("math.truediv", "film", 0, 0, {"y": 3, "name": None}), lambda x: x / 3),
        (
            lambda_of("math.subtract", "_CONSTANT_VALUE", -1, 1.0, {"y": ["film", 0, 0]}),
            lambda x: 1 - x,
        ),
        (lambda_of("__operators__.add", "film", 0, 0, {"y": ["film", 0, 0]}), lambda x: x + x),
        (lambda_of("math.negative", "film", 0, 0, {}), np.negative),
    ],
)
def test_operators_of_keras_2_are_read(tmp_path, tools, entry, function):
    path = save_h5(tmp_path / "net.h5", [entry], version="2.15.0")
    x = image()
    np.testing.assert_allclose(answers(path, tools, x)["op"], function(x), rtol=1e-6)


@pytest.mark.parametrize(
    "entry",
    [
        lambda_of("math.floormod", "film", 0, 0, {"y": 2}),
        lambda_of("math.subtract", "film", 0, 0, {"y": 1.5, "axis": 1}),
        lambda_of("clip_by_value", "film", 0, 0, {"clip_value_min": 0, "clip_value_max": 1}),
    ],
)
def test_other_functions_of_keras_2_are_refused(tmp_path, entry):
    path = save_h5(tmp_path / "net.h5", [entry], version="2.15.0")
    with pytest.raises(LayerError, match="op"):
        keras_to_onnx(read_keras(path), batch="n")
