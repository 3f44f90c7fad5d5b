"""The network that reads a candidate: which letter it is, whether mirrored, and how it is turned.

Layer: pipeline; NumPy alone, with the weights ``edge/data/marker.npz`` that this package carries.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping

Array = npt.NDArray[np.float32]

CLASSES = ("none", "R", "R mirrored", "L", "L mirrored")
"""Outputs of the network, in their order."""
CONVOLUTIONS = ("conv1", "conv2", "conv3")
WEIGHTS_FILE = "data/marker.npz"


class Reading(NamedTuple):
    """What the network says: probabilities [n, 5] of `CLASSES`, turns [n] in degrees, clockwise."""

    probabilities: Array
    turns_deg: Array


@dataclass(frozen=True)
class MarkerNetwork:
    """Three convolutions with pooling and two full layers; ``arrays`` by layer and tensor."""

    arrays: Mapping[str, Array]

    def read(self, crops: Array) -> Reading:
        """Read crops [n, 2, CROP_PX, CROP_PX] as `candidates.crop_candidates` makes them."""
        values = np.ascontiguousarray(crops.transpose(0, 2, 3, 1))
        for layer in CONVOLUTIONS:
            values = _pool(self._convolution(layer, values))
        # Channels first, as the training flattens them.
        flat = values.transpose(0, 3, 1, 2).reshape(len(crops), int(np.prod(values.shape[1:])))
        hidden = np.maximum(self._full("hidden", flat), 0)
        logits, turn = self._full("letter", hidden), self._full("turn", hidden)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        degrees = np.degrees(np.arctan2(turn[:, 1], turn[:, 0]))
        return Reading(odds / odds.sum(axis=1, keepdims=True), degrees.astype(np.float32))

    def _convolution(self, layer: str, values: Array) -> Array:
        """3 x 3 with zero padding and ReLU, [n, h, w, c]."""
        kernel, bias = self.arrays[f"{layer}.weight"], self.arrays[f"{layer}.bias"]
        _, height, width, channels = values.shape
        padded = np.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)))
        shifted = [padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3)]
        columns = np.concatenate(shifted, axis=3).reshape(-1, 9 * channels)
        flat = kernel.transpose(2, 3, 1, 0).reshape(9 * channels, -1)
        found = columns @ flat + bias
        return np.asarray(np.maximum(found, 0).reshape(*values.shape[:3], len(bias)), np.float32)

    def _full(self, layer: str, values: Array) -> Array:
        found = values @ self.arrays[f"{layer}.weight"].T + self.arrays[f"{layer}.bias"]
        return np.asarray(found, np.float32)


def _pool(values: Array) -> Array:
    """Greatest of each 2 x 2, [n, h, w, c] to [n, h / 2, w / 2, c]."""
    rows = np.maximum(values[:, ::2], values[:, 1::2])
    return np.maximum(rows[:, :, ::2], rows[:, :, 1::2])


@cache
def shipped_network() -> MarkerNetwork:
    """The network that this package carries.

    Its file is a compact weight file: arrays as float32, or as int8 with a scale a channel.
    """
    stored: dict[str, npt.NDArray[np.generic]] = {}
    with files("edge").joinpath(WEIGHTS_FILE).open("rb") as file, np.load(file) as archive:
        stored = {name: archive[name] for name in archive.files if name != "meta.json"}
    arrays: dict[str, Array] = {}
    for name, values in stored.items():
        if name.endswith(".int8"):
            base = name.removesuffix(".int8")
            scale = np.asarray(stored[f"{base}.scale"], np.float32)
            levels = np.asarray(values, np.float32)
            arrays[base] = levels * scale.reshape(-1, *([1] * (levels.ndim - 1)))
        elif not name.endswith(".scale"):
            arrays[name] = np.asarray(values, np.float32)
    return MarkerNetwork(arrays)
