"""Engine recipes: TOML files that describe a model's source, input and outputs.

Layer: export; reads one recipe. Paths in it are relative to its folder. An unknown key is an error
that names it.
"""

from __future__ import annotations

import pkgutil
import sys
from functools import reduce
from operator import or_
from pathlib import Path  # noqa: TC003
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from edge.anatomy import JointClass, Limb  # noqa: TC001 - pydantic needs it at run time
from edge.engine.passport import Role
from edge.model import Record
from export.errors import RecipeError
from export.importer_table import IMPORTERS

if TYPE_CHECKING:
    from collections.abc import Mapping


if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Source(Record):
    """Where the weights come from: the section ``[source]``; each importer has a model of it.

    See `export.importer_table.IMPORTERS`. ``outputs_known`` is true where the importer makes the
    outputs in the engine's own form; a recipe then declares no meaning of them.
    """

    outputs_known: ClassVar[bool] = False

    kind: str
    sha256: dict[str, Sha256] = Field(default_factory=dict)
    """File name to the SHA-256 it must have; a file not named here is only recorded."""

    def reads(self) -> Mapping[str, tuple[str, ...]]:
        """Files, and the kinds of file that each may be; see `export.importers.filekind.Kind`.

        A file of no known kind is always read.
        """
        raise NotImplementedError

    def check_role(self, role: Role, layout: str) -> None:
        """Raise `ValueError` where the source cannot have a role or an input layout."""

    def settings(self) -> dict[str, Any]:
        """What the passport records beside the source's kind."""
        return {}


def _of_kind(value: object) -> object:
    """Validate ``[source]`` by the model of its ``kind``."""
    if isinstance(value, Source):
        return value
    models: Any = [pkgutil.resolve_name(row.source) for row in IMPORTERS.values()]
    union: Any = Annotated[reduce(or_, models), Field(discriminator="kind")]
    return TypeAdapter(union).validate_python(value)


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
    source: Annotated[SerializeAsAny[Source], BeforeValidator(_of_kind)]
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
        if self.meaning != Meaning() and (self.anchors or self.source.outputs_known):
            raise ValueError("meaning belongs to keras and onnx sources without anchors")
        return self

    @model_validator(mode="after")
    def _fits_role(self) -> Recipe:
        if (self.role is Role.DETECT) != bool(self.classes):
            raise ValueError("classes belong to the role detect, and to no other")
        self.source.check_role(self.role, self.input.layout)
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
