"""Whatever the layers of a saved Keras model compute is in the graph, or the model is refused."""

import numpy as np
import onnx
import pytest
from keras_files import CHANNELS, answers, image, layer, operator, save_h5, save_keras, tensor

from export.errors import ContractError, ExportError, LayerError, WeightsError
from export.exporter import export_engine
from export.importers.keras import keras_to_onnx, read_keras

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
