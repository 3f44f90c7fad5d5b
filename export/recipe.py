"""Engine recipes: the TOML files that say what a model is and how it is fed.

Room: export. Reads one recipe. Paths in it are relative to its folder. An unknown key is an error
that names it.
"""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from edge.engine.passport import Role
from edge.model import JointClass, Limb, Record
from export.errors import RecipeError
from export.importers.darknet import BN_EPSILON

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Source(Record):
    sha256: dict[str, Sha256] = Field(default_factory=dict)
    """File name to the SHA-256 it must have; a file not named here is only recorded."""


class CompactSource(_Source):
    """Our own compact weights; ``files`` are joined, so that engines can share a trunk."""

    kind: Literal["compact"]
    architecture: Literal["yolov3", "unet", "vgg16"]
    files: Annotated[tuple[str, ...], Field(min_length=1)]
    cfg: str | None = Field(default=None, description="Darknet .cfg; needed by yolov3")
    bn_epsilon: Annotated[float, Field(ge=0, le=1e-2)] = BN_EPSILON

    @model_validator(mode="after")
    def _cfg_with_yolov3(self) -> CompactSource:
        if (self.cfg is not None) != (self.architecture == "yolov3"):
            raise ValueError("cfg is needed by architecture yolov3, and by no other")
        return self


class DarknetSource(_Source):
    """A Darknet ``.cfg`` and ``.weights``."""

    kind: Literal["darknet"]
    cfg: str
    weights: str
    bn_epsilon: Annotated[float, Field(ge=0, le=1e-2)] = BN_EPSILON


class KerasSource(_Source):
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


class OnnxSource(_Source):
    """Any ``.onnx`` file that keeps its role's contract."""

    kind: Literal["onnx"]
    file: str
    outputs: dict[str, str] = Field(
        default_factory=dict, description="our output name to the model's output"
    )


Source = Annotated[
    CompactSource | DarknetSource | KerasSource | OnnxSource, Field(discriminator="kind")
]


class Input(Record):
    """What the network takes: value = (pixel * scale - mean) / std, pixel 0..255, a channel."""

    layout: Literal["NCHW", "NHWC"] = "NCHW"
    channels: Annotated[int, Field(ge=1, le=4)]
    height: Annotated[int, Field(ge=8, le=4096)]
    width: Annotated[int, Field(ge=8, le=4096)]
    scale: Positive = 1 / 255
    mean: tuple[Finite, ...] = (0.0,)
    std: tuple[Positive, ...] = (1.0,)

    @model_validator(mode="after")
    def _one_or_a_channel(self) -> Input:
        if any(len(values) not in (1, self.channels) for values in (self.mean, self.std)):
            raise ValueError(f"mean and std need one value, or {self.channels}: one a channel")
        return self


class ClassMeaning(Record):
    """One class of a detector, in the order of its outputs."""

    name: JointClass
    meaning: str


class Tolerance(Record):
    """Largest difference allowed between the engine and the arrays it was made from."""

    probability: Positive = 1e-3
    box_px: Positive = 0.1


Target = Literal["tensorrt-8.5", "tensorrt-8.6", "tensorrt-10"]


class Meaning(Record):
    """What the numbers of the model's outputs mean; tested by `export.importers.meaning`."""

    grades: Literal["at-least", "each"] = Field(
        default="at-least",
        description="score: value k is P(grade >= k), ordinal; or P(grade = k), a softmax",
    )
    values: Literal["probability", "logit"] = Field(
        default="probability", description="logit: the model lacks its last activation"
    )
    boxes: Literal["px", "share"] = Field(
        default="px", description="detect: boxes in px of the input, or as shares of its sides"
    )


class Reference(Record):
    """Inputs and outputs stored by the model's own framework: `verification.reference_pair`."""

    file: str


class Recipe(Record):
    """One engine.

    ``anchors`` (w, h) in px must be those of the ``.cfg`` where there is one. Elsewhere they are
    needed by raw YOLO heads, in the order of the heads and of the anchors inside each.
    """

    name: Name
    role: Role
    limb: Limb
    source: Source
    input: Input
    classes: tuple[ClassMeaning, ...] = ()
    anchors: tuple[tuple[Positive, Positive], ...] = ()
    tolerance: Tolerance = Tolerance()
    meaning: Meaning = Meaning()
    reference: Reference | None = None
    target: Target | None = None
    """The oldest builder that must read the graph; it limits the opset of an imported model."""

    @model_validator(mode="after")
    def _meaning_fits(self) -> Recipe:
        roles = {"grades": Role.SCORE, "boxes": Role.DETECT}
        for key in self.meaning.model_fields_set & set(roles):
            if self.role is not roles[key]:
                raise ValueError(f"meaning.{key} belongs to the role {roles[key]}")
        decoded_here = self.anchors or isinstance(self.source, CompactSource | DarknetSource)
        if self.meaning != Meaning() and decoded_here:
            raise ValueError("meaning belongs to keras and onnx sources without anchors")
        return self

    @model_validator(mode="after")
    def _fits_role(self) -> Recipe:
        if (self.role is Role.DETECT) != bool(self.classes):
            raise ValueError("classes belong to the role detect, and to no other")
        if isinstance(self.source, CompactSource):
            fitting = {"yolov3": Role.DETECT, "unet": Role.MASK, "vgg16": Role.SCORE}
            if self.role is not fitting[self.source.architecture]:
                raise ValueError(f"{self.source.architecture} cannot {self.role}")
            if self.input.layout != "NCHW":
                raise ValueError("compact weights are laid out NCHW")
        if self.role is Role.SCORE and self.input.height != self.input.width:
            raise ValueError("a scorer takes square crops: height and width must be equal")
        return self


def read_recipe(path: Path) -> Recipe:
    """Parse and check a recipe. Raises `RecipeError` naming the file and the key."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(
            f"cannot be read: {error.strerror}", where=str(path), fix="give the right path"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"no TOML: {error}", where=str(path), fix="correct that line") from error
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the recipe"
        unknown = first["type"] == "extra_forbidden"
        raise RecipeError(
            f"{key}: {'unknown key' if unknown else first['msg']}",
            where=str(path),
            fix="remove it, or correct its spelling" if unknown else "correct the key",
        ) from error
