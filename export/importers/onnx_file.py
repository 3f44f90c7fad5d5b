"""Brings any ``.onnx`` file to the form of our engines: a known opset, weights inside.

Layer: export; reads the file it is given and, from the same folder, its external data.
"""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto, external_data_helper, helper, inliner, numpy_helper

from export.errors import ContractError, LayerError, WeightsError
from export.onnx_graph.builder import implausible, nodes_of
from export.onnx_graph.fold import fold_batch_norms
from export.onnx_graph.opset import DEFAULT_CEILING, STANDARD, to_opset
from export.onnx_graph.session import open_session, run_session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from export.onnx_graph.builder import Array


def load_onnx(path: Path) -> onnx.ModelProto:
    """Read a model with its external data, which must lie in the model's own folder.

    Raises `WeightsError` naming the file or tensor, `LayerError` naming an operator that is not
    standard.
    """
    try:
        model = onnx.load_model(path, load_external_data=False)
    except OSError as error:
        raise WeightsError(
            f"cannot be read: {error.strerror}", where=str(path), fix="give the right path"
        ) from error
    except DecodeError as error:
        raise WeightsError(
            "the file is truncated or not an ONNX model",
            where=str(path),
            fix="compare its size and SHA-256 with the original; give an .onnx file",
        ) from error
    if not model.graph.node:
        raise WeightsError(
            "the file holds no operators",
            where=str(path),
            fix="compare its size and SHA-256 with the original; give an .onnx file",
        )
    _load_external(model, path)
    _check_weights(model, path)
    if model.functions:
        model = inliner.inline_local_functions(model)
    for node in nodes_of(model.graph):
        if node.domain not in STANDARD:
            raise LayerError(
                f"the operator {node.op_type} is of {node.domain}, a plugin",
                where=f"{path.name}, node {node.name or node.output[0]}",
                fix="export the model with standard operators only",
            )
    return model


