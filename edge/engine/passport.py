"""The JSON sidecar of an engine: what it is, what it takes, where it came from.

Room: engine. Reads one file. The exporter writes passports with the same model.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from edge.errors import EngineError
from edge.model import DISCLAIMER, Limb, Record, StrEnum

MEND = "sharpedge export"


class Role(StrEnum):
    """What an engine does in the pipeline."""

    MASK = "mask"
    DETECT = "detect"
    SCORE = "score"


class InputSpec(Record):
    """The one input. A value is (pixel * scale - mean) / std, pixel 0..255, a channel."""

    name: str = "image"
    layout: Literal["NCHW"] = "NCHW"
    channels: int
    height: int
    width: int
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


class ClassSpec(Record):
    """One class of a detector: its row index, name (`edge.model.JointClass`) and meaning."""

    index: int
    name: str
    meaning: str


class SourceFile(Record):
    """A file the engine was made from."""

    file: str
    sha256: str
    bytes: int


class EngineFile(Record):
    """The engine beside the passport: a bare file name in the same folder."""

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    sha256: str
    bytes: int
    format: Literal["onnx"] = "onnx"
    precision: Literal["fp32"] = "fp32"


class Passport(Record):
    """Everything about one engine. ``outputs`` maps name to shape, ``None`` the free batch."""

    schema_version: Literal[1] = 1
    name: str
    role: Role
    limb: Limb
    input: InputSpec
    outputs: dict[str, tuple[int | None, ...]]
    classes: tuple[ClassSpec, ...] = ()
    anchors: tuple[tuple[float, float], ...] = ()
    engine: EngineFile
    sources: tuple[SourceFile, ...]
    build_key: str
    training: dict[str, Any] = Field(default_factory=dict)
    settings: dict[str, Any] = Field(default_factory=dict)
    agreement: dict[str, float] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    versions: dict[str, str]
    notice: Literal["research use only, not a medical device"] = DISCLAIMER


def passport_path(engine: Path) -> Path:
    """Path of the passport of an engine file."""
    return engine.with_suffix(".json")


def read_passport(path: Path) -> Passport:
    """Read and check a passport. Raises `EngineError` naming the file and the field."""
    name = path.stem
    try:
        return Passport.model_validate_json(path.read_bytes())
    except OSError as error:
        raise EngineError(
            f"{path}: the passport cannot be read: {error.strerror}", engine=name, mend=MEND
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise EngineError(
            f"{path}: no passport of this version: {field}: {first['msg']}", engine=name, mend=MEND
        ) from error
