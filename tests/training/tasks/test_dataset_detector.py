"""What is written is compared with OpenCV's reader."""

import os
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
import export  # noqa: E402
from export.importers.darknet import parse_cfg, read_weights, write_darknet_weights  # noqa: E402
from training.errors import TrainingError  # noqa: E402
from training.models.darknet import DarknetModule, sections_of  # noqa: E402
from training.tasks.dataset_detector import opencv_agrees  # noqa: E402
from training.tasks.pretrained import two_classes  # noqa: E402

pytestmark = pytest.mark.training


def many_classes(tiny_cfg):
    text = (
        tiny_cfg.read_text().replace("classes=2", "classes=4").replace("filters=21", "filters=27")
    )
    return text.replace("channels=1", "channels=3")


PYTHON = Path(
    os.environ.get("OPENCV4_PYTHON")
    or Path(export.__file__).resolve().parents[1] / ".venv-opencv4" / "bin" / "python"
)


READER = """
import sys
import cv2
import numpy as np

cv2.setNumThreads(1)
net = cv2.dnn.readNetFromDarknet(sys.argv[1], sys.argv[2])
net.setInput(np.load(sys.argv[3]))
np.savez(sys.argv[4], *net.forward(net.getUnconnectedOutLayersNames()))
"""


class OpenCV4:
    """OpenCV 4's reader in an environment of its own, as this one's would be called."""

    def __init__(self, cfg, weights):
        self.files = [cfg, weights]

    def setInput(self, image):  # noqa: N802 - OpenCV's name
        self.image = image

    def getUnconnectedOutLayersNames(self):  # noqa: N802
        return ()

    def forward(self, _names):
        folder = Path(self.files[0]).parent
        np.save(folder / "image.npy", self.image)
        words = [*self.files, folder / "image.npy", folder / "out.npz"]
        subprocess.run([PYTHON, "-c", READER, *words], check=True, timeout=200, env={"PATH": ""})
        with np.load(folder / "out.npz") as heads:
            return [heads[key] for key in sorted(heads)]


def test_opencv_4_reads_what_is_written_and_a_difference_is_found(
    tiny_cfg, settle, tmp_path, monkeypatch
):
    if not PYTHON.exists():
        where = "tests/export/importers/darknet/test_graph_opencv4.py"
        pytest.skip(f"no OpenCV 4 at {PYTHON}: see {where}")
    text = two_classes(many_classes(tiny_cfg))
    torch.manual_seed(2)
    model = settle(DarknetModule(sections_of(text)))
    data = write_darknet_weights(parse_cfg(text), model.arrays(), seen=64)
    assert read_weights(parse_cfg(text), data).seen == 64
    files = tmp_path / "net.cfg", tmp_path / "net.weights"
    files[0].write_text(text)
    files[1].write_bytes(data)
    monkeypatch.setattr(cv2.dnn, "readNetFromDarknet", OpenCV4, raising=False)
    assert "agrees" in opencv_agrees(model, *files)
    model.load_arrays({"conv5.bias": model.arrays()["conv5.bias"] + 1})
    with pytest.raises(TrainingError, match="objectness"):
        opencv_agrees(model, *files)
