"""The passport of an engine: a JSON file with its role, input, origin, hashes and signature.

Layer: engine; reads a passport and the engine file beside it. The builders write passports with the
same model and sign them under the device's key: a hash alone does not stop someone who edits both
files. `open_engine` is the only way to an engine's bytes, and it checks them before anything parses
them, because a TensorRT plan is executable.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - pydantic looks annotations up
from typing import Annotated, Any, Literal

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from edge.anatomy import Limb  # noqa: TC001 - pydantic needs it at run time
from edge.engine.backend_table import BACKENDS, REFERENCE, Precision
from edge.enums import StrEnum
from edge.errors import EngineError
from edge.model import DISCLAIMER, Record

FIX = "sharpedge export"


class Role(StrEnum):
    """What an engine does in the pipeline."""

    MASK = "mask"
    DETECT = "detect"
    SCORE = "score"


class _RowName:
    """Validates a name against the rows of `BACKENDS` at the time of validation."""

    def __get_pydantic_core_schema__(
        self, source: type[str], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_known, handler(source))

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "enum": list(BACKENDS)}


def _known(value: object) -> object:
    if value in tuple(BACKENDS):
        return value
    *names, last = (f"'{name}'" for name in BACKENDS)
    expected = f"{', '.join(names)} or {last}"
    raise PydanticCustomError("enum", "Input should be {expected}", {"expected": expected})


BackendName = Annotated[str, _RowName()]
"""Name of a back end: a key of `edge.engine.backend_table.BACKENDS`."""


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
    """One class of a detector: its row index, name (`edge.anatomy.JointClass`) and meaning."""

    index: int
    name: str
    meaning: str


class SourceFile(Record):
    """A file the engine was made from."""

    file: str
    sha256: str
    bytes: int


FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class EngineFile(Record):
    """The engine beside the passport: a bare file name in the same folder."""

    file: FileName
    sha256: str
    bytes: int
    format: Literal["onnx", "plan"] = "onnx"
    precision: Precision = Precision.FP32


class KeptNode(Record):
    """A node of the FP16-typed graph that computes in FP32, and why."""

    node: str
    why: str


class HalfGraph(Record):
    """The FP16-typed sibling beside an FP32 graph, from which engines are built."""

    file: FileName
    sha256: str
    bytes: int
    half_nodes: int
    kept_fp32: tuple[KeptNode, ...]
    largest_activation: float = Field(description="over the calibration, in FP32")
    agreement: dict[str, float] = Field(
        description="largest difference of each output from FP32 when FP16 rounding is simulated"
    )


class RoundedGraph(Record):
    """How the 8-bit graph of an engine was made from its FP32 graph."""

    convolutions: int = Field(description="layers that compute in 8 bits")
    float_stages: int = Field(description="layers before the pool of this number stay FP32")
    images: int = Field(description="pictures that the limits of activations were taken from")
    difference: dict[str, float] = Field(
        description="largest difference of each output from FP32 over those pictures"
    )


class Device(Record):
    """The machine an engine was built on, as far as the engine depends on it."""

    gpu: str
    compute_capability: str
    driver: str
    cuda: str


class Build(Record):
    """How a plan was built."""

    builder: str
    version: str
    flags: tuple[str, ...]
    strongly_typed: bool
    half_tensors: int = Field(description="tensors of the network that are FP16")
    profile: tuple[int, int, int] | None = Field(description="least, best and largest batch")
    seconds: float
    peak_mib: float
    device: Device | None = Field(description="null: built where there is no GPU")


class Acceptance(Record):
    """What the acceptance gate found; an engine that was not accepted never serves."""

    accepted: bool
    reason: str = Field(description="`agrees`, or why the engine was not accepted")
    films: int = 0
    scores: int = 0
    borderline: tuple[str, ...] = Field(
        default=(), description="joints whose deciding FP32 output is too near .5 to count"
    )
    figures: dict[str, float] = Field(default_factory=dict)
    warning: str | None = None


class SiteThreshold(Record):
    """Probability from which a scorer's output counts, fitted on films that a site has graded."""

    threshold: float = Field(ge=0.05, le=0.95)
    low: float = Field(description="lower end of the 95 % interval, by patient")
    high: float
    joints: int
    films: int
    mean_error_before: float = Field(description="mean absolute error in grades, at .5")
    mean_error: float


