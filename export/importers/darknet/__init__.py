"""Darknet networks: ``.cfg`` + ``.weights`` to ONNX, and arrays back to ``.weights``.

Layer: export; pure functions over text, bytes and arrays; `source` reads the files.
"""

from __future__ import annotations

from export.importers.darknet.cfg import Network, parse_cfg
from export.importers.darknet.graph import darknet_to_onnx
from export.importers.darknet.weights import (
    BN_EPSILON,
    DarknetWeights,
    epsilon_notes,
    float_count,
    read_weights,
    write_darknet_weights,
)

__all__ = [
    "BN_EPSILON",
    "DarknetWeights",
    "Network",
    "darknet_to_onnx",
    "epsilon_notes",
    "float_count",
    "parse_cfg",
    "read_weights",
    "write_darknet_weights",
]
