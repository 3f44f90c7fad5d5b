"""A thin builder of ONNX graphs: opset 13, ir_version 8, float32, static shapes.

Layer: export; uses ONNX and numpy; touches no file. The oldest supported engine builder, TensorRT
8.5, reads opset 13 and ir_version 8.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

OPSET = 13
IR_VERSION = 8
_IMPLAUSIBLE = 1e9

Array = npt.NDArray[np.float32]
Shape = tuple[int | str, ...]


class GraphBuilder:
    """Collects nodes and weights, then gives one checked model.

    Tensors are named by the caller's ``name``, made unique by a number where it repeats. Equal
    constants and equal nodes over equal inputs are one: two models with the same trunk share it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._taken: dict[str, int] = {}
        self._known: dict[tuple[object, ...], tuple[str, ...]] = {}

    def input(self, name: str, shape: Sequence[int | str]) -> str:
        """Declare a float32 input; a string names a free side. The same name again is the same."""
        if name in self._taken:
            return name
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))
        return self._unique(name)

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        """Store an array under ``name``; floats become float32, integers int64."""
        kind = np.float32 if np.issubdtype(array.dtype, np.floating) else np.int64
        values = np.ascontiguousarray(array, dtype=kind)
        key = ("constant", kind, array.shape, hashlib.sha256(values.tobytes()).digest())
        if key not in self._known:
            unique = self._unique(name)
            tensor = numpy_helper.from_array(values.reshape(array.shape), unique)
            self._constants.append(tensor)
            self._known[key] = (unique,)
        return self._known[key][0]

    def node(self, op: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add a node with one output and return the output's name."""
        return self.nodes(op, inputs, (name,), **attributes)[0]

    def nodes(
        self, op: str, inputs: Sequence[str], names: Sequence[str], **attributes: Any
    ) -> tuple[str, ...]:
        """Add a node with several outputs and return their names."""
        key = (op, tuple(inputs), len(names), repr(sorted(attributes.items())))
        if key not in self._known:
            self._known[key] = self._new_node(op, inputs, names, attributes)
        return self._known[key]

    def _new_node(
        self, op: str, inputs: Sequence[str], names: Sequence[str], attributes: dict[str, Any]
    ) -> tuple[str, ...]:
        outputs = tuple(self._unique(name) for name in names)
        self._nodes.append(
            helper.make_node(op, list(inputs), list(outputs), name=outputs[0], **attributes)
        )
        return outputs

    def conv(
        self,
        x: str,
        name: str,
        weight: Array,
        bias: Array,
        *,
        stride: tuple[int, int] = (1, 1),
        pads: tuple[int, int, int, int] = (0, 0, 0, 0),
        groups: int = 1,
        dilation: tuple[int, int] = (1, 1),
    ) -> str:
        """Convolution; ``weight`` [out, in / groups, kh, kw], ``pads`` top, left, bottom, right."""
        return self.node(
            "Conv",
            (x, self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", bias)),
            name,
            kernel_shape=list(weight.shape[2:]),
            strides=list(stride),
            pads=list(pads),
            group=groups,
            dilations=list(dilation),
        )

    def gemm(self, x: str, name: str, weight: Array, bias: Array) -> str:
        """Dense layer; ``weight`` [out, in]."""
        return self.node(
            "Gemm",
            (x, self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", bias)),
            name,
            transB=1,
        )

    def upsample(self, x: str, name: str, factor: tuple[int, int], kind: str = "nearest") -> str:
        """Enlarge by whole factors (height, width).

        ``nearest`` repeats pixels; ``linear`` is bilinear with half-pixel centres, as in Keras.
        """
        scales = self.constant(f"{name}.scales", np.array([1, 1, *factor], np.float32))
        if kind == "nearest":
            return self.node(
                "Resize",
                (x, "", scales),
                name,
                mode="nearest",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )
        return self.node(
            "Resize",
            (x, "", scales),
            name,
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )

    def reshape(self, x: str, name: str, shape: Sequence[int]) -> str:
        """Reshape to a fixed shape; 0 keeps a side, -1 infers one."""
        return self.node(
            "Reshape", (x, self.constant(f"{name}.shape", np.array(shape, np.int64))), name
        )

    def output(self, tensor: str, name: str, shape: Sequence[int | str]) -> None:
        """Declare ``tensor`` as an output called ``name``, which no other tensor may have."""
        if name in self._taken:
            raise ValueError(f"a tensor is called {name} already")
        self._new_node("Identity", (tensor,), (name,), {})
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))

    def build(self) -> onnx.ModelProto:
        """Return the finished model, checked by ONNX's own checker with shape inference."""
        graph = helper.make_graph(
            self._nodes, self._name, self._inputs, self._outputs, initializer=self._constants
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="sharpedge",
        )
        onnx.checker.check_model(model, full_check=True)
        return model

    def _unique(self, name: str) -> str:
        seen = self._taken.get(name, 0)
        self._taken[name] = seen + 1
        return name if seen == 0 else self._unique(f"{name}.{seen}")


def nodes_of(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Every node of a graph and of the graphs inside its nodes."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            inner = [attribute.g] if attribute.HasField("g") else []
            for part in [*inner, *attribute.graphs]:
                yield from nodes_of(part)


def fold_batch_norm(
    weight: Array,
    bias: Array | None,
    *,
    gamma: Array,
    beta: Array,
    mean: Array,
    variance: Array,
    epsilon: float,
) -> tuple[Array, Array]:
    """Weight and bias of a layer followed by batch normalisation, output channels first.

    Computed in float64: y = gamma * (x - mean) / sqrt(variance + epsilon) + beta.
    """
    factor = gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
    start = 0.0 if bias is None else bias.astype(np.float64)
    folded = weight.astype(np.float64) * factor.reshape(-1, *([1] * (weight.ndim - 1)))
    shift = (start - mean.astype(np.float64)) * factor + beta.astype(np.float64)
    return folded.astype(np.float32), shift.astype(np.float32)


def implausible(array: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Which values no training gives: none at all, infinite, or as large as a flipped exponent."""
    return np.asarray(~(np.abs(array) < _IMPLAUSIBLE))


def check_shapes(arrays: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise `WeightsError` unless ``arrays`` are exactly those of ``shapes``, all finite."""
    for name in sorted(set(shapes) | set(arrays)):
        found = arrays[name].shape if name in arrays else None
        wanted = shapes.get(name)
        if found != wanted:
            raise WeightsError(
                f"shape {found}, the network asks for {wanted}"
                if found and wanted
                else f"the array is {'not known' if found else 'missing'}",
                where=name,
                fix="export weights that were trained for this architecture",
            )
        if implausible(arrays[name]).any():
            raise WeightsError(
                "a value is not finite, or too large to be trained",
                where=name,
                fix="take the last good checkpoint",
            )
