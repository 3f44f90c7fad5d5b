"""Models that Keras 2 and Keras 3 themselves saved give Keras's own answers."""

import io
import json
import shutil
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from export.errors import ContractError, ExportError, LayerError, WeightsError
from export.importers.keras import keras_to_onnx, read_keras

DATA = Path(__file__).parents[2] / "data" / "keras"
SAVED = sorted(path.name for path in DATA.iterdir() if path.suffix in (".h5", ".keras"))


@pytest.mark.parametrize("name", SAVED)
def test_a_saved_model_gives_what_keras_gave(name, tools):
    path = DATA / name
    model = keras_to_onnx(read_keras(path), batch="n")
    with np.load(path.with_suffix(".npz")) as expected:
        found = tools.run(model, expected["image"].transpose(0, 3, 1, 2))
        for number, answer in enumerate(found.values()):
            wanted = expected[f"answer{number}"]
            wanted = wanted.transpose(0, 3, 1, 2) if wanted.ndim == 4 else wanted
            assert wanted.std() > 0.05
            np.testing.assert_allclose(answer, wanted, atol=2e-6)


def test_all_forms_of_saving_are_covered():
    assert {(Path(n).stem.split("_")[1], Path(n).suffix) for n in SAVED} == {
        (keras, suffix) for keras in ("keras2", "keras3") for suffix in (".h5", ".keras")
    }


def test_normalisation_is_folded_where_a_convolution_comes_before():
    model = keras_to_onnx(read_keras(DATA / "scorer_keras2.h5"), batch="n")
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("BatchNormalization") == 1
    assert model.ir_version == 8


def test_outputs_take_our_names():
    saved = read_keras(DATA / "scorer_keras3.keras")
    model = keras_to_onnx(saved, outputs={"first": "narrowing"}, batch="n")
    assert [output.name for output in model.graph.output] == ["first"]
    with pytest.raises(ContractError, match="erosion, narrowing"):
        keras_to_onnx(saved, outputs={"first": "nothing"})


def test_weights_alone_are_refused(tmp_path):
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"conv"]
    with pytest.raises(WeightsError, match="save the whole model"):
        read_keras(path)


def _edit_h5(tmp_path, change):
    path = tmp_path / "edited.h5"
    shutil.copy(DATA / "unet_keras2.h5", path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config, file)
        del file.attrs["model_config"]
        file.attrs["model_config"] = json.dumps(config)
    return path


def _layer(config, name):
    return next(layer for layer in config["config"]["layers"] if layer["name"] == name)


def _unknown(config, file):
    del file
    _layer(config, "leaky")["class_name"] = "Lambda"


def _first(config, file):
    del file
    _layer(config, "conv2")["config"]["data_format"] = "channels_first"


def _activation(config, file):
    del file
    _layer(config, "conv2")["config"]["activation"] = "snake"


def _circle(config, file):
    del file
    _layer(config, "conv2")["inbound_nodes"] = [[["narrow", 0, 0, {}]]]


def _lost(config, file):
    del config
    del file["model_weights/conv2"]


def _shape(config, file):
    del file
    _layer(config, "conv2")["config"]["filters"] = 9


def _nan(config, file):
    del config
    file["model_weights/conv2/conv2/bias:0"][0] = np.nan


def _variance(config, file):
    del config
    file["model_weights/norm/norm/moving_variance:0"][0] = -1


def _free(config, file):
    del file
    _layer(config, "film")["config"]["batch_input_shape"] = [None, None, None, 1]


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (_unknown, LayerError, r"leaky \[Lambda\].*never run"),
        (_first, LayerError, r"conv2 \[Conv2D\].*channels_first"),
        (_activation, LayerError, r"conv2 \[Conv2D\].*snake"),
        (_circle, LayerError, "circle"),
        (_lost, WeightsError, r"conv2.*kernel"),
        (_shape, WeightsError, r"conv2 \[Conv2D\].*kernel has shape"),
        (_nan, WeightsError, r"conv2 \[Conv2D\].*finite"),
        (_variance, WeightsError, r"norm \[BatchNormalization\].*negative"),
        (_free, ContractError, "axis 1 has no fixed size"),
    ],
)
def test_a_fault_in_a_model_names_the_layer(tmp_path, change, kind, words):
    path = _edit_h5(tmp_path, change)
    with pytest.raises(kind, match=words) as caught:
        keras_to_onnx(read_keras(path))
    assert "(fix: " in str(caught.value)


def test_free_sides_are_fixed_by_the_recipe(tmp_path, tools):
    saved = read_keras(_edit_h5(tmp_path, _free))
    with np.load(DATA / "unet_keras2.npz") as expected:
        image = expected["image"][:1].transpose(0, 3, 1, 2)
        found = tools.run(keras_to_onnx(saved, size=(20, 28)), image)["mask"]
        wanted = expected["answer0"][:1].transpose(0, 3, 1, 2)
    np.testing.assert_allclose(found, wanted, atol=2e-6)


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_a_damaged_file_is_an_error_with_a_fix_or_still_a_model(tmp_path, suffix):
    whole = (DATA / f"sequential_keras3{suffix}").read_bytes()
    path = tmp_path / f"broken{suffix}"
    for keep in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:keep])
        with pytest.raises(ExportError, match=r"\(fix: "):
            keras_to_onnx(read_keras(path))


def test_a_subclassed_model_is_refused(tmp_path):
    path = tmp_path / "sub.keras"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Mine", "config": {}}))
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", b"")
    path.write_bytes(buffer.getvalue())
    with pytest.raises(ExportError, match="Mine"):
        read_keras(path)


def test_without_h5py_a_model_is_one_line_with_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(WeightsError, match=r"h5py.*not installed") as caught:
        read_keras(DATA / "scorer_keras3.h5")
    assert caught.value.fix == "pip install 'sharpedge[keras]'"
    assert "\n" not in str(caught.value)
