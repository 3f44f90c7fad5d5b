"""Darknet ``.weights`` bytes to named arrays and back.

Layer: export; pure functions over bytes. A file must be consumed to its last byte: a reader that
accepts one float too few or too many shifts every array after it without an error.

Arrays, i counting the ``[convolutional]`` sections from 0: ``conv{i}.weight`` [out, in / groups,
size, size], and either ``conv{i}.bias`` [out] or ``conv{i}.bn.gamma``, ``.beta``, ``.mean`` and
``.var`` [out], all float32.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from export.errors import WeightsError
from export.onnx_graph.builder import implausible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from export.importers.darknet.cfg import Convolution, Network
    from export.onnx_graph.builder import Array

BN_EPSILON = 1e-6
"""Added to the variance inside the root, as OpenCV does; Darknet's forks add 1e-5."""
_EPSILONS = (1e-6, 1e-5)
_EPSILON_MATTERS = 0.02
"""A channel is scaled differently by this share, or more, under the two epsilons."""

_SHORT_HEADER = 16
_LONG_HEADER = 20
_SEEN_HIGH_LIMIT = 1 << 8
"""The upper half of a 64-bit count of images stays under this: 2**40 images."""


@dataclass(frozen=True)
class DarknetWeights:
    """What a ``.weights`` file holds: arrays, images seen in training, remarks on the file."""

    arrays: dict[str, Array]
    seen: int
    notes: tuple[str, ...] = ()


def float_count(network: Network) -> int:
    """How many float32 values the network's weights file holds after its header."""
    return sum(_floats(layer) for layer in network.convolutions)


def array_shapes(network: Network) -> dict[str, tuple[int, ...]]:
    """Array name to shape, in the order of the file, batch normalisation not folded."""
    return {key: shape for layer in network.convolutions for key, shape in _order(layer)}


def read_weights(network: Network, data: bytes) -> DarknetWeights:
    """Split ``data`` into the arrays of ``network``.

    Raises `WeightsError` naming the section where the file ends early, the number of bytes left
    over, or the section with a variance or weight that cannot be.
    """
    if len(data) < _LONG_HEADER:
        raise WeightsError(
            f"{len(data)} bytes are too few for Darknet weights",
            where="header",
            fix="compare its size and SHA-256 with the original",
        )
    major, minor, _ = struct.unpack_from("<3i", data)
    stated = _LONG_HEADER if major * 10 + minor >= 2 else _SHORT_HEADER
    start = _header_bytes(network, data, stated)
    notes: tuple[str, ...] = ()
    if start != stated:
        notes = (f"header states format {major}.{minor} but is {start} bytes long",)
    seen = int.from_bytes(data[12:start], "little")
    floats = np.frombuffer(data, "<f4", float_count(network), start).astype(np.float32)
    arrays: dict[str, Array] = {}
    at = 0
    for layer in network.convolutions:
        for key, shape in _order(layer):
            count = int(np.prod(shape))
            arrays[key] = floats[at : at + count].reshape(shape)
            at += count
    check_arrays(network, arrays)
    return DarknetWeights(arrays, seen, notes)


def write_darknet_weights(network: Network, arrays: Mapping[str, Array], *, seen: int = 0) -> bytes:
    """Return the bytes of a ``.weights`` file, format 0.2.

    A section with ``batch_normalize=1`` whose arrays come folded (weight and bias, no ``bn.``) is
    written with a normalisation that changes nothing. Raises `WeightsError` for a missing array
    or a wrong shape.
    """
    parts = [struct.pack("<3iq", 0, 2, 5, seen)]
    full = with_identity_norm(network, arrays)
    check_arrays(network, full)
    for layer in network.convolutions:
        parts.extend(full[key].astype("<f4").tobytes() for key, _ in _order(layer))
    return b"".join(parts)


