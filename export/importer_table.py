"""The table of importers: one row for each kind of trained weights that a recipe can name.

Layer: export; imports no importer. ``docs/add-importer.md`` shows how to add one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Importer:
    """How one kind of trained weights becomes a graph.

    Attributes
    ----------
    source : str
        ``module:class``, the model of ``[source]`` in a recipe: a subclass of
        `export.recipe.Source` whose ``kind`` is the row's key.
    build : str
        ``module:function``, from a recipe and its folder to `export.importers.built.Built`.
    facts : str, optional
        ``module:function``, from files to `export.importers.facts.Facts`, or to None where they
        are not of this kind; ``sharpedge export --init`` writes a recipe from them.
    files : str
        Its files in words, for messages of ``export --init``.
    suffixes : tuple of str
        Endings that name the kind of a file whose first bytes do not, in lower case.
    """

    source: str
    build: str
    facts: str | None = None
    files: str = ""
    suffixes: tuple[str, ...] = ()


IMPORTERS: dict[str, Importer] = {
    "compact": Importer(
        source="export.importers.compact_source:CompactSource",
        build="export.importers.compact_source:build",
    ),
    "darknet": Importer(
        source="export.importers.darknet_source:DarknetSource",
        build="export.importers.darknet_source:build",
        facts="export.importers.darknet_source:facts",
        files="a Darknet .cfg and .weights",
    ),
    "keras": Importer(
        source="export.importers.keras_source:KerasSource",
        build="export.importers.keras_source:build",
        facts="export.importers.keras_source:facts",
        files="a Keras .keras or .h5",
    ),
    "onnx": Importer(
        source="export.importers.onnx_source:OnnxSource",
        build="export.importers.onnx_source:build",
        facts="export.importers.onnx_source:facts",
        files="an .onnx",
        suffixes=(".onnx",),
    ),
}
"""Importer by the ``kind`` of a recipe's source; read at call time."""
