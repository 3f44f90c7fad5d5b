"""A file of another framework is named, with the way to bring it here."""

import gzip
import io
import json
import pickle
import struct
import tarfile
import zipfile

import h5py
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from export.errors import ContractError, ExportError
from export.exporter import export_engine
from export.importers.filekind import kind_of

SOURCES = {
    "onnx": 'kind = "onnx"\nfile = "model"',
    "keras": 'kind = "keras"\nfile = "model"',
    "darknet": 'kind = "darknet"\ncfg = "net.cfg"\nweights = "model"',
    "compact": 'kind = "compact"\narchitecture = "unet"\nfiles = ["model"]',
}


def zipped(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return buffer.getvalue()


def tarred():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.onnx"))
    return buffer.getvalue()


def array(save, *values):
    buffer = io.BytesIO()
    save(buffer, *values)
    return buffer.getvalue()


HEADER = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
FILES = {
    "empty": (b"", "empty", "copy"),
    "torch zip": (zipped("archive/data.pkl", "archive/data/0"), "PyTorch weights", "torch.onnx"),
    "torch pickle": (pickle.dumps({"a": 1}, 2), "PyTorch weights", "torch.onnx"),
    "torchscript": (zipped("m/data.pkl", "m/code/__torch__.py"), "TorchScript", "torch.onnx"),
    "pt2": (zipped("serialized_exported_program.json"), "exported program", "torch.onnx"),
    "pt2 of torch 2.8": (zipped("m/archive_format", "m/models/model.json"), "exported", "torch"),
    "safetensors": (struct.pack("<Q", len(HEADER)) + HEADER + b"\0" * 4, "safetensors", "torch"),
    "tflite": (b"\x1c\0\0\0TFL3" + b"\0" * 40, "TensorFlow Lite", "tf2onnx"),
    "plan": (b"ptrt" + b"\0" * 40, "TensorRT plan", "sharpedge build"),
    "old plan": (b"ftrt" + b"\0" * 40, "TensorRT plan", "sharpedge build"),
    "openvino": (b'<?xml version="1.0"?>\n<net name="m" version="11">', "OpenVINO", ".onnx"),
    "web page": (b"<!DOCTYPE html><html>Sign in</html>", "web page", "download"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "LFS", "git lfs pull"),
    "gzip": (gzip.compress(b"x"), "packed archive", "unpack"),
    "tar": (tarred(), "packed archive", "unpack"),
    "zip": (zipped("model.onnx"), "packed archive", "unpack"),
    "npy": (array(np.save, np.zeros(3)), "NumPy array", "whole model"),
    "json": (b'{"modelTopology": {}}', "JSON", ".onnx"),
}


def recipe(folder, source, role="mask"):
    path = folder / "r.toml"
    path.write_text(
        f'name = "hand-{role}"\nrole = "{role}"\nlimb = "hand"\n[source]\n{source}\n'
        "[input]\nchannels = 1\nheight = 8\nwidth = 8\n"
    )
    return path


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_no_recipe_takes_is_named_with_the_way_out(tmp_path, name, source):
    data, what, way = FILES[name]
    (tmp_path / "model").write_bytes(data)
    (tmp_path / "net.cfg").write_text("[net]\n")
    role = "mask"
    text = SOURCES[source]
    if source == "darknet":
        role = "detect"
        text += '\n[[classes]]\nname = "PIP"\nmeaning = "a"'
    with pytest.raises(ExportError) as caught:
        export_engine(recipe(tmp_path, text, role), tmp_path / "built")
    assert what in caught.value.message
    assert way in caught.value.fix
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("inside", [True, False])
def test_a_folder_is_named(tmp_path, inside):
    (tmp_path / "model").mkdir()
    if inside:
        (tmp_path / "model" / "saved_model.pb").write_bytes(b"x")
    with pytest.raises(ExportError) as caught:
        export_engine(recipe(tmp_path, SOURCES["onnx"]), tmp_path / "built")
    assert ("SavedModel" in caught.value.message) == inside
    assert ("tf2onnx" in caught.value.fix) == inside


def keras_archive():
    return zipped("config.json", "metadata.json", "model.weights.h5")


def hdf5(path):
    with h5py.File(path, "w") as file:
        file.create_group("layers")


@pytest.mark.parametrize(
    ("source", "right"), [("onnx", "keras"), ("darknet", "keras"), ("compact", "keras")]
)
@pytest.mark.parametrize("kind", ["archive", "hdf5"])
def test_a_file_of_another_source_names_that_source(tmp_path, source, right, kind):
    (tmp_path / "net.cfg").write_text("[net]\n")
    if kind == "archive":
        (tmp_path / "model").write_bytes(keras_archive())
    else:
        hdf5(tmp_path / "model")
    text, role = SOURCES[source], "mask"
    if source == "darknet":
        text, role = f'{text}\n[[classes]]\nname = "PIP"\nmeaning = "a"', "detect"
    with pytest.raises(ExportError) as caught:
        export_engine(recipe(tmp_path, text, role), tmp_path / "built")
    assert f'kind = "{right}"' in caught.value.fix


def test_weights_alone_in_hdf5_name_what_to_save(tmp_path):
    hdf5(tmp_path / "model")
    with pytest.raises(ExportError, match="weights alone") as caught:
        export_engine(recipe(tmp_path, SOURCES["keras"]), tmp_path / "built")
    assert "model.save" in caught.value.fix


@pytest.mark.parametrize("data", [b"\x08\x08 no model", b"\0\0\0\0\2\0\0\0", b"plain text"])
def test_a_file_of_no_known_kind_is_left_to_its_reader(tmp_path, data):
    (tmp_path / "model").write_bytes(data)
    assert kind_of(tmp_path / "model") is None
    with pytest.raises(ExportError):
        export_engine(recipe(tmp_path, SOURCES["onnx"]), tmp_path / "built")


def outputs_model(path, outputs):
    """A model whose outputs are constants of these shapes."""
    nodes, declared = [], []
    for name, shape in outputs.items():
        nodes += [
            helper.make_node("GlobalAveragePool", ["image"], [f"{name}.mean"]),
            helper.make_node("Flatten", [f"{name}.mean"], [f"{name}.flat"]),
            helper.make_node(
                "ConstantOfShape", [f"{name}.shape"], [f"{name}.zeros"],
                value=helper.make_tensor("v", TensorProto.FLOAT, [1], [0.5]),
            ),
            helper.make_node("Add", [f"{name}.zeros", "half"], [name]),
        ]  # fmt: skip
        declared.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    arrays = [
        helper.make_tensor(f"{name}.shape", TensorProto.INT64, [len(shape)], shape)
        for name, shape in outputs.items()
    ]
    arrays.append(helper.make_tensor("half", TensorProto.FLOAT, [], [0.0]))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 8, 8])
    graph = helper.make_graph(nodes, "net", [image], declared, initializer=arrays)
    opset = [helper.make_opsetid("", 13)]
    onnx.save_model(helper.make_model(graph, opset_imports=opset, ir_version=8), path)


