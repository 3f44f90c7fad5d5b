"""Identifies a model file by its first bytes; a file of another framework gets its conversion.

Layer: export; reads the beginning of one file, or the names inside a zip archive.
"""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from export.errors import WeightsError
from export.importer_table import IMPORTERS

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_HEAD_BYTES = 512
_SAFETENSORS_LIMIT = 100_000_000
_TORCH = (
    "convert it where it was trained: load the weights into the module and call "
    "torch.onnx.export(module, images, 'model.onnx', opset_version=17), then set kind = \"onnx\""
)


@dataclass(frozen=True)
class Kind:
    """A kind of file: its name, what to do with it, and the key by which a source accepts it."""

    name: str
    fix: str
    key: str = ""


_ONNX = Kind("an ONNX model", 'set kind = "onnx" and file in [source]', "onnx")
_KERAS = Kind("a Keras model", 'set kind = "keras" and file in [source]', "keras")
_HDF5 = Kind("an HDF5 file", 'set kind = "keras" and file in [source]', "keras")
_CFG = Kind("a Darknet .cfg", "name it in source.cfg, and the .weights in weights", "cfg")
_NPZ = Kind(
    "a NumPy archive",
    "save the whole model of the framework that it was trained in",
    "npz",
)
_EMPTY = Kind("empty", "copy the file again: its copy or download did not finish")
_FOLDER = Kind("a folder", "name the model file inside it")
_SAVED_MODEL = Kind(
    "a TensorFlow SavedModel folder",
    "convert it: python -m tf2onnx.convert --saved-model FOLDER --output model.onnx --opset 17, "
    'then set kind = "onnx"; or load it with Keras and save it as .keras',
)
_TORCH_WEIGHTS = Kind("PyTorch weights (.pt, .pth)", _TORCH)
_TORCHSCRIPT = Kind("a TorchScript model", _TORCH)
_PT2 = Kind(
    "a PyTorch exported program (.pt2)",
    "convert it: torch.onnx.export(torch.export.load('model.pt2').module(), images, "
    "'model.onnx'), then set kind = \"onnx\"",
)
_SAFETENSORS = Kind("a safetensors file, which holds weights without a network", _TORCH)
_PLAN = Kind(
    "a TensorRT plan, which is built for one device",
    'give the .onnx that it was built from, with kind = "onnx"; sharpedge build makes the plan',
)
_OPENVINO = Kind("an OpenVINO model (.xml)", "give the model that it was converted from, as .onnx")
_TFLITE = Kind(
    "a TensorFlow Lite model",
    "convert it: python -m tf2onnx.convert --tflite model.tflite --output model.onnx --opset 17, "
    "without quantisation",
)
_TF_GRAPH = Kind(
    "a TensorFlow graph (.pb)",
    "convert it: python -m tf2onnx.convert --saved-model FOLDER --output model.onnx --opset 17",
)
_WEB_PAGE = Kind("a web page, not the file behind it", "download the file itself")
_LFS = Kind("a Git LFS pointer, not the file", "fetch the file: git lfs pull")
_PACKED = Kind("a packed archive", "unpack it and name the model file inside")
_ARRAY = Kind("one NumPy array", "save the whole model of the framework that it was trained in")
_JSON = Kind("JSON text", "give the model with its weights, as .onnx or .keras")

_BEGINNINGS: tuple[tuple[bytes, Kind], ...] = (
    (b"\x89HDF\r\n\x1a\n", _HDF5),
    (b"\x93NUMPY", _ARRAY),
    (b"\x80\x02", _TORCH_WEIGHTS),
    (b"\x80\x03", _TORCH_WEIGHTS),
    (b"\x80\x04", _TORCH_WEIGHTS),
    (b"\x80\x05", _TORCH_WEIGHTS),
    (b"ptrt", _PLAN),
    (b"ftrt", _PLAN),
    (b"version https://git-lfs", _LFS),
    (b"\x1f\x8b", _PACKED),
    (b"BZh", _PACKED),
    (b"\xfd7zXZ", _PACKED),
    (b"7z\xbc\xaf", _PACKED),
    (b"Rar!", _PACKED),
)
_TEXTS: tuple[tuple[bytes, Kind], ...] = (
    (b"<!doctype html", _WEB_PAGE),
    (b"<html", _WEB_PAGE),
    (b"<?xml", _OPENVINO),
    (b"<net", _OPENVINO),
    (b"[net", _CFG),
    (b"{", _JSON),
)
_KINDS = {kind.key: kind for kind in (_ONNX, _KERAS)}
_ENDINGS = {
    ".engine": _PLAN,
    ".plan": _PLAN,
    ".pb": _TF_GRAPH,
    ".tflite": _TFLITE,
    ".safetensors": _SAFETENSORS,
}


def refuse_other_kinds(path: Path, keys: Collection[str]) -> None:
    """Raise `WeightsError` where a file is of a known kind that is not among ``keys``.

    A file of no known kind passes: its reader finds what is wrong with it.
    """
    kind = kind_of(path)
    if kind is not None and kind.key not in keys:
        raise WeightsError(f"the file is {kind.name}", where=str(path), fix=kind.fix)


def kind_of(path: Path) -> Kind | None:
    """Return the kind of a file or folder; None where it cannot be read or is not known."""
    try:
        if path.is_dir():
            return _SAVED_MODEL if (path / "saved_model.pb").exists() else _FOLDER
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        if not head:
            return _EMPTY
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return _of_archive(archive.namelist())
    except (OSError, zipfile.BadZipFile, ValueError):
        return None
    return _of_bytes(head) or _of_ending(path.suffix.lower())


def _of_bytes(head: bytes) -> Kind | None:
    for beginning, kind in _BEGINNINGS:
        if head.startswith(beginning):
            return kind
    if head[4:8] == b"TFL3":
        return _TFLITE
    if head[257:262] == b"ustar":
        return _PACKED
    if len(head) > 8 and head[8:9] == b"{":
        (length,) = struct.unpack_from("<Q", head)
        return _SAFETENSORS if length < _SAFETENSORS_LIMIT else None
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((kind for beginning, kind in _TEXTS if text.startswith(beginning)), None)


def _of_ending(suffix: str) -> Kind | None:
    for name, row in IMPORTERS.items():
        if suffix in row.suffixes:
            return _KINDS.get(name) or Kind(row.files, f'set kind = "{name}" in [source]', name)
    return _ENDINGS.get(suffix)


def _of_archive(names: list[str]) -> Kind:
    ends = {name.rpartition("/")[2] for name in names}
    if {"config.json", "model.weights.h5"} <= set(names):
        return _KERAS
    if ends & {"serialized_exported_program.json", "archive_format", "archive_version"}:
        return _PT2
    if "data.pkl" in ends:
        scripted = any("/code/" in name or name.startswith("code/") for name in names)
        return _TORCHSCRIPT if scripted else _TORCH_WEIGHTS
    if names and all(name.endswith((".npy", "meta.json")) for name in names):
        return _NPZ
    return _PACKED
