"""A Darknet network and its arrays to an ONNX graph.

Layer: export; pure functions. NCHW, float32, batch normalisation folded, static shapes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from export.errors import CfgError
from export.importers.darknet.cfg import (
    Convolution,
    Layer,
    MaxPool,
    Network,
    Route,
    Shortcut,
    Upsample,
    Yolo,
)
from export.importers.darknet.weights import BN_EPSILON, check_arrays, with_identity_norm
from export.onnx_graph.builder import Array, GraphBuilder, fold_batch_norm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx

Output = Literal["decoded", "raw"]


def darknet_to_onnx(
    network: Network,
    arrays: Mapping[str, Array],
    *,
    output: Output = "decoded",
    bn_epsilon: float = BN_EPSILON,
) -> onnx.ModelProto:
    """Graph ``image`` [1, C, H, W] -> heads.

    ``decoded``: one output ``boxes`` [1, N, 5 + classes]: centre x, centre y, width, height in px
    of the input, objectness 0..1, class probabilities 0..1 (not multiplied by objectness). Rows run
    over heads in file order, then y, x, anchor. ``raw``: one output ``head{i}``
    [1, anchors * (5 + classes), h, w] a head. A network without ``[yolo]`` has one output
    ``features``, its last layer. Raises `WeightsError` or `CfgError`.
    """
    full = with_identity_norm(network, arrays)
    check_arrays(network, full)
    graph = GraphBuilder("darknet")
    tensors: list[str] = []
    x = graph.input("image", (1, *network.input))
    for layer in network.layers:
        x = _layer(graph, network, layer, x, tensors=tensors, arrays=full, bn_epsilon=bn_epsilon)
        tensors.append(x)
    heads = network.heads
    if not heads:
        graph.output(x, "features", (1, *network.layers[-1].shape))
    elif output == "raw":
        for number, head in enumerate(heads):
            graph.output(tensors[head.section.index], f"head{number}", (1, *head.shape))
    else:
        _add_decoding(graph, network, [tensors[head.section.index] for head in heads])
    return graph.build()


def _layer(
    graph: GraphBuilder,
    network: Network,
    layer: Layer,
    x: str,
    *,
    tensors: list[str],
    arrays: Mapping[str, Array],
    bn_epsilon: float,
) -> str:
    name = f"l{layer.section.index}"
    if isinstance(layer, Convolution):
        weight, bias = _folded(layer, arrays, bn_epsilon)
        pad = layer.pad * layer.dilation
        x = graph.conv(
            x,
            f"{name}.conv{layer.ordinal}",
            weight,
            bias,
            stride=layer.stride,
            pads=(pad, pad, pad, pad),
            groups=layer.groups,
            dilation=(layer.dilation, layer.dilation),
        )
        return add_activation(graph, x, name, layer.activation)
    if isinstance(layer, Shortcut):
        for source in layer.sources:
            shape = network.layers[source].shape
            other = _fit_channels(graph, tensors[source], name, shape[0], layer.shape)
            x = graph.node("Add", (x, other), f"{name}.add")
        return add_activation(graph, x, name, layer.activation)
    if isinstance(layer, Route):
        parts = [
            _channels(graph, tensors[source], name, network.layers[source].shape[0], layer)
            for source in layer.sources
        ]
        return parts[0] if len(parts) == 1 else graph.node("Concat", parts, name, axis=1)
    if isinstance(layer, MaxPool):
        return graph.node(
            "MaxPool",
            (x,),
            name,
            kernel_shape=[layer.size, layer.size],
            strides=list(layer.stride),
            pads=list(layer.pads),
        )
    if isinstance(layer, Upsample):
        return graph.upsample(x, name, (layer.stride, layer.stride))
    return x


def add_activation(graph: GraphBuilder, x: str, name: str, activation: str) -> str:
    """Append a Darknet activation; ``linear`` appends nothing."""
    if activation == "leaky":
        return graph.node("LeakyRelu", (x,), f"{name}.leaky", alpha=0.1)
    if activation == "relu":
        return graph.node("Relu", (x,), f"{name}.relu")
    if activation == "logistic":
        return graph.node("Sigmoid", (x,), f"{name}.sigmoid")
    if activation == "swish":
        gate = graph.node("Sigmoid", (x,), f"{name}.gate")
        return graph.node("Mul", (x, gate), f"{name}.swish")
    if activation == "mish":
        soft = graph.node("Softplus", (x,), f"{name}.softplus")
        gate = graph.node("Tanh", (soft,), f"{name}.gate")
        return graph.node("Mul", (x, gate), f"{name}.mish")
    return x


def add_yolo_decoding(
    graph: GraphBuilder, x: str, name: str, head: Yolo, input_size: tuple[int, int]
) -> str:
    """Append the box decoding of one head: [1, A * (5 + C), h, w] to [1, h * w * A, 5 + C]."""
    _, height, width = head.shape
    count, fields = len(head.anchors), 5 + head.classes
    x = graph.reshape(x, f"{name}.split", (1, count, fields, height, width))
    x = graph.node("Transpose", (x,), f"{name}.last", perm=[0, 3, 4, 1, 2])
    x = graph.reshape(x, f"{name}.rows", (1, height * width * count, fields))
    sizes = graph.constant(f"{name}.fields", np.array([2, 2, fields - 4], np.int64))
    centre, size, scores = graph.nodes(
        "Split", (x, sizes), (f"{name}.xy", f"{name}.wh", f"{name}.scores"), axis=2
    )
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    corner = np.stack([columns, rows], axis=-1).reshape(-1, 1, 2)
    corner = np.broadcast_to(corner, (height * width, count, 2)).reshape(1, -1, 2)
    cell = np.array([input_size[1] / width, input_size[0] / height], np.float32)
    anchors = np.tile(np.array(head.anchors, np.float32), (height * width, 1))[None]
    offset = corner - (head.scale_x_y - 1) / 2
    if head.new_coords:
        anchors = anchors * 4
        size = graph.node("Mul", (size, size), f"{name}.square")
    else:
        centre = graph.node("Sigmoid", (centre,), f"{name}.xy.sigmoid")
        scores = graph.node("Sigmoid", (scores,), f"{name}.scores.sigmoid")
        size = graph.node("Exp", (size,), f"{name}.wh.exp")
    scale = graph.constant(f"{name}.xy.scale", cell * np.float32(head.scale_x_y))
    centre = graph.node("Mul", (centre, scale), f"{name}.xy.px")
    shift = graph.constant(f"{name}.xy.offset", (offset * cell).astype(np.float32))
    centre = graph.node("Add", (centre, shift), f"{name}.xy.centre")
    size = graph.node("Mul", (size, graph.constant(f"{name}.anchors", anchors)), f"{name}.wh.px")
    return graph.node("Concat", (centre, size, scores), f"{name}.boxes", axis=2)


def decoding_graph(
    heads: Sequence[tuple[str, Yolo]], input_size: tuple[int, int]
) -> onnx.ModelProto:
    """Graph ``raw.NAME`` of every head -> ``boxes``, to be joined to a model with raw heads."""
    graph = GraphBuilder("decoding")
    boxes = [
        add_yolo_decoding(
            graph, graph.input(f"raw.{name}", (1, *head.shape)), name, head, input_size
        )
        for name, head in heads
    ]
    joined = graph.node("Concat", boxes, "joined", axis=1)
    total = sum(len(head.anchors) * head.shape[1] * head.shape[2] for _, head in heads)
    graph.output(joined, "boxes", (1, total, 5 + heads[0][1].classes))
    return graph.build()


def _add_decoding(graph: GraphBuilder, network: Network, tensors: list[str]) -> None:
    heads = network.heads
    classes = {head.classes for head in heads}
    if len(classes) > 1:
        raise CfgError(
            f"the [yolo] layers have different class counts: {sorted(classes)}",
            where=heads[-1].section.where,
            fix="give every [yolo] section the same classes=, or export raw heads",
        )
    boxes = [
        add_yolo_decoding(graph, x, f"head{i}", head, network.input[1:])
        for i, (x, head) in enumerate(zip(tensors, heads, strict=True))
    ]
    joined = boxes[0] if len(boxes) == 1 else graph.node("Concat", boxes, "heads", axis=1)
    total = sum(len(head.anchors) * head.shape[1] * head.shape[2] for head in heads)
    graph.output(joined, "boxes", (1, total, 5 + heads[0].classes))


def _folded(
    layer: Convolution, arrays: Mapping[str, Array], bn_epsilon: float
) -> tuple[Array, Array]:
    prefix = f"conv{layer.ordinal}"
    weight = arrays[f"{prefix}.weight"]
    if not layer.batch_normalize:
        return weight, arrays[f"{prefix}.bias"]
    gamma, beta, mean, variance = (
        arrays[f"{prefix}.bn.{part}"] for part in ("gamma", "beta", "mean", "var")
    )
    return fold_batch_norm(
        weight, None, gamma=gamma, beta=beta, mean=mean, variance=variance, epsilon=bn_epsilon
    )


def _channels(graph: GraphBuilder, x: str, name: str, depth: int, route: Route) -> str:
    if route.groups == 1:
        return x
    part = depth // route.groups
    return _slice(graph, x, name, route.group_id * part, (route.group_id + 1) * part)


def _fit_channels(
    graph: GraphBuilder, x: str, name: str, depth: int, wanted: tuple[int, int, int]
) -> str:
    # Darknet adds what both layers have and leaves the other channels alone.
    if depth == wanted[0]:
        return x
    if depth > wanted[0]:
        return _slice(graph, x, name, 0, wanted[0])
    zeros = np.zeros((1, wanted[0] - depth, *wanted[1:]), np.float32)
    return graph.node("Concat", (x, graph.constant(f"{name}.zeros", zeros)), f"{name}.fit", axis=1)


def _slice(graph: GraphBuilder, x: str, name: str, start: int, stop: int) -> str:
    bounds = [
        graph.constant(f"{name}.{key}", np.array([value], np.int64))
        for key, value in (("start", start), ("stop", stop), ("axis", 1))
    ]
    return graph.node("Slice", (x, *bounds), f"{name}.part")
