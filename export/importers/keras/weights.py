"""The arrays of a saved Keras model, found by the names in the file, never by position.

Layer: export; reads one file with h5py; runs no code from it. A frozen part is stored after the
trainable one, so the order of arrays in a legacy file carries no meaning.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from export.errors import LayerError, WeightsError
from export.importers.keras.model import KerasLayer, KerasModel, parse_model

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from export.onnx_graph.builder import Array

_WHOLE = "save the whole model: model.save('NAME.h5') or model.save('NAME.keras')"


AnyArray = npt.NDArray[Any]
_RANDOM = "seed_generator"
"""The state of a layer that draws while training (dropout, augmentation)."""
LayerPath = tuple[KerasLayer, ...]
"""A layer behind the nested models that hold it."""


class Store(Protocol):
    """Arrays by the path of nested models and the variable's name."""

    def array(self, path: LayerPath, model: KerasModel, variable: str) -> Array:
        """Return the variable of the last layer in ``path``; the others are nested models.

        Raises `WeightsError` where there is none, or it does not hold floats.
        """

    def unread(self, called: Iterable[LayerPath], model: KerasModel) -> tuple[str, ...]:
        """Names of arrays that the called layers hold and have not asked for."""


@dataclass(frozen=True)
class SavedModel:
    """A model as saved: its structure, its arrays and the Keras that wrote it."""

    model: KerasModel
    store: Store
    keras_version: str


