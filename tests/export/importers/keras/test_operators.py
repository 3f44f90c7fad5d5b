"""Whatever a saved Keras model computes is in the graph, or the model is refused by its name.

The files are laid out here as Keras 3.15 and Keras 2.15 lay them out; Keras is not needed.
"""

import io
import json
import zipfile

import h5py
import numpy as np
import onnx
import pytest

from export.errors import ContractError, ExportError, LayerError, WeightsError
from export.exporter import export_engine
from export.importers.keras import keras_to_onnx, read_keras

HEIGHT, WIDTH, CHANNELS = 5, 4, 2
SHAPE = (HEIGHT, WIDTH, CHANNELS)
FLOAT32 = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}}


def image(seed=0):
    return np.random.default_rng(seed).uniform(0.1, 2, (3, *SHAPE)).astype(np.float32)


def tensor(layer, index=0, output=0):
    history = {"shape": [None, *SHAPE], "dtype": "float32", "keras_history": [layer, index, output]}
    return {"class_name": "__keras_tensor__", "config": history}


def array(values):
    values = np.asarray(values, np.float32)
    return {"class_name": "__tensor__", "config": {"value": values.tolist(), "dtype": "float32"}}


def operator(kind, args, name="op", kwargs=None, **config):
    return {
        "module": "keras.src.ops.numpy",
        "class_name": kind,
        "config": {"name": name, **config},
        "registered_name": kind,
        "name": name,
        "inbound_nodes": [{"args": args, "kwargs": kwargs or {}}],
    }


def layer(kind, args, name="op", kwargs=None, **config):
    return {
        "module": "keras.layers",
        "class_name": kind,
        "config": {"name": name, "trainable": True, "dtype": FLOAT32, **config},
        "registered_name": None,
        "name": name,
        "inbound_nodes": [{"args": args, "kwargs": kwargs or {}}],
    }


def functional(entries, outputs, shape=SHAPE):
    film = {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {"batch_shape": [None, *shape], "name": "film", "dtype": "float32"},
        "registered_name": None,
        "name": "film",
        "inbound_nodes": [],
    }
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "registered_name": "Functional",
        "config": {
            "name": "net",
            "trainable": True,
            "layers": [film, *entries],
            "input_layers": [["film", 0, 0]],
            "output_layers": outputs,
        },
    }


def save_keras(path, entries, arrays=None, outputs=(("op", 0, 0),), shape=SHAPE):
    """A ``.keras`` file; ``arrays`` maps the place in the archive to an array."""
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        for place, values in (arrays or {}).items():
            file[place] = values
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr(
            "config.json", json.dumps(functional(entries, [list(o) for o in outputs], shape))
        )
        archive.writestr("model.weights.h5", weights.getvalue())
    return path


def save_h5(path, entries, arrays=None, version="3.15.1"):
    """An ``.h5`` file, which names no modules; ``arrays`` maps layer to {variable: array}."""
    bare = [
        {key: value for key, value in entry.items() if key not in ("module", "registered_name")}
        for entry in entries
    ]
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(functional(bare, [["op", 0, 0]]))
        file.attrs["keras_version"] = version
        weights = file.create_group("model_weights")
        for name, variables in (arrays or {}).items():
            group = weights.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{v}".encode() for v in variables]
            for variable, values in variables.items():
                group[f"{name}/{variable}"] = values
    return path


def answers(path, tools, x):
    found = tools.run(keras_to_onnx(read_keras(path), batch="n"), x.transpose(0, 3, 1, 2))
    return {n: a.transpose(0, 2, 3, 1) if a.ndim == 4 else a for n, a in found.items()}


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


DENSE = {"units": 3, "use_bias": True, "activation": "linear"}
KERNEL = np.arange(6, dtype=np.float32).reshape(2, 3)
PLACE = "layers/dense/vars"


def dense(**config):
    return layer("Dense", [tensor("film")], **{**DENSE, **config})


