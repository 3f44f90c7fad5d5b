"""The source ``compact`` of a recipe: the weights that this package's training saves.

Layer: export; reads the weights files and, for a detector, its ``.cfg``.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from edge.engine.passport import Role
from export.errors import ContractError, WeightsError
from export.importers.built import Built
from export.importers.compact import load_compact
from export.importers.darknet import BN_EPSILON, write_darknet_weights
from export.importers.darknet_source import BnEpsilon, build_detector, read_network
from export.importers.numpy_reference import unet_forward, vgg_forward
from export.importers.unet import unet_to_onnx
from export.importers.vgg import vgg_to_onnx
from export.recipe import Source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge.anatomy import Limb
    from export.onnx_graph.builder import Array
    from export.recipe import Recipe

_ROLES = {"yolov3": Role.DETECT, "unet": Role.MASK, "vgg16": Role.SCORE}


class CompactSource(Source):
    """Our own compact weights; ``files`` are joined, so that engines can share a trunk."""

    outputs_known: ClassVar[bool] = True

    kind: Literal["compact"]
    architecture: Literal["yolov3", "unet", "vgg16"]
    files: Annotated[tuple[str, ...], Field(min_length=1)]
    cfg: str | None = Field(default=None, description="Darknet .cfg; needed by yolov3")
    bn_epsilon: BnEpsilon = BN_EPSILON

    @model_validator(mode="after")
    def _cfg_with_yolov3(self) -> CompactSource:
        if (self.cfg is not None) != (self.architecture == "yolov3"):
            raise ValueError("cfg is needed by architecture yolov3, and by no other")
        return self

    def reads(self) -> Mapping[str, tuple[str, ...]]:
        """Files, and the kinds of file that each may be."""
        return dict.fromkeys(self.files, ("npz",)) | ({self.cfg: ("cfg",)} if self.cfg else {})

    def check_role(self, role: Role, layout: str) -> None:
        """Raise `ValueError` for a role that the architecture does not have."""
        if role is not _ROLES[self.architecture]:
            raise ValueError(f"{self.architecture} cannot {role}")
        if layout != "NCHW":
            raise ValueError("compact weights are laid out NCHW")

    def settings(self) -> dict[str, Any]:
        """What the passport records beside the source's kind."""
        return {"bn_epsilon": self.bn_epsilon}


def build(recipe: Recipe, folder: Path) -> Built:
    """Build the graph of a shipped architecture. Raises `ExportError`."""
    source = recipe.source
    assert isinstance(source, CompactSource)  # noqa: S101 - the row's own model
    arrays: dict[str, Array] = {}
    training: dict[str, Any] = {}
    for name in source.files:
        more, meta = load_compact(folder / name)
        fits = meta.get("fits_trunk")
        if fits is not None and fits not in _digests(folder, source):
            raise WeightsError(
                "it was trained on the features of another trunk",
                where=str(folder / name),
                fix="train it on this trunk (sharpedge train exclusions --trunk), or leave it out "
                "of source.files",
            )
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
    network = read_network(recipe, cfg)
    # The same bytes and the same reader as for a researcher's own Darknet files.
    data = write_darknet_weights(network, arrays)
    return build_detector(recipe, network, data, source.bn_epsilon, training)


def _digests(folder: Path, source: CompactSource) -> set[str]:
    """SHA-256 of each file of a source that is there."""
    paths = (folder / name for name in source.files)
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.is_file()}


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


def _of_channels(recipe: Recipe, channels: int, built: Built) -> Built:
    if recipe.input.channels != channels:
        raise ContractError(
            f"the network takes {channels} channels, the recipe states {recipe.input.channels}",
            where=f"{recipe.name}, input.channels",
            fix=f"set channels = {channels}",
        )
    return built