def with_identity_norm(network: Network, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Arrays where folded sections have a normalisation that changes nothing."""
    full = dict(arrays)
    for layer in network.convolutions:
        prefix = f"conv{layer.ordinal}"
        if layer.batch_normalize and f"{prefix}.bn.gamma" not in full:
            if f"{prefix}.bias" not in full:
                continue
            count = layer.shape[0]
            full[f"{prefix}.bn.gamma"] = np.ones(count, np.float32)
            full[f"{prefix}.bn.beta"] = full.pop(f"{prefix}.bias")
            full[f"{prefix}.bn.mean"] = np.zeros(count, np.float32)
            full[f"{prefix}.bn.var"] = np.full(count, 1 - BN_EPSILON, np.float32)
    return full


def check_arrays(network: Network, arrays: Mapping[str, Array]) -> None:
    """Raise `WeightsError` for an array that is missing, misshapen or holds impossible values."""
    for layer in network.convolutions:
        for key, shape in _order(layer):
            where = f"{layer.section.where}, {key}"
            if key not in arrays:
                raise WeightsError(
                    "the array is missing",
                    where=where,
                    fix="give the weights that were trained with this .cfg",
                )
            if arrays[key].shape != shape:
                raise WeightsError(
                    f"shape {arrays[key].shape}, the .cfg asks for {shape}",
                    where=where,
                    fix="give the weights that were trained with this .cfg",
                )
            wrong = implausible(arrays[key])
            if key.endswith(".var"):
                wrong |= arrays[key] < 0
            if wrong.any():
                at = int(np.flatnonzero(wrong)[0])
                raise WeightsError(
                    f"value {at} is {float(arrays[key].flat[at])}"
                    + (", a variance cannot be" if key.endswith(".var") else ""),
                    where=where,
                    fix="copy the file again and compare its SHA-256; .cfg and .weights must be "
                    "of one training",
                )


def epsilon_notes(
    network: Network, arrays: Mapping[str, Array], bn_epsilon: float
) -> tuple[str, ...]:
    """One line for each section with channels whose scale depends on the epsilon.

    Darknet, its forks and OpenCV do not agree on the epsilon of batch normalisation; where a
    variance is near 0 their results differ.
    """
    low, high = min(*_EPSILONS, bn_epsilon), max(*_EPSILONS, bn_epsilon)
    notes = []
    for layer in network.convolutions:
        variance = arrays.get(f"conv{layer.ordinal}.bn.var")
        if variance is None:
            continue
        wide = variance.astype(np.float64)
        count = int((1 - np.sqrt((wide + low) / (wide + high)) > _EPSILON_MATTERS).sum())
        if count:
            notes.append(
                f"{layer.section.where}: {count} of {len(variance)} channels have a variance down "
                f"to {float(variance.min()):.2g}, where bn_epsilon matters (here {bn_epsilon:g}; "
                "Darknet's forks use 1e-05): compare with a reference, or set bn_epsilon"
            )
    return tuple(notes)


def _order(layer: Convolution) -> tuple[tuple[str, tuple[int, ...]], ...]:
    prefix, one = f"conv{layer.ordinal}", (layer.shape[0],)
    if not layer.batch_normalize:
        return ((f"{prefix}.bias", one), (f"{prefix}.weight", layer.weight_shape))
    return (
        (f"{prefix}.bn.beta", one),
        (f"{prefix}.bn.gamma", one),
        (f"{prefix}.bn.mean", one),
        (f"{prefix}.bn.var", one),
        (f"{prefix}.weight", layer.weight_shape),
    )


def _floats(layer: Convolution) -> int:
    return sum(int(np.prod(shape)) for _, shape in _order(layer))


def _header_bytes(network: Network, data: bytes, stated: int) -> int:
    body = 4 * float_count(network)
    if len(data) == stated + body:
        return stated
    # A header may lie about its own length. But a long-headed file that lost its last float has the
    # size of a short-headed one, so the fifth word must look like what it would then be.
    other = _SHORT_HEADER + _LONG_HEADER - stated
    (fifth,) = struct.unpack_from("<I", data, _SHORT_HEADER)
    looks_like_count = fifth < _SEEN_HIGH_LIMIT
    if len(data) == other + body and looks_like_count == (other == _LONG_HEADER):
        return other
    if len(data) > stated + body:
        raise WeightsError(
            f"{len(data) - stated - body} bytes are left over after the last section: the file has "
            f"{len(data)} bytes, the .cfg asks for {stated + body}",
            where=network.layers[-1].section.where,
            fix="give the .cfg that the weights were trained with (classes, filters, layers)",
        )
    at = stated
    for layer in network.convolutions:
        at += 4 * _floats(layer)
        if at > len(data):
            break
    raise WeightsError(
        f"the file ends here: it has {len(data)} bytes, the .cfg asks for {stated + body}",
        where=layer.section.where,
        fix="copy the whole file again, or give the .cfg that the weights were trained with",
    )
