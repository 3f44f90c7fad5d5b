"""From a recipe's source to a graph, and to the plain numpy run that checks it.

Room: export. Reads the source files that a recipe names.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.engine.passport import Role
from export.errors import ContractError, RecipeError, WeightsError
from export.importers.compact import load_compact
from export.importers.darknet import (
    Network,
    darknet_to_onnx,
    epsilon_notes,
    parse_cfg,
    read_weights,
    write_darknet_weights,
)
from export.importers.keras import add_keras_model, keras_to_onnx, output_names, read_keras
from export.importers.onnx_file import import_onnx, load_onnx, run_original
from export.importers.unet import unet_to_onnx
from export.importers.vgg import vgg_to_onnx
from export.onnx_graph.builder import GraphBuilder
from export.onnx_graph.fold import fold_batch_norms
from export.onnx_graph.opset import CEILINGS, DEFAULT_CEILING
from export.recipe import CompactSource, DarknetSource, KerasSource, OnnxSource, Recipe
from export.verification.numpy_reference import (
    darknet_forward,
    decode_heads,
    unet_forward,
    vgg_forward,
)
from export.verification.role_contract import decode_raw_heads, wanted_input

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import onnx

    from edge.model import Limb
    from export.importers.filekind import Format
    from export.onnx_graph.builder import Array


@dataclass(frozen=True)
class Built:
    """A graph before it is written.

    ``reference`` computes the outputs from the input in numpy, where there is a way to; ``heads``
    is a detector's graph before the decoding of its raw heads was appended.
    """

    model: onnx.ModelProto
    reference: Callable[[Array], Mapping[str, Array]] | None = None
    anchors: tuple[tuple[float, float], ...] = ()
    training: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    heads: onnx.ModelProto | None = None


def source_files(recipe: Recipe) -> dict[str, Format]:
    """Names of the files a recipe is made from, relative to its folder, and what each should be."""
    source = recipe.source
    files: dict[str, Format] = {}
    if isinstance(source, CompactSource):
        files |= dict.fromkeys(source.files, "compact")
        files |= {source.cfg: "cfg"} if source.cfg else {}
    elif isinstance(source, DarknetSource):
        files |= {source.cfg: "cfg", source.weights: "darknet"}
    elif isinstance(source, KerasSource):
        files |= dict.fromkeys(source.files.values() or (source.file or "",), "keras")
    else:
        files |= {source.file: "onnx"}
    if recipe.reference is not None:
        files |= {recipe.reference.file: "reference"}
    return files


def build_graph(recipe: Recipe, folder: Path) -> Built:
    """Build the graph of a recipe in ``folder``. Raises `ExportError`."""
    source = recipe.source
    if isinstance(source, CompactSource):
        return _from_compact(recipe, source, folder)
    if isinstance(source, DarknetSource):
        network = _network(recipe, folder / source.cfg)
        return _detector(recipe, network, (folder / source.weights).read_bytes(), source.bn_epsilon)
    model, reference = (
        (_from_keras(recipe, source, folder), None)
        if isinstance(source, KerasSource)
        else _from_onnx(recipe, source, folder)
    )
    anchors: tuple[tuple[float, float], ...] = ()
    heads = None
    if recipe.role is Role.DETECT and recipe.anchors:
        heads, anchors, reference = model, recipe.anchors, None
        model = decode_raw_heads(heads, recipe)
    return Built(model, reference, anchors, heads=heads)


def _from_keras(recipe: Recipe, source: KerasSource, folder: Path) -> onnx.ModelProto:
    size = (recipe.input.height, recipe.input.width)
    batch = "n" if recipe.role is Role.SCORE else 1
    if source.file is not None:
        saved = read_keras(folder / source.file)
        names = source.outputs or _default_outputs(recipe, list(output_names(saved.model)))
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


def _from_onnx(
    recipe: Recipe, source: OnnxSource, folder: Path
) -> tuple[onnx.ModelProto, Callable[[Array], Mapping[str, Array]]]:
    path = folder / source.file
    n, c, h, w = wanted_input(recipe)
    try:
        original = load_onnx(path)
        found = [item.name for item in original.graph.output]
        names = source.outputs or _default_outputs(recipe, found)
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


def _default_outputs(recipe: Recipe, found: list[str]) -> dict[str, str]:
    """Our name for the only output of a mask or detector; others keep their names."""
    detect = "raw0" if recipe.anchors else "boxes"
    ours = {Role.MASK: "mask", Role.DETECT: detect}.get(recipe.role)
    if ours is not None and len(found) == 1:
        return {ours: found[0]}
    return {name: name for name in found}


def _from_compact(recipe: Recipe, source: CompactSource, folder: Path) -> Built:
    arrays: dict[str, Array] = {}
    training: dict[str, Any] = {}
    for name in source.files:
        more, meta = load_compact(folder / name)
        twice = sorted(set(arrays) & set(more))
        if twice:
            raise WeightsError(
                f"the array {twice[0]} is in an earlier file too",
                where=str(folder / name),
                fix="name each file once in source.files",
            )
        arrays |= more
        training |= meta
    size = (recipe.input.height, recipe.input.width)
    if source.architecture == "unet":
        return _of_channels(recipe, 1, _mask(arrays, size, training))
    if source.architecture == "vgg16":
        return _of_channels(recipe, 3, _scorer(arrays, recipe.limb, size[0], training))
    cfg = folder / (source.cfg or "")
    trained_with = training.get("cfg_sha256")
    if trained_with not in (None, hashlib.sha256(cfg.read_bytes()).hexdigest()):
        raise WeightsError(
            f"the weights were trained with another .cfg than {cfg.name}",
            where=str(folder / source.files[0]),
            fix="name the .cfg of the training in source.cfg",
        )
    network = _network(recipe, cfg)
    # The same bytes and the same reader as for a researcher's own Darknet files.
    data = write_darknet_weights(network, arrays)
    return _detector(recipe, network, data, source.bn_epsilon, training)


def _mask(arrays: Mapping[str, Array], size: tuple[int, int], training: dict[str, Any]) -> Built:
    return Built(
        unet_to_onnx(arrays, size=size),
        lambda image: {"mask": unet_forward(arrays, image)},
        training=training,
    )


def _scorer(arrays: Mapping[str, Array], limb: Limb, side: int, training: dict[str, Any]) -> Built:
    return Built(
        vgg_to_onnx(arrays, limb=limb, side=side),
        lambda image: vgg_forward(arrays, image, limb),
        training=training,
    )


def _detector(
    recipe: Recipe,
    network: Network,
    data: bytes,
    bn_epsilon: float,
    training: dict[str, Any] | None = None,
) -> Built:
    weights = read_weights(network, data)

    def reference(image: Array) -> dict[str, Array]:
        outputs = darknet_forward(network, weights.arrays, image, bn_epsilon=bn_epsilon)
        return {"boxes": decode_heads(network, outputs)}

    anchors = tuple(anchor for head in network.heads for anchor in head.anchors)
    if recipe.anchors and sorted(recipe.anchors) != sorted(anchors):
        raise RecipeError(
            f"anchors differ from those of the .cfg: {anchors}",
            where=recipe.name,
            fix="remove anchors from the recipe, or correct one of the two",
        )
    return Built(
        darknet_to_onnx(network, weights.arrays, bn_epsilon=bn_epsilon),
        reference,
        anchors,
        training or {"images_seen": weights.seen},
        (*weights.notes, *epsilon_notes(network, weights.arrays, bn_epsilon)),
    )


def _network(recipe: Recipe, cfg: Path) -> Network:
    text = cfg.read_text(encoding="utf-8-sig", errors="replace")
    network = parse_cfg(text, size=(recipe.input.height, recipe.input.width))
    if network.input[0] != recipe.input.channels:
        raise ContractError(
            f"{cfg.name} takes {network.input[0]} channels, the recipe states "
            f"{recipe.input.channels}",
            where=f"{recipe.name}, input.channels",
            fix="make the two equal",
        )
    if not network.heads:
        raise ContractError(
            f"{cfg.name} has no [yolo] layer", where=recipe.name, fix="give a detector's .cfg"
        )
    classes = network.heads[0].classes
    if classes != len(recipe.classes):
        raise ContractError(
            f"{cfg.name} has {classes} classes, the recipe names {len(recipe.classes)}",
            where=f"{recipe.name}, classes",
            fix="name every class of the .cfg, in its order",
        )
    return network


def _of_channels(recipe: Recipe, channels: int, built: Built) -> Built:
    if recipe.input.channels != channels:
        raise ContractError(
            f"the network takes {channels} channels, the recipe states {recipe.input.channels}",
            where=f"{recipe.name}, input.channels",
            fix=f"set channels = {channels}",
        )
    return built
