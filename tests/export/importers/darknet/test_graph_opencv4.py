"""The canonical YOLOv3 networks, whole, give what OpenCV 4's own Darknet reader gives.

OpenCV 5 has no such reader, so it lives in an environment of its own: ``.venv-opencv4`` in the
repository, or the interpreter that ``$OPENCV4_PYTHON`` names::

    python3 -m venv .venv-opencv4
    .venv-opencv4/bin/pip install 'opencv-python-headless<5'
"""

import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

import export
from export.importers.darknet import darknet_to_onnx, parse_cfg, read_weights, write_darknet_weights
from export.importers.darknet.weights import array_shapes

PYTHON = Path(
    os.environ.get("OPENCV4_PYTHON")
    or Path(export.__file__).resolve().parents[1] / ".venv-opencv4" / "bin" / "python"
)
READER = """
import sys
import cv2
import numpy as np

cv2.setNumThreads(1)
cfg, weights, image, out = sys.argv[1:]
net = cv2.dnn.readNetFromDarknet(cfg, weights)
net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
net.setInput(np.load(image))
np.savez(out, *net.forward(net.getUnconnectedOutLayersNames()))
"""
SIZE = (96, 128)


@pytest.fixture(scope="module")
def opencv4():
    if not PYTHON.exists():
        pytest.skip(f"no OpenCV 4 at {PYTHON}: see this file's first lines")
    return PYTHON


@pytest.mark.parametrize("name", ["yolov3", "yolov3-spp", "yolov3-tiny"])
def test_whole_networks_agree_with_opencv_4(name, darknet_data, opencv4, tmp_path, tools):
    text = (darknet_data / "canonical_cfg" / f"{name}.cfg").read_text()
    for key, value in zip(("height", "width"), SIZE, strict=True):
        text = re.sub(rf"(?m)^{key}\s*=.*$", f"{key}={value}", text)
    network = parse_cfg(text)
    data = write_darknet_weights(network, calm_arrays(network))
    sizes = json.loads((darknet_data / "expected_sizes.json").read_text())
    assert len(data) == sizes[f"{name}.cfg"]["weights_file_bytes_header20"]
    image = np.random.default_rng(1).random((1, 3, *SIZE), dtype=np.float32)
    (tmp_path / "net.cfg").write_text(text)
    (tmp_path / "net.weights").write_bytes(data)
    np.save(tmp_path / "image.npy", image)
    names = ["net.cfg", "net.weights", "image.npy", "out.npz"]
    subprocess.run(
        [opencv4, "-c", READER, *names], check=True, cwd=tmp_path, timeout=200, env={"PATH": ""}
    )
    with np.load(tmp_path / "out.npz") as heads:
        wanted = np.concatenate([heads[key] for key in sorted(heads)])
    model = darknet_to_onnx(network, read_weights(network, data).arrays)
    rows = tools.run(model, image)["boxes"][0]
    rows[:, 5:] *= rows[:, 4:5]
    rows[:, :4] /= (SIZE[1], SIZE[0]) * 2
    # OpenCV sets scores at or below .2 to zero.
    scores = np.arange(rows.shape[1]) >= 5
    undecided = scores & (np.abs(rows - 0.2) < 1e-3)
    rows = np.where(scores & (rows <= 0.2), 0, rows)
    assert rows.shape == wanted.shape
    assert np.ptp(wanted[:, 5:]) > 0.1
    assert np.abs(np.where(undecided, 0, rows - wanted)).max() < 1e-4


def calm_arrays(network):
    """Random arrays under which 23 additions stay small and boxes stay finite."""
    random = np.random.default_rng(0)
    arrays = {}
    for key, shape in array_shapes(network).items():
        if key.endswith((".gamma", ".var")):
            values = random.uniform(0.8, 1.2, shape)
        elif len(shape) == 1:
            values = random.normal(0, 0.1, shape)
        else:
            values = (
                random.standard_normal(shape, np.float32) * 0.7 * np.sqrt(2 / np.prod(shape[1:]))
            )
        arrays[key] = np.asarray(values, np.float32)
    for layer in network.convolutions:
        if not layer.batch_normalize:
            arrays[f"conv{layer.ordinal}.weight"] *= 0.3
    return arrays
