"""From a recipe to the graph of its source, by the importer that `IMPORTERS` names.

Layer: export; the importers read the source files.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from export.importer_table import IMPORTERS

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

    from export.onnx_graph.builder import Array
    from export.recipe import Recipe

Reference = Callable[["Array"], "Mapping[str, Array]"]
"""Computes the outputs of a graph, by name, from its input."""


@dataclass(frozen=True)
class Built:
    """A graph before it is written.

    ``reference`` computes the outputs from the input without the graph, where there is a way to;
    ``heads`` is a detector's graph before the decoding of its raw heads was appended.
    """

    model: onnx.ModelProto
    reference: Reference | None = None
    anchors: tuple[tuple[float, float], ...] = ()
    training: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    heads: onnx.ModelProto | None = None


def source_files(recipe: Recipe) -> Mapping[str, tuple[str, ...]]:
    """Files of a recipe, relative to its folder, and the kinds of file that each may be.

    A kind is a key of `export.importers.filekind.Kind`.
    """
    files = recipe.source.reads()
    if recipe.reference is not None:
        files = {**files, recipe.reference.file: ("npz",)}
    return files


def build_graph(recipe: Recipe, folder: Path) -> Built:
    """Build the graph of a recipe in ``folder``. Raises `ExportError`."""
    build = pkgutil.resolve_name(IMPORTERS[recipe.source.kind].build)
    return cast("Built", build(recipe, folder))
