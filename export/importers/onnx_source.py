"""The source ``onnx`` of a recipe: any ``.onnx`` file that fits the contract of its role.

Layer: export; reads the model file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from edge.engine.passport import Role
from export.errors import RecipeError, WeightsError
from export.importers.built import Built
from export.importers.facts import DEFAULT_SIDE_PX, Facts, guess_classes, guess_role, wanted_files
from export.importers.filekind import kind_of
from export.importers.onnx_file import import_onnx, load_onnx, run_original
from export.importers.role_contract import decode_raw_heads, shapes_of, wanted_input
from export.onnx_graph.opset import CEILINGS, DEFAULT_CEILING
from export.recipe import Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import onnx

    from export.importers.built import Reference
    from export.onnx_graph.builder import Array
    from export.recipe import Recipe


class OnnxSource(Source):
    """Any ``.onnx`` file that keeps its role's contract."""

    kind: Literal["onnx"]
    file: str
    outputs: dict[str, str] = Field(
        default_factory=dict, description="our output name to the model's output"
    )

    def reads(self) -> Mapping[str, tuple[str, ...]]:
        """Files, and the kinds of file that each may be."""
        return {self.file: ("onnx",)}


def build(recipe: Recipe, folder: Path) -> Built:
    """Import the model and append the decoding of raw heads. Raises `ExportError`."""
    model, reference = _imported(recipe, folder)
    return with_decoded_heads(recipe, model, reference)


def with_decoded_heads(
    recipe: Recipe, model: onnx.ModelProto, reference: Reference | None = None
) -> Built:
    """Append the decoding of raw YOLO heads where the recipe lists their anchors."""
    if recipe.role is Role.DETECT and recipe.anchors:
        return Built(decode_raw_heads(model, recipe), None, recipe.anchors, heads=model)
    return Built(model, reference)


def default_outputs(recipe: Recipe, found: Sequence[str]) -> dict[str, str]:
    """Our name for the only output of a mask or detector; others keep their names."""
    detect = "raw0" if recipe.anchors else "boxes"
    ours = {Role.MASK: "mask", Role.DETECT: detect}.get(recipe.role)
    if ours is not None and len(found) == 1:
        return {ours: found[0]}
    return {name: name for name in found}


def facts(files: Sequence[Path]) -> Facts | None:
    """Read the facts of one ``.onnx`` file. Raises `ExportError` where it cannot be read."""
    if len(files) != 1 or (kind := kind_of(files[0])) is None or kind.key != "onnx":
        return None
    (path,) = files
    model = load_onnx(path)
    stored = {item.name for item in model.graph.initializer}
    image = next(
        (shape for name, shape in shapes_of(list(model.graph.input)).items() if name not in stored),
        (),
    )
    if len(image) != 4:
        raise RecipeError(
            f"its input has {len(image)} axes, an image has 4",
            where=str(path),
            fix=wanted_files(),
        )
    last = image[1] not in (1, 3) and image[3] in (1, 3)
    channels, height, width = (image[3], image[1], image[2]) if last else image[1:]
    outputs = shapes_of(list(model.graph.output))
    role, names = guess_role(outputs, (height or DEFAULT_SIDE_PX, width or DEFAULT_SIDE_PX))
    source = ('kind = "onnx"', f"file = {json.dumps(path.name)}")
    layout = "NHWC" if last else "NCHW"
    classes = guess_classes(role, outputs)
    return Facts(source, channels or 1, height, width, layout, role, names, classes)


def _imported(recipe: Recipe, folder: Path) -> tuple[onnx.ModelProto, Reference]:
    source = recipe.source
    assert isinstance(source, OnnxSource)  # noqa: S101 - the row's own model
    path = folder / source.file
    n, c, h, w = wanted_input(recipe)
    try:
        original = load_onnx(path)
        found = [item.name for item in original.graph.output]
        names = source.outputs or default_outputs(recipe, found)
        model = import_onnx(
            original,
            input_shape=(n, c or 0, h or 0, w or 0),
            layout=recipe.input.layout,
            outputs=names,
            ceiling=CEILINGS[recipe.target] if recipe.target else DEFAULT_CEILING,
        )
    except (ValueError, TypeError, KeyError, IndexError, RuntimeError, AttributeError) as error:
        # protobuf checks neither text nor enumerations when it reads, so damage shows anywhere.
        raise WeightsError(
            f"the file is damaged or not understood: {error!r}",
            where=str(path),
            fix="copy the file again; run onnx.checker on it",
        ) from error
    last = recipe.input.layout == "NHWC"

    def reference(image: Array) -> dict[str, Array]:
        given = np.ascontiguousarray(image.transpose(0, 2, 3, 1)) if last else image
        found = run_original(original, given)
        return {
            name: found[old].transpose(0, 3, 1, 2) if last and found[old].ndim == 4 else found[old]
            for name, old in names.items()
        }

    return model, reference
