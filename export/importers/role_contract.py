"""The contract of a role: names, shapes and element types of a graph's inputs and outputs.

Layer: export; pure functions over ONNX models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import onnx.compose

from edge.engine.passport import Role
from edge.pipeline.plausibility import EXCLUSIONS
from export.errors import ContractError
from export.importers.darknet.cfg import Yolo
from export.importers.darknet.graph import decoding_graph
from export.importers.darknet.sections import Section
from export.importers.vgg import NARROWING_OUTPUTS

if TYPE_CHECKING:
    from export.recipe import Recipe

Shape = tuple[int | None, ...]

BATCH = None
"""The scorer's free side: 1 to 20 crops."""


def shapes_of(values: list[onnx.ValueInfoProto]) -> dict[str, Shape]:
    """Name to shape of graph inputs or outputs; ``None`` marks a side without a number."""
    return {
        value.name: tuple(
            side.dim_value if side.HasField("dim_value") else None
            for side in value.type.tensor_type.shape.dim
        )
        for value in values
    }


def wanted_input(recipe: Recipe) -> Shape:
    """Shape of ``image`` that the recipe's role and input ask for."""
    batch = BATCH if recipe.role is Role.SCORE else 1
    return (batch, recipe.input.channels, recipe.input.height, recipe.input.width)


def decode_raw_heads(model: onnx.ModelProto, recipe: Recipe) -> onnx.ModelProto:
    """Append box decoding to a detector whose outputs are raw YOLO heads.

    Heads [1, A * (5 + classes), h, w] take the recipe's anchors in their order. Raises
    `ContractError` where heads and anchors do not fit.
    """
    fields = 5 + len(recipe.classes)
    rest = list(recipe.anchors)
    heads: list[tuple[str, Yolo]] = []
    for name, shape in shapes_of(list(model.graph.output)).items():
        channels, height, width = (*(side or 0 for side in shape[1:]), 0, 0, 0)[:3]
        count = channels // fields
        if len(shape) != 4 or channels % fields or not 0 < count <= len(rest) or not height * width:
            raise ContractError(
                f"has shape {_text(shape)}, no raw head of {fields} values for an anchor",
                where=f"{recipe.name}, tensor {name}",
                fix="list the anchors of every head; leave anchors out where boxes are decoded",
            )
        section = Section("yolo", 0, len(heads), {})
        heads.append(
            (
                name,
                Yolo(
                    section,
                    (channels, height, width),
                    tuple(rest[:count]),
                    len(recipe.classes),
                    1.0,
                    new_coords=False,
                ),
            )
        )
        del rest[:count]
    if rest:
        raise ContractError(
            f"{len(rest)} anchors are left over",
            where=f"{recipe.name}, anchors",
            fix="list as many anchors as the heads hold",
        )
    if any(name == "boxes" for name, _ in heads):
        raise ContractError(
            "a raw head is called boxes, the name of decoded rows",
            where=recipe.name,
            fix='name it otherwise in source.outputs, e.g. { head0 = "boxes" }',
        )
    decoding = decoding_graph(heads, (recipe.input.height, recipe.input.width))
    # Its operators mean the same in every opset that a graph may have.
    decoding.opset_import[0].version = model.opset_import[0].version
    decoding.ir_version = model.ir_version
    joined = onnx.compose.merge_models(
        model, decoding, io_map=[(name, f"raw.{name}") for name, _ in heads]
    )
    onnx.checker.check_model(joined, full_check=True)
    return joined


def check_contract(model: onnx.ModelProto, recipe: Recipe) -> dict[str, Shape]:
    """Return output name to shape. Raises `ContractError` naming tensor and axis."""
    graph = model.graph
    inputs, outputs = shapes_of(list(graph.input)), shapes_of(list(graph.output))
    for value in [*graph.input, *graph.output]:
        if value.type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
            raise ContractError(
                "is not float32",
                where=f"{recipe.name}, tensor {value.name}",
                fix="export the model with float32 inputs and outputs",
            )
    _check(recipe, inputs, {"image": wanted_input(recipe)})
    if recipe.role is Role.DETECT:
        _check(recipe, outputs, {"boxes": _wanted_boxes(recipe, outputs)})
    elif recipe.role is Role.MASK:
        _check(recipe, outputs, {"mask": (1, 1, recipe.input.height, recipe.input.width)})
    else:
        wanted: dict[str, Shape] = {
            "erosion": (BATCH, recipe.limb.erosion_maximum + 1),
            "narrowing": (BATCH, NARROWING_OUTPUTS),
        }
        if "exclusion" in outputs:
            wanted["exclusion"] = (BATCH, len(EXCLUSIONS))
        _check(recipe, outputs, wanted)
    return outputs


def _wanted_boxes(recipe: Recipe, outputs: dict[str, Shape]) -> Shape:
    """Return the shape of ``boxes``; an error for the layouts that other detectors export."""
    fields = 5 + len(recipe.classes)
    shape = outputs.get("boxes")
    if shape is None and any(len(other) == 4 for other in outputs.values()):
        raise ContractError(
            f"the outputs {_named(outputs)} are raw heads, not decoded boxes",
            where=recipe.name,
            fix="list the anchors of every head in the recipe, or export decoded boxes "
            f"[1, N, {fields}]",
        )
    if shape is None or shape == (1, (shape + (None,) * 2)[1], fields):
        rows = None if shape is None else shape[1]
        return (1, rows or -1, fields)
    if len(shape) == 3 and fields - 1 in shape[1:]:
        raise ContractError(
            f"has shape {_text(shape)}: {fields - 1} values a box, without objectness, as YOLOv8 "
            "and later export (or boxes after suppression)",
            where=f"{recipe.name}, tensor boxes",
            fix=f"append a transpose to [1, N, {fields - 1}] and a column of ones after column 3, "
            "so that boxes are [1, N, 5 + classes] with an objectness of 1; export without "
            "suppression (nms=False)",
        )
    if len(shape) == 3 and shape[1] == fields:
        raise ContractError(
            f"has shape {_text(shape)}: boxes run over the last axis",
            where=f"{recipe.name}, tensor boxes",
            fix=f"append a transpose to [1, N, {fields}]",
        )
    return (1, -1, fields)


def _check(recipe: Recipe, found: dict[str, Shape], wanted: dict[str, Shape]) -> None:
    for name in wanted:
        if name not in found:
            raise ContractError(
                f"there is no tensor {name}; the model has {_named(found)}",
                where=recipe.name,
                fix=f'name it in [source]: outputs = {{ {name} = "NAME IN THE MODEL" }}',
            )
    for name in found:
        if name not in wanted:
            raise ContractError(
                f"the model also has a tensor {name}, which a {recipe.role} engine does not have",
                where=f"{recipe.name}, tensor {name}",
                fix=f"choose in [source]: outputs = {{ {next(iter(wanted))} = ... }}",
            )
    for name, shape in wanted.items():
        if found[name] != shape:
            raise ContractError(
                f"has shape {_text(found[name])}, a {recipe.role} engine needs {_text(shape)}",
                where=f"{recipe.name}, tensor {name}",
                fix="correct input and classes in the recipe, or export the model with that shape",
            )


def _named(shapes: dict[str, Shape]) -> str:
    return ", ".join(f"{name} {_text(shape)}" for name, shape in shapes.items()) or "none"


def _text(shape: Shape) -> str:
    shown = ("n" if side is None else "N" if side < 0 else str(side) for side in shape)
    return f"[{', '.join(shown)}]"