@pytest.mark.parametrize(
    ("config", "arrays", "words"),
    [
        ({}, {}, None),
        ({}, {"seed_generator/vars/0": np.zeros(2, np.uint32)}, None),
        ({}, {"vars/2": np.ones(3, np.float32)}, "do not read"),
        ({}, {"lora/vars/0": np.ones(3, np.float32)}, "do not read"),
        ({"lora_rank": 2}, {"vars/2": np.ones((2, 2), np.float32)}, "LoRA"),
        ({"dtype": {"class_name": "QuantizedDTypePolicy", "config": {}}}, {}, "quantised"),
        ({"quantization_config": {"mode": "int8"}}, {}, "quantised"),
        ({}, {"vars/0": KERNEL.astype(np.int8)}, "stored as int8"),
        ({}, {"vars/0": KERNEL.astype(np.uint8)}, "stored as uint8"),
        ({}, {"vars/0": np.zeros((2, 3), "V2")}, "stored as bfloat16"),
        ({}, {"vars/0": KERNEL.astype(np.float16)}, None),
        ({}, {"vars/0": KERNEL.astype(np.float64)}, None),
    ],
)
def test_every_array_of_a_layer_is_read_as_a_float_or_refused(
    tmp_path, tools, config, arrays, words
):
    stored = {"vars/0": KERNEL, "vars/1": np.ones(3, np.float32), **arrays}
    path = save_keras(
        tmp_path / "net.keras",
        [dense(**config)],
        {f"layers/dense/{key}": value for key, value in stored.items()}
        | {"optimizer/vars/0": np.array(7)},
    )
    if words is not None:
        with pytest.raises(ExportError, match=words) as caught:
            keras_to_onnx(read_keras(path), batch="n")
        assert "dense" in str(caught.value).lower()
        return
    x = image()
    np.testing.assert_allclose(answers(path, tools, x)["op"], x @ KERNEL + 1, rtol=1e-5)


def test_an_array_that_a_legacy_file_holds_and_no_layer_reads_is_refused(tmp_path):
    arrays = {"op": {"kernel": KERNEL, "bias": np.ones(3, np.float32), "lora_a": np.ones((2, 2))}}
    path = save_h5(tmp_path / "net.h5", [dense()], arrays)
    with pytest.raises(WeightsError, match="lora_a"):
        keras_to_onnx(read_keras(path), batch="n")


def test_a_layer_called_twice_gives_both_outputs(tmp_path, tools):
    scaled = operator("Multiply", [tensor("film"), 2.0], "scaled")
    twice = dense()
    twice["inbound_nodes"] = [{"args": [tensor(name)], "kwargs": {}} for name in ("film", "scaled")]
    arrays = {f"{PLACE}/0": KERNEL, f"{PLACE}/1": np.ones(3, np.float32)}
    outputs = (("op", 0, 0), ("op", 1, 0))
    path = save_keras(tmp_path / "net.keras", [scaled, twice], arrays, outputs)
    x = image()
    found = answers(path, tools, x)
    np.testing.assert_allclose(found["op:0"], x @ KERNEL + 1, rtol=1e-5)
    np.testing.assert_allclose(found["op:1"], 2 * x @ KERNEL + 1, rtol=1e-5)
    with pytest.raises(ContractError, match="op:0, op:1"):
        keras_to_onnx(read_keras(path), outputs={"mask": "op"}, batch="n")


def test_a_recipe_of_scaled_input_gives_what_the_model_means(tmp_path, tools):
    entries = [
        operator("Subtract", [tensor("film"), 127.5], "shift"),
        operator("Multiply", [tensor("shift"), 1 / 127.5], "scale"),
        dense(units=1, activation="sigmoid"),
    ]
    entries[2]["inbound_nodes"][0]["args"] = [tensor("scale")]
    kernel = np.array([[2.0], [-1.0]], np.float32)
    arrays = {f"{PLACE}/0": kernel, f"{PLACE}/1": np.zeros(1, np.float32)}
    save_keras(tmp_path / "net.keras", entries, arrays, shape=(16, 24, CHANNELS))
    (tmp_path / "r.toml").write_text(
        'name = "hand-mask"\nrole = "mask"\nlimb = "hand"\n[source]\nkind = "keras"\n'
        f'file = "net.keras"\n[input]\nchannels = {CHANNELS}\nheight = 16\n'
        "width = 24\nscale = 1.0\n"
    )
    exported = export_engine(tmp_path / "r.toml", tmp_path / "built")
    x = np.random.default_rng(0).integers(0, 256, (1, 16, 24, CHANNELS)).astype(np.float32)
    found = tools.run(onnx.load_model(exported.engine), x.transpose(0, 3, 1, 2))["mask"]
    wanted = 1 / (1 + np.exp(-((x - 127.5) / 127.5) @ kernel))
    np.testing.assert_allclose(found.transpose(0, 2, 3, 1), wanted, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["Dropout", "RandomFlip", "RandomRotation", "RandomZoom", "Identity", "GaussianNoise"]
)
def test_layers_of_the_training_pass_the_image_unchanged(tmp_path, tools, name):
    kwargs = {"training": True} if name.startswith("Random") else {}
    entry = layer(name, [tensor("film")], kwargs=kwargs)
    x = image()
    found = answers(save_keras(tmp_path / "net.keras", [entry]), tools, x)["op"]
    np.testing.assert_array_equal(found, x)


