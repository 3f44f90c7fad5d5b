"""The source ``keras`` of a recipe: a whole Keras model, or one model for each output.

Layer: export; reads the model files.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from edge.engine.passport import Role
from export.errors import ContractError
from export.importers.facts import DEFAULT_SIDE_PX, Facts, guess_classes, guess_role
from export.importers.filekind import kind_of
from export.importers.keras.graph import add_keras_model, keras_to_onnx, output_names
from export.importers.keras.weights import SavedModel, read_keras
from export.importers.onnx_source import default_outputs, with_decoded_heads
from export.importers.role_contract import shapes_of
from export.onnx_graph.builder import GraphBuilder
from export.onnx_graph.fold import fold_batch_norms
from export.recipe import Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import onnx

    from export.importers.built import Built
    from export.recipe import Recipe

_SCALING = frozenset({"Rescaling", "Normalization", "Subtract", "Multiply", "TrueDivide", "Divide"})


class KerasSource(Source):
    """A whole Keras model, ``.h5`` or ``.keras``, or one model an output.

    Models that begin with the same layers and arrays share them in the engine.
    """

    kind: Literal["keras"]
    file: str | None = None
    outputs: dict[str, str] = Field(
        default_factory=dict, description="our output name to the model's output layer"
    )
    files: dict[str, str] = Field(
        default_factory=dict, description="our output name to a file whose model has one output"
    )

    @model_validator(mode="after")
    def _one_way(self) -> KerasSource:
        if (self.file is None) == (not self.files) or (self.files and self.outputs):
            raise ValueError("give either file (with outputs where names differ) or files")
        return self

    def reads(self) -> Mapping[str, tuple[str, ...]]:
        """Files, and the kinds of file that each may be."""
        return dict.fromkeys(self.files.values() or (self.file or "",), ("keras",))


def build(recipe: Recipe, folder: Path) -> Built:
    """Import the model and append the decoding of raw heads. Raises `ExportError`."""
    return with_decoded_heads(recipe, _imported(recipe, folder))


def facts(files: Sequence[Path]) -> Facts | None:
    """Read the facts of one Keras file. Raises `ExportError` where it cannot be read."""
    if len(files) != 1 or (kind := kind_of(files[0])) is None or kind.key != "keras":
        return None
    (path,) = files
    saved = read_keras(path)
    entry = saved.model.layer(saved.model.inputs[0][0])
    shape = entry.config.get("batch_shape") or entry.config.get("batch_input_shape") or [None] * 4
    height, width, channels = (*shape[1:], None, None, None)[:3]
    size = (height or DEFAULT_SIDE_PX, width or DEFAULT_SIDE_PX)
    outputs = shapes_of(list(keras_to_onnx(saved, size=size).graph.output))
    role, names = guess_role(outputs, size)
    return Facts(
        ('kind = "keras"', f"file = {json.dumps(path.name)}"),
        channels or 1,
        height,
        width,
        "NCHW",
        role,
        names,
        guess_classes(role, outputs),
        _scales_itself(saved),
    )


def _scales_itself(saved: SavedModel) -> bool:
    return any(layer.kind in _SCALING for layer in saved.model.layers[:4])


def _imported(recipe: Recipe, folder: Path) -> onnx.ModelProto:
    source = recipe.source
    assert isinstance(source, KerasSource)  # noqa: S101 - the row's own model
    size = (recipe.input.height, recipe.input.width)
    batch = "n" if recipe.role is Role.SCORE else 1
    if source.file is not None:
        saved = read_keras(folder / source.file)
        names = source.outputs or default_outputs(recipe, list(output_names(saved.model)))
        return keras_to_onnx(saved, outputs=names, size=size, batch=batch)
    graph = GraphBuilder(recipe.name)
    for name, file in source.files.items():
        saved = read_keras(folder / file)
        if len(saved.model.outputs) != 1:
            raise ContractError(
                f"{file} has {len(saved.model.outputs)} outputs",
                where=f"{recipe.name}, source.files",
                fix="name a file with several outputs in source.file, with source.outputs",
            )
        outputs = {name: saved.model.outputs[0][0]}
        add_keras_model(graph, saved, outputs=outputs, size=size, batch=batch)
    return fold_batch_norms(graph.build())