def read_keras(path: Path) -> SavedModel:
    """Read ``.h5`` (Keras 2 and 3) or ``.keras``.

    Raises `WeightsError` for a file that is not readable or holds weights alone, and where h5py is
    not installed, and `LayerError` for a model whose structure is not known.
    """
    h5py = _h5py(path)
    try:
        if zipfile.is_zipfile(path):
            return _read_archive(path, h5py)
        return _read_legacy(path, h5py)
    except (OSError, RuntimeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise WeightsError(
            f"not a readable Keras file: {error}",
            where=str(path),
            fix="compare its size and SHA-256 with the original; give an .h5 or .keras file",
        ) from error
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise LayerError(
            f"the model's description is not understood: {error!r}", where=str(path), fix=_WHOLE
        ) from error


def variables(layer: KerasLayer) -> tuple[str, ...]:
    """Names of a layer's arrays in the order in which ``.keras`` files number them."""
    config = layer.config
    bias = ("bias",) if config.get("use_bias", True) else ()
    if layer.kind == "BatchNormalization":
        return (
            *(("gamma",) if config.get("scale", True) else ()),
            *(("beta",) if config.get("center", True) else ()),
            "moving_mean",
            "moving_variance",
        )
    if layer.kind == "SeparableConv2D":
        return ("depthwise_kernel", "pointwise_kernel", *bias)
    if layer.kind == "DepthwiseConv2D":
        return ("depthwise_kernel", *bias)
    if layer.kind == "Normalization":
        return ("mean", "variance", "count")
    return ("kernel", *bias)


def _h5py(path: Path) -> Any:
    try:
        import h5py  # noqa: PLC0415 - an extra: only machines that import Keras models need it
    except ImportError as error:
        raise WeightsError(
            f"h5py, which reads Keras models, is not installed: {error}",
            where=str(path),
            fix="pip install 'sharpedge[keras]'",
        ) from error
    return h5py


def _read_legacy(path: Path, h5py: Any) -> SavedModel:
    with h5py.File(path, "r") as file:
        if "model_config" not in file.attrs or "model_weights" not in file:
            raise WeightsError(
                "the file holds weights alone, without the layers", where=str(path), fix=_WHOLE
            )
        groups: dict[str, dict[str, AnyArray]] = {}
        for name, group in file["model_weights"].items():
            names = [_text(item) for item in group.attrs.get("weight_names", [])]
            groups[name] = {item: np.asarray(group[item][()]) for item in names}
        version = _text(file.attrs.get("keras_version", "2"))
        bare = int(version.split(".")[0]) >= 3
        model = parse_model(json.loads(_text(file.attrs["model_config"])), bare=bare)
    return SavedModel(model, _LegacyStore(str(path), groups), version)


def _read_archive(path: Path, h5py: Any) -> SavedModel:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if "config.json" not in names or "model.weights.h5" not in names:
            raise WeightsError("the archive is no whole Keras model", where=str(path), fix=_WHOLE)
        model = parse_model(json.loads(archive.read("config.json")))
        version = json.loads(archive.read("metadata.json")).get("keras_version", "3")
        arrays: dict[str, AnyArray] = {}

        def keep(name: str, item: object) -> None:
            if isinstance(item, h5py.Dataset):
                arrays[name] = np.asarray(item[()])

        with h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as file:
            file.visititems(keep)
    return SavedModel(model, _ArchiveStore(str(path), arrays), version)


@dataclass(frozen=True)
class _LegacyStore:
    path: str
    groups: dict[str, dict[str, AnyArray]]
    read: set[tuple[str, str]] = field(default_factory=set)

    def array(self, path: LayerPath, model: KerasModel, variable: str) -> Array:
        del model
        group = self.groups.get(path[0].name, {})
        wanted = {variable, "kernel"} if variable == "depthwise_kernel" else {variable}
        found = []
        for name in group:
            parts = name.split(":")[0].split("/")
            mine = len(path) == 1 or path[-1].name in parts[:-1]
            if mine and re.sub(r"_\d+$", "", parts[-1]) in wanted:
                found.append(name)
        if len(found) != 1:
            raise _missing(self.path, path, variable, len(found))
        self.read.add((path[0].name, found[0]))
        return _floats(group[found[0]], f"{self.path}, {found[0]}", variable)

    def unread(self, called: Iterable[LayerPath], model: KerasModel) -> tuple[str, ...]:
        del model
        layers = {path[0].name for path in called}
        return tuple(
            name
            for layer, group in self.groups.items()
            for name in group
            if layer in layers and (layer, name) not in self.read and _RANDOM not in name
        )


@dataclass(frozen=True)
class _ArchiveStore:
    path: str
    arrays: dict[str, AnyArray]
    read: set[str] = field(default_factory=set)

    def array(self, path: LayerPath, model: KerasModel, variable: str) -> Array:
        key = f"{_place(path, model)}vars/{variables(path[-1]).index(variable)}"
        if key not in self.arrays:
            raise _missing(self.path, path, variable, 0)
        self.read.add(key)
        return _floats(self.arrays[key], f"{self.path}, {key}", variable)

    def unread(self, called: Iterable[LayerPath], model: KerasModel) -> tuple[str, ...]:
        places = tuple(_place(path, model) for path in called if path[-1].model is None)
        return tuple(
            name
            for name in self.arrays
            if name.startswith(places) and name not in self.read and _RANDOM not in name
        )


def _place(path: LayerPath, model: KerasModel) -> str:
    """Folder of a layer inside a ``.keras`` file."""
    place = ""
    inside: KerasModel | None = model
    for layer in path:
        if inside is None:
            break
        place += f"layers/{_counted(inside, layer)}/"
        inside = layer.model
    return place


def _counted(model: KerasModel, layer: KerasLayer) -> str:
    """Name a ``.keras`` file gives a layer: its class in snake case and how many came before."""
    same = [other.name for other in model.layers if other.kind == layer.kind]
    number = same.index(layer.name)
    kind = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", layer.kind)
    kind = re.sub(r"([a-z])([A-Z])", r"\1_\2", kind).lower()
    return kind if number == 0 else f"{kind}_{number}"


def _floats(array: AnyArray, where: str, variable: str) -> Array:
    if array.dtype.kind == "f" or variable == "count":
        return np.asarray(array, np.float32)
    stored = "bfloat16" if array.dtype.kind == "V" and array.dtype.itemsize == 2 else array.dtype
    raise WeightsError(
        f"{variable} is stored as {stored}, not as floats of 16, 32 or 64 bits",
        where=where,
        fix="save the model with the dtype policy float32 and without quantisation: build it "
        "under keras.config.set_dtype_policy('float32'), load its weights, save it",
    )


def _missing(file: str, path: LayerPath, variable: str, found: int) -> WeightsError:
    place = "/".join(layer.name for layer in path)
    return WeightsError(
        f"{found} arrays fit {variable}, one is needed",
        where=f"{file}, layer {place}",
        fix="save the whole model again, with layer names that differ",
    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