TWO = "".join(f'\n[[classes]]\nname = "{n}"\nmeaning = "a"' for n in ("PIP", "MCP"))


@pytest.mark.parametrize(
    ("role", "outputs", "words", "way"),
    [
        ("detect", {"boxes": [1, 6, 84]}, "YOLOv8", "column of ones"),
        ("detect", {"output0": [1, 6, 84]}, "YOLOv8", "column of ones"),
        ("detect", {"boxes": [1, 84, 6]}, "without objectness", "column of ones"),
        ("detect", {"boxes": [1, 7, 84]}, "last axis", "transpose"),
        ("detect", {"a": [1, 21, 4, 4], "b": [1, 21, 2, 2]}, "raw heads", "anchors"),
        ("detect", {"boxes": [1, 84, 85]}, r"needs \[1, N, 7\]", "classes"),
        ("detect", {"a": [1, 84, 7], "b": [1, 4]}, "no tensor boxes", 'boxes = "NAME'),
        ("mask", {"a": [1, 1, 8, 8], "b": [1, 4]}, "no tensor mask", 'mask = "NAME'),
        ("mask", {"mask": [1, 1, 8, 8], "b": [1, 4]}, "also has a tensor b", "outputs"),
        ("mask", {"mask": [1, 2, 8, 8]}, r"needs \[1, 1, 8, 8\]", "input"),
        ("mask", {"mask": [1, 8]}, r"has shape \[1, 8\]", "input"),
        ("detect", {"boxes": [7]}, r"has shape \[7\]", "classes"),
    ],
)
def test_outputs_of_another_layout_are_named_with_the_way_out(tmp_path, role, outputs, words, way):
    outputs_model(tmp_path / "model", outputs)
    text = SOURCES["onnx"] + (TWO if role == "detect" else "")
    with pytest.raises(ContractError, match=words) as caught:
        export_engine(recipe(tmp_path, text, role), tmp_path / "built")
    assert way in caught.value.fix
    assert "no such tensor" not in str(caught.value)


def test_a_scorer_without_a_head_names_what_there_is(tmp_path):
    outputs_model(tmp_path / "model", {"damage": [1, 6]})
    path = recipe(tmp_path, SOURCES["onnx"], "score")
    model = onnx.load_model(tmp_path / "model")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"
    onnx.save_model(model, tmp_path / "model")
    with pytest.raises(ContractError, match=r"no tensor erosion; the model has damage"):
        export_engine(path, tmp_path / "built")
