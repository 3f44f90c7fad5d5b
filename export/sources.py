"""From a recipe's source to a graph, and to the plain numpy run that checks it.

Room: export. Reads the source files that a recipe names.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from export.compact import load_compact
from export.darknet import (
    Network,
    darknet_to_onnx,
    parse_cfg,
    read_weights,
    write_darknet_weights,
)
from export.errors import ContractError, LayerError, RecipeError, WeightsError
from export.recipe import CompactSource, DarknetSource, Recipe
from export.reference import darknet_forward, decode_heads, unet_forward, vgg_forward
from export.unet import unet_to_onnx
from export.vgg import vgg_to_onnx

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import onnx

    from edge.model import Limb
    from export.graph import Array


@dataclass(frozen=True)
class Built:
    """A graph before it is written.

    ``reference`` computes the outputs from the input in numpy, where there is a way to.
    """

    model: onnx.ModelProto
    reference: Callable[[Array], Mapping[str, Array]] | None = None
    anchors: tuple[tuple[float, float], ...] = ()
    training: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def source_files(recipe: Recipe) -> tuple[str, ...]:
    """Names of the files a recipe is made from, relative to its folder."""
    source = recipe.source
    if isinstance(source, CompactSource):
        return (*source.files, *((source.cfg,) if source.cfg else ()))
    if isinstance(source, DarknetSource):
        return (source.cfg, source.weights)
    return (source.file,)


def build_graph(recipe: Recipe, folder: Path) -> Built:
    """Build the graph of a recipe in ``folder``. Raises `ExportError`."""
    source = recipe.source
    if isinstance(source, CompactSource):
        return _from_compact(recipe, source, folder)
    if isinstance(source, DarknetSource):
        network = _network(recipe, folder / source.cfg)
        return _detector(recipe, network, (folder / source.weights).read_bytes(), source.bn_epsilon)
    raise LayerError(
        f"sources of kind {source.kind} are not read yet", where=recipe.name, mend="use darknet"
    )


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
                mend="name each file once in source.files",
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
            mend="name the .cfg of the training in source.cfg",
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
            mend="remove anchors from the recipe, or correct one of the two",
        )
    return Built(
        darknet_to_onnx(network, weights.arrays, bn_epsilon=bn_epsilon),
        reference,
        anchors,
        training or {"images_seen": weights.seen},
        weights.notes,
    )


def _network(recipe: Recipe, cfg: Path) -> Network:
    text = cfg.read_text(encoding="utf-8-sig", errors="replace")
    network = parse_cfg(text, size=(recipe.input.height, recipe.input.width))
    if network.input[0] != recipe.input.channels:
        raise ContractError(
            f"{cfg.name} takes {network.input[0]} channels, the recipe states "
            f"{recipe.input.channels}",
            where=f"{recipe.name}, input.channels",
            mend="make the two equal",
        )
    if not network.heads:
        raise ContractError(
            f"{cfg.name} has no [yolo] layer", where=recipe.name, mend="give a detector's .cfg"
        )
    classes = network.heads[0].classes
    if classes != len(recipe.classes):
        raise ContractError(
            f"{cfg.name} has {classes} classes, the recipe names {len(recipe.classes)}",
            where=f"{recipe.name}, classes",
            mend="name every class of the .cfg, in its order",
        )
    return network


def _of_channels(recipe: Recipe, channels: int, built: Built) -> Built:
    if recipe.input.channels != channels:
        raise ContractError(
            f"the network takes {channels} channels, the recipe states {recipe.input.channels}",
            where=f"{recipe.name}, input.channels",
            mend=f"set channels = {channels}",
        )
    return built
