"""The least and the largest value of each tensor that a graph computes.

Layer: export; runs graphs on the CPU; touches no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper

from export.onnx_graph.inference import types_of
from export.onnx_graph.session import open_session

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from export.onnx_graph.builder import Array


_REDUCERS = ("ReduceMin", "ReduceMax", "ReduceMean")
"""The first two pass over values that are not numbers; a mean does not."""


def extremes_of(
    model: onnx.ModelProto,
    images: Iterable[Array],
    *,
    input_name: str = "image",
    tensors: Collection[str] | None = None,
) -> dict[str, tuple[float, float]]:
    """Return the least and the largest value of float tensors over ``images``.

    Each image is [n, C, H, W] float32. ``tensors`` are names of tensors that nodes compute, all of
    them unless stated. A tensor that holds a value that is not a number has the limits -inf and
    inf. The extremes are taken inside ONNX Runtime, in FP32, so that no activation is kept.
    """
    types = types_of(model)
    audited = [
        name
        for node in model.graph.node
        for name in node.output
        if name and types.get(name) == TensorProto.FLOAT and (tensors is None or name in tensors)
    ]
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    for name in audited:
        for operator in _REDUCERS:
            output = f"{name}//{operator}"
            probe.graph.node.append(helper.make_node(operator, [name], [output], keepdims=0))
            probe.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, []))
    session = open_session(probe.SerializeToString())
    low, high = np.full(len(audited), np.inf), np.full(len(audited), -np.inf)
    for image in images:
        found = np.array(session.run(None, {input_name: image}), np.float64).reshape(
            -1, len(_REDUCERS)
        )
        odd = np.isnan(found).any(axis=1)
        low = np.minimum(low, np.where(odd, -np.inf, found[:, 0]))
        high = np.maximum(high, np.where(odd, np.inf, found[:, 1]))
    limits = zip(low.tolist(), high.tolist(), strict=True)
    return dict(zip(audited, limits, strict=True))
