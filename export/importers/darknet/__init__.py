"""Darknet networks: ``.cfg`` + ``.weights`` to ONNX, and arrays back to ``.weights``.

Layer: export; pure functions over text, bytes and arrays; `source` reads the files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.importers.darknet.cfg import Network, parse_cfg
from export.importers.darknet.graph import Output, darknet_to_onnx
from export.importers.darknet.weights import (
    BN_EPSILON,
    DarknetWeights,
    epsilon_notes,
    float_count,
    read_weights,
    write_darknet_weights,
)

if TYPE_CHECKING:
    import onnx

__all__ = [
    "BN_EPSILON",
    "DarknetWeights",
    "Network",
    "darknet_to_onnx",
    "epsilon_notes",
    "float_count",
    "import_darknet",
    "parse_cfg",
    "read_weights",
    "write_darknet_weights",
]


def import_darknet(
    cfg: str,
    weights: bytes,
    *,
    size: tuple[int, int] | None = None,
    output: Output = "decoded",
    bn_epsilon: float = BN_EPSILON,
) -> onnx.ModelProto:
    """ONNX model from the text of a ``.cfg`` and the bytes of its ``.weights``.

    ``size`` (height, width) in px replaces that of ``[net]``. See `darknet_to_onnx` for the
    outputs. Raises `CfgError`, `LayerError` or `WeightsError`.
    """
    network = parse_cfg(cfg, size=size)
    arrays = read_weights(network, weights).arrays
    return darknet_to_onnx(network, arrays, output=output, bn_epsilon=bn_epsilon)
