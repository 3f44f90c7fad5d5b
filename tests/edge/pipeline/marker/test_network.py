"""The shipped network is whole, small, and computes what a plain convolution does."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest

from edge.pipeline.marker.candidates import CROP_PX
from edge.pipeline.marker.network import (
    CLASSES,
    CONVOLUTIONS,
    WEIGHTS_FILE,
    MarkerNetwork,
    shipped_network,
)


def plainly(arrays, crop):
    """Logits of one crop [2, s, s], pixel by pixel."""
    values = crop.astype(np.float64)
    for layer in CONVOLUTIONS:
        kernel, bias = arrays[f"{layer}.weight"], arrays[f"{layer}.bias"]
        padded = np.pad(values, ((0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
        found = np.einsum("chwyx,ocyx->ohw", windows, kernel) + bias[:, None, None]
        found = np.maximum(found, 0)
        count, height, width = found.shape
        values = found.reshape(count, height // 2, 2, width // 2, 2).max(axis=(2, 4))
    hidden = np.maximum(arrays["hidden.weight"] @ values.ravel() + arrays["hidden.bias"], 0)
    return arrays["letter.weight"] @ hidden + arrays["letter.bias"]


def test_it_computes_convolutions_with_pooling():
    rng = np.random.default_rng(3)
    crops = rng.random((3, 2, CROP_PX, CROP_PX), np.float32)
    network = shipped_network()
    read = network.read(crops)
    for crop, probabilities in zip(crops, read.probabilities, strict=True):
        odds = np.exp(plainly(network.arrays, crop))
        assert probabilities == pytest.approx(odds / odds.sum(), abs=1e-4)
    assert read.probabilities.shape == (3, len(CLASSES))
    assert np.all(np.abs(read.turns_deg) <= 180)


def test_no_crops_give_no_readings():
    read = shipped_network().read(np.zeros((0, 2, CROP_PX, CROP_PX), np.float32))
    assert read.probabilities.shape == (0, len(CLASSES))


def test_the_weights_are_small_and_finite():
    assert len(files("edge").joinpath(WEIGHTS_FILE).read_bytes()) < 300_000
    network = shipped_network()
    assert isinstance(network, MarkerNetwork)
    assert all(np.isfinite(array).all() for array in network.arrays.values())
