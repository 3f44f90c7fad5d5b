"""The source ``darknet`` of a recipe: a ``.cfg`` and the ``.weights`` trained with it.

Layer: export; reads the two files.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from edge.engine.passport import Role
from export.errors import ContractError, RecipeError
from export.importers.built import Built
from export.importers.darknet.cfg import Network, parse_cfg
from export.importers.darknet.graph import darknet_to_onnx
from export.importers.darknet.weights import BN_EPSILON, epsilon_notes, read_weights
from export.importers.facts import Facts
from export.importers.numpy_reference import darknet_forward, decode_heads
from export.recipe import Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from export.onnx_graph.builder import Array
    from export.recipe import Recipe

BnEpsilon = Annotated[float, Field(ge=0, le=1e-2)]


class DarknetSource(Source):
    """A Darknet ``.cfg`` and ``.weights``."""

    outputs_known: ClassVar[bool] = True

    kind: Literal["darknet"]
    cfg: str
    weights: str
    bn_epsilon: BnEpsilon = BN_EPSILON

    def reads(self) -> Mapping[str, tuple[str, ...]]:
        """Files, and the kinds of file that each may be; no bytes mark a ``.weights``."""
        return {self.cfg: ("cfg",), self.weights: ()}

    def settings(self) -> dict[str, Any]:
        """What the passport records beside the source's kind."""
        return {"bn_epsilon": self.bn_epsilon}


def build(recipe: Recipe, folder: Path) -> Built:
    """Build the detector with its boxes decoded. Raises `ExportError`."""
    source = recipe.source
    assert isinstance(source, DarknetSource)  # noqa: S101 - the row's own model
    network = read_network(recipe, folder / source.cfg)
    return build_detector(
        recipe, network, (folder / source.weights).read_bytes(), source.bn_epsilon
    )


def read_network(recipe: Recipe, cfg: Path) -> Network:
    """Parse a ``.cfg`` and check that the recipe describes it. Raises `ExportError`."""
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


def build_detector(
    recipe: Recipe,
    network: Network,
    data: bytes,
    bn_epsilon: float,
    training: dict[str, Any] | None = None,
) -> Built:
    """Build a detector from a network and the bytes of its ``.weights``. Raises `ExportError`."""
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


def facts(files: Sequence[Path]) -> Facts | None:
    """Read the facts of a ``.cfg`` and a ``.weights``. Raises `ExportError` for another network."""
    endings = {path.suffix.lower(): path for path in files}
    if {".cfg", ".weights"} != set(endings):
        return None
    cfg, weights = endings[".cfg"], endings[".weights"]
    network = parse_cfg(cfg.read_text(encoding="utf-8-sig", errors="replace"))
    if not network.heads:
        raise RecipeError(
            "the network has no [yolo] layer", where=str(cfg), fix="give a detector's .cfg"
        )
    source = (
        'kind = "darknet"',
        f"cfg = {json.dumps(cfg.name)}",
        f"weights = {json.dumps(weights.name)}",
        "bn_epsilon = 1e-06 # OpenCV's; 1e-05 for weights trained with AlexeyAB's Darknet",
    )
    channels, height, width = network.input
    classes = network.heads[0].classes
    return Facts(source, channels, height, width, "NCHW", Role.DETECT, {}, classes)