class Passport(Record):
    """Everything about one engine. ``outputs`` maps name to shape, ``None`` the free batch."""

    schema_version: Literal[1] = 1
    name: str
    role: Role
    limb: Limb
    backend: BackendName = REFERENCE
    input: InputSpec
    outputs: dict[str, tuple[int | None, ...]]
    classes: tuple[ClassSpec, ...] = ()
    anchors: tuple[tuple[float, float], ...] = ()
    engine: EngineFile
    graph_sha256: str | None = Field(
        default=None, description="the FP32 graph that it was built from; null: it is that graph"
    )
    half: HalfGraph | None = None
    rounded: RoundedGraph | None = None
    sources: tuple[SourceFile, ...]
    build_key: str
    build: Build | None = None
    training: dict[str, Any] = Field(default_factory=dict)
    settings: dict[str, Any] = Field(default_factory=dict)
    agreement: dict[str, float] = Field(default_factory=dict)
    acceptance: Acceptance | None = None
    latency_ms: dict[str, float] = Field(
        default_factory=dict, description="measured on this machine, e.g. total_p50"
    )
    site_calibration: dict[Literal["erosion", "narrowing"], SiteThreshold] | None = Field(
        default=None, description="null: outputs count from .5, as trained"
    )
    notes: tuple[str, ...] = ()
    versions: dict[str, str]
    built_at: str = Field(default="", description="UTC, ISO 8601")
    notice: Literal["research use only, not a medical device"] = DISCLAIMER
    hmac: str = Field(default="", description="HMAC-SHA256 under the device's key")

    @property
    def graph(self) -> str:
        """SHA-256 of the FP32 graph behind the engine."""
        return self.graph_sha256 or self.engine.sha256

    @property
    def is_reference(self) -> bool:
        """Whether it is the FP32 graph itself, against which every other engine is measured."""
        return self.backend == REFERENCE and self.engine.precision is Precision.FP32

    @property
    def fix(self) -> str:
        """The command that builds the engine again."""
        if self.is_reference:
            return FIX
        return f"sharpedge build {self.name} --backend {self.backend}"


@dataclass(frozen=True)
class VerifiedEngine:
    """An engine whose passport and bytes were verified with the device's key."""

    passport: Passport
    data: bytes
    path: Path
    """Where the bytes came from, for messages."""


def passport_path(engine: Path) -> Path:
    """Path of the passport of an engine file."""
    return engine.with_suffix(".json")


def read_passport(path: Path) -> Passport:
    """Read and check a passport's form. Raises `EngineError` naming the file and the field."""
    name = path.stem
    try:
        return Passport.model_validate_json(path.read_bytes())
    except OSError as error:
        raise EngineError(
            f"{path}: the passport cannot be read: {error.strerror}", engine=name, fix=FIX
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise EngineError(
            f"{path}: no passport of this version: {field}: {first['msg']}", engine=name, fix=FIX
        ) from error


def signed(passport: Passport, key: bytes) -> Passport:
    """Return the passport with its HMAC under ``key``; the engine's hash is part of it."""
    return passport.model_copy(update={"hmac": _mac(passport, key)})


def open_engine(path: Path, key: bytes) -> VerifiedEngine:
    """Read an engine by its passport's path; nothing of it is parsed.

    Raises `EngineError` where the passport was not signed under ``key``, or the file is not the one
    that the passport describes.
    """
    passport = read_passport(path)
    engine = path.with_name(passport.engine.file)
    if not passport.hmac:
        raise EngineError(
            f"{path}: the passport is not signed", engine=passport.name, fix=passport.fix
        )
    if not hmac.compare_digest(passport.hmac, _mac(passport, key)):
        raise EngineError(
            f"{path}: the signature is not this device's: the engine was made by another account "
            "or on another device, or its passport was changed",
            engine=passport.name,
            fix=passport.fix,
        )
    try:
        data = engine.read_bytes()
    except OSError as error:
        raise EngineError(
            f"{engine}: the engine cannot be read: {error.strerror}",
            engine=passport.name,
            fix=passport.fix,
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != passport.engine.sha256:
        raise EngineError(
            f"{engine}: SHA-256 is {digest[:16]}..., its passport states "
            f"{passport.engine.sha256[:16]}...: the engine was changed or is of another build",
            engine=passport.name,
            fix=passport.fix,
        )
    return VerifiedEngine(passport, data, engine)


def _mac(passport: Passport, key: bytes) -> str:
    fields = passport.model_dump(mode="json", exclude={"hmac"})
    for name in ("rounded", "site_calibration"):
        if fields[name] is None:
            # Passports that were signed before this field existed are valid still.
            del fields[name]
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hmac.new(key, b"engine passport\0" + text.encode(), hashlib.sha256).hexdigest()
