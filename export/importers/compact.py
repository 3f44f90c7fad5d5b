"""Compact weights: one file a model, small enough to be committed.

Layer: export; reads and writes the one file it is given. The file is an ordinary ``.npz`` (NumPy
opens it) whose archive comment is the SHA-256 of everything before it, so that any changed or
missing byte is found. Members: ``meta.json``; per array either ``NAME.npy`` (float32, exact) or
``NAME.int8.npy`` with ``NAME.scale.npy`` (float32, one scale an output channel):
value = int8 * scale.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from edge.system.files import write_whole
from export.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from export.onnx_graph.builder import Array

MINIMUM_QUANTISED = 1024
"""Arrays with fewer values, and all vectors, are stored exactly."""

_DIGEST_LENGTH = 64
_EPOCH = (1980, 1, 1, 0, 0, 0)
_CLIPS = np.linspace(1.0, 0.6, 9)
_LEVELS = 127
_META = "meta.json"
_FIX = "copy the file again, or check it out again with git"


def quantise(array: Array) -> tuple[npt.NDArray[np.int8], Array]:
    """Int8 values and float32 scale [out] of an array [out, ...].

    Of nine clipping points a channel the one with the least squared error is taken.
    """
    rows = array.reshape(array.shape[0], -1).astype(np.float64)
    peak = np.abs(rows).max(axis=1)
    # The smallest normal float32, not 0: a channel of zeros still needs a scale to divide by.
    peak = np.maximum(peak, float(np.finfo(np.float32).tiny) * _LEVELS)
    best = np.full(len(rows), np.inf)
    scale = np.zeros(len(rows), np.float32)
    for clip in _CLIPS:
        candidate = (peak * clip / _LEVELS).astype(np.float32)
        levels = _round(rows, candidate)
        error = np.square(levels * candidate[:, None].astype(np.float64) - rows).sum(axis=1)
        better = error < best
        best[better], scale[better] = error[better], candidate[better]
    return _round(rows, scale).astype(np.int8).reshape(array.shape), scale


def dequantise(levels: npt.NDArray[np.int8], scale: Array) -> Array:
    """Return float32 values of int8 levels [out, ...] and scale [out]."""
    return levels.astype(np.float32) * scale.reshape(-1, *([1] * (levels.ndim - 1)))


def save_compact(path: Path, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> None:
    """Write arrays (float32, any shape) and JSON metadata; equal input gives equal bytes.

    Matrices and kernels of at least `MINIMUM_QUANTISED` values are quantised, output channels
    first. Raises `WeightsError` for a value that is not finite.
    """
    members: list[tuple[str, bytes]] = [
        (_META, json.dumps(meta, sort_keys=True, indent=1, ensure_ascii=False).encode())
    ]
    for name in sorted(arrays):
        array = np.asarray(arrays[name], np.float32)
        if not np.isfinite(array).all():
            raise WeightsError(
                "the array holds a value that is not finite",
                where=f"{path.name}, {name}",
                fix="look at the training's loss; save the last good checkpoint",
            )
        if array.ndim > 1 and array.size >= MINIMUM_QUANTISED:
            levels, scale = quantise(array)
            members += [(f"{name}.int8.npy", _npy(levels)), (f"{name}.scale.npy", _npy(scale))]
        else:
            members.append((f"{name}.npy", _npy(array)))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members:
            _add_member(archive, name, data)
        archive.comment = b"0" * _DIGEST_LENGTH
    body = buffer.getvalue()[:-_DIGEST_LENGTH]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, body + hashlib.sha256(body).hexdigest().encode(), durable=False)


def load_compact(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Arrays as float32 and the metadata of a file that `save_compact` wrote.

    Raises `WeightsError` for a missing, truncated, changed or foreign file. Never unpickles.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"cannot be read: {error.strerror}", where=str(path), fix="give the right path"
        ) from error
    body, digest = data[:-_DIGEST_LENGTH], data[-_DIGEST_LENGTH:]
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise WeightsError(
            "the file is truncated, damaged or no compact weights: its checksum does not fit",
            where=str(path),
            fix=_FIX,
        )
    try:
        return _read_members(data)
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"the file is no compact weights: {error}", where=str(path), fix=_FIX
        ) from error


def _read_members(data: bytes) -> tuple[dict[str, Array], dict[str, Any]]:
    arrays: dict[str, Array] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = set(archive.namelist())
        meta = cast("dict[str, Any]", json.loads(archive.read(_META)))
        for name in sorted(names - {_META}):
            if name.endswith(".int8.npy"):
                base = name.removesuffix(".int8.npy")
                levels = _from_npy(archive, name).astype(np.int8)
                scale = _from_npy(archive, f"{base}.scale.npy").astype(np.float32)
                arrays[base] = dequantise(levels, scale)
            elif f"{name.removesuffix('.scale.npy')}.int8.npy" not in names:
                exact = _from_npy(archive, name).astype(np.float32)
                arrays[name.removesuffix(".npy")] = exact
    return arrays, meta


def _round(rows: npt.NDArray[np.float64], scale: Array) -> npt.NDArray[np.float64]:
    return np.clip(np.rint(rows / scale[:, None].astype(np.float64)), -_LEVELS, _LEVELS)


def _npy(array: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(
        buffer, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False
    )
    return buffer.getvalue()


def _from_npy(archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    try:
        loaded = np.load(io.BytesIO(archive.read(name)), allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    return cast("npt.NDArray[Any]", loaded)


def _add_member(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    sizes: dict[int, int] = {}
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
        trial = io.BytesIO()
        with zipfile.ZipFile(trial, "w") as one:
            one.writestr(_entry(name, kind), data, compresslevel=9)
        sizes[kind] = len(trial.getvalue())
    kind = min(sizes, key=lambda k: (sizes[k], k))
    archive.writestr(_entry(name, kind), data, compresslevel=9)


def _entry(name: str, kind: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, date_time=_EPOCH)
    entry.compress_type = kind
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    return entry