def import_onnx(
    model: onnx.ModelProto,
    *,
    input_shape: tuple[int | None, int, int, int],
    layout: str = "NCHW",
    outputs: Mapping[str, str] | None = None,
    ceiling: int = DEFAULT_CEILING,
) -> onnx.ModelProto:
    """Bring a loaded model to ``image`` [batch, C, H, W] float32 and an opset up to ``ceiling``.

    ``input_shape`` is NCHW, ``None`` the free batch; ``layout`` is how the model itself takes
    images. ``outputs`` maps our output names to the model's; without it they keep their names.
    The opset is 13, with ir_version 8, where the graph does not need a newer one. Raises
    `ContractError` or `LayerError` naming operator, axis or tensor.
    """
    work = onnx.ModelProto()
    work.CopyFrom(model)
    constants = {item.name for item in work.graph.initializer}
    constants |= {item.values.name for item in work.graph.sparse_initializer}
    images = [value for value in work.graph.input if value.name not in constants]
    if len(images) != 1:
        raise ContractError(
            f"it has {len(images)} inputs: {', '.join(value.name for value in images)}",
            where="model",
            fix="export a model with one image input",
        )
    _fix_input(images[0], input_shape, layout)
    image = onnx.ValueInfoProto()
    image.CopyFrom(images[0])
    del work.graph.input[:]
    work.graph.input.append(image)
    work = to_opset(work, ceiling)
    chosen = outputs or {value.name: value.name for value in work.graph.output}
    _choose_outputs(work.graph, chosen)
    new_names = {source: name for name, source in chosen.items()}
    _rename(work.graph, {image.name: "image", **new_names})
    work = _with_shapes(work)
    if layout == "NHWC":
        _turn_to_channels_first(work.graph)
    work = fold_batch_norms(_with_shapes(work))
    _name_nodes(work.graph)
    _complete_outputs(work)
    try:
        onnx.checker.check_model(work, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise LayerError(
            f"ONNX's own checker refuses it: {str(error).splitlines()[0]}",
            where="model",
            fix="export the model again with a newer exporter, or with opset_version=17",
        ) from error
    return work


def run_original(model: onnx.ModelProto, image: Array) -> dict[str, Array]:
    """Outputs by name of a model as it was loaded, run by ONNX Runtime.

    Raises `LayerError` where ONNX Runtime cannot run it.
    """
    return run_session(open_session(model.SerializeToString()), image)


def _check_weights(model: onnx.ModelProto, path: Path) -> None:
    for tensor in model.graph.initializer:
        # Vectors may hold limits and masks, which are infinite by intent.
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        if implausible(numpy_helper.to_array(tensor)).any():
            raise WeightsError(
                "a value is not finite, or too large to be trained",
                where=f"{path.name}, tensor {tensor.name}",
                fix="copy the file again and compare its SHA-256",
            )


def _name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a name of its own: precision is chosen and reported by name."""
    taken: set[str] = set()
    for node in graph.node:
        name = node.name or next(name for name in node.output if name)
        while name in taken:
            name += "'"
        node.name = name
        taken.add(name)


def _load_external(model: onnx.ModelProto, path: Path) -> None:
    folder = path.resolve().parent
    for tensor in external_data_helper._get_all_tensors(model):  # noqa: SLF001
        if not external_data_helper.uses_external_data(tensor):
            continue
        place = next((e.value for e in tensor.external_data if e.key == "location"), "")
        where = f"{path.name}, tensor {tensor.name}"
        outside = (
            not place
            or PurePosixPath(place).is_absolute()
            or PureWindowsPath(place).is_absolute()
            or ".." in PureWindowsPath(place).parts
            or folder not in (folder / place).resolve().parents
        )
        if outside:
            raise WeightsError(
                f"its data lie outside the model's folder: {place!r}",
                where=where,
                fix="save the model with its weights inside, or beside it",
            )
        if not (folder / place).is_file():
            raise WeightsError(
                f"its data file {place} is missing",
                where=where,
                fix=f"copy {place} into the folder of {path.name}",
            )
        try:
            external_data_helper.load_external_data_for_tensor(tensor, str(folder))
        except (OSError, ValueError, onnx.checker.ValidationError) as error:
            raise WeightsError(
                f"its data in {place} cannot be read: {error}", where=where, fix="copy it again"
            ) from error
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]
        if _stored_bytes(tensor) != len(tensor.raw_data):
            raise WeightsError(
                f"{place} gives {len(tensor.raw_data)} of {_stored_bytes(tensor)} bytes",
                where=where,
                fix=f"copy {place} again: it is cut short",
            )


def _stored_bytes(tensor: onnx.TensorProto) -> int:
    count = 1
    for side in tensor.dims:
        count *= side
    return count * int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def _fix_input(
    value: onnx.ValueInfoProto, shape: tuple[int | None, int, int, int], layout: str
) -> None:
    kind = value.type.tensor_type
    where = f"input {value.name}"
    if kind.elem_type != TensorProto.FLOAT:
        raise ContractError(
            f"it is {TensorProto.DataType.Name(kind.elem_type)}, not FLOAT",
            where=where,
            fix="export the model with a float32 input",
        )
    n, c, h, w = shape
    wanted = (n, c, h, w) if layout == "NCHW" else (n, h, w, c)
    if len(kind.shape.dim) != len(wanted):
        raise ContractError(
            f"it has {len(kind.shape.dim)} axes, an image has 4",
            where=where,
            fix="export a model that takes a batch of images",
        )
    for axis, (side, size) in enumerate(zip(kind.shape.dim, wanted, strict=True)):
        free = not side.HasField("dim_value")
        if free and axis > 0:
            raise ContractError(
                f"axis {axis} is dynamic ({side.dim_param or 'unnamed'})",
                where=where,
                fix=f"export the model with axis {axis} fixed to {size}",
            )
        if not free and side.dim_value != size:
            asked = "free (dynamic)" if size is None else str(size)
            raise ContractError(
                f"axis {axis} is {side.dim_value}, the recipe needs {asked}",
                where=where,
                fix="correct input in the recipe, or export the model with that side",
            )
        if axis == 0:
            side.Clear()
            if size is None:
                side.dim_param = "n"
            else:
                side.dim_value = size


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    targets = set(names.values())

    def new(name: str) -> str:
        if name in names:
            return names[name]
        return f"{name}.inner" if name in targets else name

    for node in nodes_of(graph):
        for fields in (node.input, node.output):
            for at, name in enumerate(fields):
                fields[at] = new(name)
    for item in [*graph.initializer, *graph.input, *graph.output]:
        item.name = new(item.name)


def _choose_outputs(graph: onnx.GraphProto, outputs: Mapping[str, str]) -> None:
    known = {value.name: value for value in graph.output}
    for source in outputs.values():
        if source not in known:
            raise ContractError(
                f"there is no output {source}; there are {', '.join(known)}",
                where="model",
                fix="correct outputs in the recipe",
            )
    kept = [known[source] for source in outputs.values()]
    del graph.output[:]
    graph.output.extend(kept)


def _turn_to_channels_first(graph: onnx.GraphProto) -> None:
    """Put Transposes at both ends of a graph that takes and gives images channels last."""
    four = [v.name for v in graph.output if len(v.type.tensor_type.shape.dim) == 4]
    _rename(graph, {"image": "image.last", **{name: f"{name}.last" for name in four}})
    sides = graph.input[0].type.tensor_type.shape.dim
    n, h, w, c = [side.dim_param or side.dim_value for side in sides]
    turn = helper.make_node("Transpose", ["image"], ["image.last"], perm=[0, 2, 3, 1])
    graph.node.insert(0, turn)
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info("image", TensorProto.FLOAT, [n, c, h, w]))
    for value in graph.output:
        if value.name.removesuffix(".last") in four:
            name = value.name.removesuffix(".last")
            graph.node.append(
                helper.make_node("Transpose", [value.name], [name], perm=[0, 3, 1, 2])
            )
            value.name = name


def _with_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise LayerError(
            f"its shapes do not fit: {str(error).splitlines()[0]}",
            where="model",
            fix="export the model again with fixed sides; onnx.checker.check_model says more",
        ) from error


def _complete_outputs(model: onnx.ModelProto) -> None:
    """Give outputs whose shape cannot be inferred the shape that a run shows.

    Inference gives up behind Loop, and behind a Reshape whose target is computed.
    """
    sides = {value.name: value.type.tensor_type.shape.dim for value in model.graph.output}
    free = not model.graph.input[0].type.tensor_type.shape.dim[0].HasField("dim_value")
    unknown = [
        value
        for value in model.graph.output
        if not value.type.tensor_type.HasField("shape")
        or any(not s.HasField("dim_value") for s in sides[value.name][1 if free else 0 :])
    ]
    if not unknown:
        return
    batch = 2 if free else 1
    shape = [side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim]
    found = run_original(model, np.zeros((batch, *shape[1:]), np.float32))
    for value in unknown:
        kind = value.type.tensor_type
        first = found[value.name].shape[:1] == (batch,) and free
        kind.shape.ClearField("dim")
        for axis, side in enumerate(found[value.name].shape):
            one = kind.shape.dim.add()
            if axis == 0 and first:
                one.dim_param = "n"
            else:
                one.dim_value = side