def test_augmentation_that_keras_2_keeps_while_predicting_is_refused(tmp_path):
    entry = {
        "class_name": "RandomFlip",
        "name": "op",
        "config": {"name": "op", "trainable": True},
        "inbound_nodes": [[["film", 0, 0, {"training": True}]]],
    }
    path = save_h5(tmp_path / "net.h5", [entry], version="2.15.0")
    with pytest.raises(LayerError, match="training=True"):
        keras_to_onnx(read_keras(path), batch="n")


@pytest.mark.parametrize(
    ("config", "mean", "variance"),
    [
        ({"axis": [-1]}, [1.0, 2.0], [4.0, 0.0]),
        ({"axis": [3], "invert": True}, [1.0, 2.0], [4.0, 9.0]),
        ({"axis": None}, 1.5, 4.0),
        ({"axis": [-1], "mean": [[[[1.0, 2.0]]]], "variance": [[[[4.0, 9.0]]]]}, None, None),
        ({"axis": [-1], "mean": 1.0, "variance": 4.0}, None, None),
    ],
)
def test_normalization_uses_its_stored_statistics(tmp_path, tools, config, mean, variance):
    arrays = {}
    if mean is not None:
        stored = (np.float32(mean), np.float32(variance), np.int32(9))
        arrays = {f"layers/normalization/vars/{i}": value for i, value in enumerate(stored)}
    path = save_keras(
        tmp_path / "net.keras", [layer("Normalization", [tensor("film")], **config)], arrays
    )
    mean = np.reshape(config.get("mean", mean), -1)
    spread = np.maximum(np.sqrt(np.reshape(config.get("variance", variance), -1)), 1e-7)
    x = image()
    wanted = x * spread + mean if config.get("invert") else (x - mean) / spread
    np.testing.assert_allclose(answers(path, tools, x)["op"], wanted, rtol=1e-5)


@pytest.mark.parametrize(
    "target", [(20, 2), (-1,), (4, 5, 2), (2, -1, 4), (1, 1, 40), (-1, 1), (40,)]
)
def test_reshape_keeps_the_order_of_keras(tmp_path, tools, target):
    first = layer("Reshape", [tensor("film")], "first", target_shape=list(target))
    back = layer("Reshape", [tensor("first")], target_shape=[2, 10, 2])
    entries = [first, back]
    path = save_keras(tmp_path / "net.keras", entries, outputs=(("first", 0, 0), ("op", 0, 0)))
    x = image()
    found = answers(path, tools, x)
    np.testing.assert_array_equal(found["first"], x.reshape(3, *target))
    np.testing.assert_array_equal(found["op"], x.reshape(3, 2, 10, 2))


@pytest.mark.parametrize("target", [(7, -1), (3, 3), (-1, -1), (2, 2, 2, 5)])
def test_a_reshape_that_does_not_fit_is_refused(tmp_path, target):
    entry = layer("Reshape", [tensor("film")], target_shape=list(target))
    path = save_keras(tmp_path / "net.keras", [entry])
    with pytest.raises(LayerError, match=r"op \[Reshape\]"):
        keras_to_onnx(read_keras(path), batch="n")
