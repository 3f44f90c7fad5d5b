"""Small parts that the training's tests share: a tiny network, a folder of phantoms, films."""

import sys

import cv2
import numpy as np
import pytest

from edge.anatomy import Limb
from training.synthetic.phantom_films import PhantomFilms, draw_phantom_films

TINY_CFG = """
[net]
width=96
height=96
channels=1
[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky
[convolutional]
batch_normalize=1
filters=16
size=3
stride=2
pad=1
activation=leaky
[convolutional]
batch_normalize=1
filters=24
size=3
stride=2
pad=1
activation=leaky
[convolutional]
batch_normalize=1
filters=24
size=3
stride=1
pad=1
activation=leaky
[shortcut]
from=-2
activation=linear
[convolutional]
batch_normalize=1
filters=32
size=3
stride=2
pad=1
activation=leaky
[convolutional]
filters=21
size=1
stride=1
pad=1
activation=linear
[yolo]
mask=3,4,5
anchors=5,5, 7,7, 9,9, 12,12, 16,16, 24,24
classes=2
num=6
[route]
layers=-3
[upsample]
stride=2
[route]
layers=-1, 4
[convolutional]
filters=21
size=1
stride=1
pad=1
activation=linear
[yolo]
mask=0,1,2
anchors=5,5, 7,7, 9,9, 12,12, 16,16, 24,24
classes=2
num=6
"""


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """The same sums in the same order on every run, and a machine left to others."""
    cv2.setNumThreads(1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture
def tiny_cfg(tmp_path):
    path = tmp_path / "tiny.cfg"
    path.write_text(TINY_CFG)
    return path


@pytest.fixture(scope="session")
def phantoms_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    for limb in Limb:
        draw_phantom_films(folder, limb, 6, seed=3, longest_px=260)
    return folder


@pytest.fixture
def hand_phantoms(phantoms_dir):
    return PhantomFilms(phantoms_dir, Limb.HAND)


@pytest.fixture(scope="session")
def settle():
    """Give batch normalisation figures that a mistake in folding would change."""
    torch = pytest.importorskip("torch")

    def settle(module):
        generator = torch.Generator().manual_seed(0)
        for part in module.modules():
            if isinstance(part, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
                part.running_mean.uniform_(-0.3, 0.3, generator=generator)
                part.running_var.uniform_(0.5, 2, generator=generator)
                part.weight.data.uniform_(0.5, 1.5, generator=generator)
                part.bias.data.uniform_(-0.3, 0.3, generator=generator)
        return module.eval()

    return settle


@pytest.fixture(scope="session")
def same_weights():
    """Assert that two state dicts are equal to the bit."""

    def same(first, second):
        assert first.keys() == second.keys()
        for name, tensor in first.items():
            np.testing.assert_array_equal(tensor.numpy(), second[name].numpy(), err_msg=name)

    return same
