"""Saved models as Keras 3.15 and Keras 2.15 lay them out; Keras is not needed."""

import io
import json
import zipfile

import h5py
import numpy as np

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
