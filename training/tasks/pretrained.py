"""Any Darknet ``.cfg`` as a detector of two classes, and the arrays of a ``.weights`` that fit it.

Layer: training.tasks; pure functions over text and bytes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from export.errors import WeightsError
from export.importers.darknet.cfg import Convolution, Yolo, parse_cfg
from export.importers.darknet.weights import array_shapes, float_count, read_weights
from training.errors import TrainingError
from training.models.darknet import sections_of, text_of

if TYPE_CHECKING:
    from export.importers.darknet.cfg import Network

CLASSES = 2
_SHORT_HEADER, _LONG_HEADER = 16, 20


def two_classes(text: str) -> str:
    """The configuration with ``classes=2`` in every [yolo] and the filters that this asks for.

    Raises `ExportError` for what the importer refuses, `TrainingError` for a network that is no
    detector or takes no square picture.
    """
    network = parse_cfg(text)
    if not network.heads:
        raise TrainingError("the .cfg has no [yolo] layer", fix="give the .cfg of a detector")
    if network.input[1] != network.input[2]:
        raise TrainingError(
            f"the .cfg takes {network.input[2]} x {network.input[1]} px",
            fix="set width and height of [net] to one multiple of 32",
        )
    sections = sections_of(text)
    for number, layer in enumerate(network.layers):
        if not isinstance(layer, Yolo):
            continue
        before = network.layers[number - 1]
        if not isinstance(before, Convolution):
            raise TrainingError(
                f"{layer.section.where} does not follow a [convolutional]",
                fix="give the .cfg of a YOLO detector",
            )
        sections[number + 1][1]["classes"] = str(CLASSES)
        sections[number][1]["filters"] = str(len(layer.anchors) * (5 + CLASSES))
    adapted = text_of(sections)
    parse_cfg(adapted)
    return adapted


def fitting_arrays(text: str, data: bytes) -> dict[str, np.ndarray]:
    """Arrays of a ``.weights`` by name.

    The file is a whole one of this ``.cfg`` or of its two-class form, or the beginning of one
    (``darknet53.conv.74``), which gives as many whole layers as it has.

    Raises `WeightsError` for a file that is neither.
    """
    original, adapted = parse_cfg(text), parse_cfg(two_classes(text))
    for network in (original, adapted):
        if len(data) in (size + 4 * float_count(network) for size in (_SHORT_HEADER, _LONG_HEADER)):
            return dict(read_weights(network, data).arrays)
    return _beginning(original, data)


def _beginning(network: Network, data: bytes) -> dict[str, np.ndarray]:
    if len(data) < _LONG_HEADER:
        raise WeightsError(
            f"{len(data)} bytes are no Darknet weights", where="header", fix="copy the file again"
        )
    major, minor, _ = struct.unpack_from("<3i", data)
    at = _LONG_HEADER if major * 10 + minor >= 2 else _SHORT_HEADER
    arrays: dict[str, np.ndarray] = {}
    whole: dict[str, np.ndarray] = {}
    layer = ""
    for name, shape in array_shapes(network).items():
        if name.partition(".")[0] != layer:
            layer = name.partition(".")[0]
            whole = dict(arrays)
            if at == len(data):
                break
        count = int(np.prod(shape))
        if at + 4 * count > len(data):
            raise WeightsError(
                f"{len(data)} bytes end inside {name}",
                where=layer,
                fix="give weights of this .cfg, or of its first layers",
            )
        arrays[name] = np.frombuffer(data, "<f4", count, at).reshape(shape)
        at += 4 * count
    if at != len(data):
        raise WeightsError(
            f"{len(data) - at} bytes are left over",
            where=layer,
            fix="give weights of this .cfg, or of its first layers",
        )
    if not all(np.isfinite(array).all() for array in whole.values()):
        raise WeightsError(
            "values are not finite", where="weights", fix="give weights of this .cfg"
        )
    return whole
