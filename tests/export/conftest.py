"""Random networks and arrays, and where the shared data lie."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import export
from export.exporter import export_engine
from export.importers.darknet import darknet_to_onnx, parse_cfg, read_weights
from export.importers.darknet.weights import array_shapes
from export.recipe import read_recipe

REPOSITORY = Path(export.__file__).resolve().parents[1]
SHARED_DARKNET = REPOSITORY.parent / "shared" / "data" / "darknet"


def random_arrays(shapes, seed=0):
    """Arrays that keep activations near 1; variances and gammas are positive."""
    random = np.random.default_rng(seed)
    arrays = {}
    for name, shape in shapes.items():
        fan_in = int(np.prod(shape[1:])) or 1
        values = random.standard_normal(shape) * (np.sqrt(2 / fan_in) if len(shape) > 1 else 0.2)
        if name.endswith((".var", ".gamma")):
            values = np.abs(values) + 0.6
        arrays[name] = values.astype(np.float32)
    return arrays


def random_darknet(text, seed=0, **options):
    """(network, arrays) of a cfg text."""
    network = parse_cfg(text, **options)
    return network, random_arrays(array_shapes(network), seed)


def import_darknet(cfg, weights, size=None, **options):
    """ONNX model of the text of a ``.cfg`` and the bytes of its ``.weights``; size is (H, W)."""
    network = parse_cfg(cfg, size=size)
    return darknet_to_onnx(network, read_weights(network, weights).arrays, **options)


def run_onnx(model, image):
    """Output name to array."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"image": image}), strict=True))


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory):
    """A data folder of the tests' own: engines are signed under a key that lies there."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True, scope="module")
def data_home(data_folder):
    """Sign under the tests' own key for as long as tests of this folder run, no longer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHARPEDGE_HOME", str(data_folder))
        yield


@pytest.fixture(scope="session")
def engines_dir():
    return REPOSITORY / "engines"


@pytest.fixture(scope="session")
def shipped(engines_dir, data_folder, tmp_path_factory):
    """Folder with every shipped engine exported; a test that wants to write takes a copy."""
    folder = tmp_path_factory.mktemp("shipped")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHARPEDGE_HOME", str(data_folder))
        _export_all(engines_dir, folder)
    return folder


def _export_all(engines_dir, folder):
    for recipe in sorted(engines_dir.glob("*.toml")):
        missing = [
            file for file in read_recipe(recipe).source.files if not (engines_dir / file).is_file()
        ]
        if missing:
            pytest.skip(f"not trained yet: {', '.join(missing)}")
        export_engine(recipe, folder)


@pytest.fixture
def installed(shipped, tmp_path):
    """A folder of its own with every shipped engine; the files are links."""
    folder = tmp_path / "built"
    folder.mkdir()
    for path in shipped.iterdir():
        if path.is_file():
            os.link(path, folder / path.name)
    return folder


@pytest.fixture(scope="session")
def golden_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("golden")


@pytest.fixture(scope="session")
def darknet_data():
    if not SHARED_DARKNET.is_dir():
        pytest.skip(f"the trained Darknet pairs are not at {SHARED_DARKNET}")
    return SHARED_DARKNET


@pytest.fixture(scope="session")
def tools():
    """The helpers above, for tests in this folder."""

    class Tools:
        arrays = staticmethod(random_arrays)
        darknet = staticmethod(random_darknet)
        import_darknet = staticmethod(import_darknet)
        run = staticmethod(run_onnx)

    return Tools
