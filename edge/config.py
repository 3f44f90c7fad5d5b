"""One validated configuration, from a TOML file and the environment.

``SHARPEDGE_<SECTION>_<KEY>`` sets or replaces one key; its value is plain text where the key takes
text, and TOML otherwise.

Layer: configuration; reads one file and the environment.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import sys
from pathlib import Path  # noqa: TC003 - pydantic needs it at run time
from typing import TYPE_CHECKING, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
)

from edge.contract.ids import DeviceName, is_topic_word
from edge.delivery.pacs.settings import PacsSettings
from edge.delivery.settings import BrokerSettings, DeliverySettings
from edge.engine.passport import BackendName  # noqa: TC001 - pydantic needs it at run time
from edge.errors import ConfigError
from edge.intake.settings import FolderSettings  # noqa: TC001 - as above
from edge.journal.settings import RetentionSettings
from edge.operator.settings import OperatorSettings
from edge.outputs.settings import JoiningSettings
from edge.pipeline.settings import PipelineSettings
from edge.receive.settings import DicomSettings
from edge.system.logs import LogFormat, LogLevel
from edge.system.paths import data_root

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo

PREFIX = "SHARPEDGE_"
OTHER_VARIABLES = frozenset({"SHARPEDGE_HOME", "SHARPEDGE_CONFIG"})
"""Variables with our prefix that are no keys of the configuration."""


class SiteSettings(BaseModel):
    """The section ``[site]``: words of every topic."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(default="site", description="first word of every topic; no patient data")
    room: str = Field(default="room", description="second word of every topic")
    device: str = Field(default="device", description="third word of every topic")

    @field_validator("name", "room", "device")
    @classmethod
    def _word(cls, value: str) -> str:
        if not is_topic_word(value):
            message = (
                "must be 1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit: "
                "it becomes part of MQTT topics"
            )
            raise ValueError(message)
        return value


class LimitSettings(BaseModel):
    """The section ``[limits]``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    stage_s: float = Field(default=12.0, gt=0, description="one stage of one film, then a restart")
    film_s: float = Field(default=60.0, gt=0, description="one film, then a restart")
    worker_start_s: float = Field(default=180.0, gt=0, description="loading the engines")
    stop_s: float = Field(default=7.0, gt=0, description="the film in hand at SIGTERM")
    max_file_mib: int = Field(default=256, ge=1, description="longer files are not read")
    held_s: float = Field(
        default=86400.0, gt=0, description="a film that is held for longer is a finding of `audit`"
    )


class WorkerSettings(BaseModel):
    """The section ``[worker]``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    factory: str = Field(
        default="edge.worker:film_scorer",
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
        description="module:function that makes the scorer from this configuration",
    )
    engines: Path | None = Field(
        default=None, description="folder of built engines; default: where `export` puts them"
    )
    count: int = Field(
        default=1,
        ge=1,
        le=8,
        description="worker processes, each with engines of its own; more than one scores several "
        "films at once where cores and memory allow",
    )
    threads: int = Field(
        default=0, ge=0, description="inside one inference; 0: all cores, divided by `count`"
    )
    backend: BackendName | None = Field(
        default=None, description="comes first whatever was measured; default: the fastest accepted"
    )
    fallback: bool = Field(
        default=True,
        description="serve from the next back end, degraded, when an engine is refused; "
        "false: do not start",
    )
    refuse: tuple[str, ...] = Field(
        default=(),
        description="SHA-256 of engine files that may not serve; the appliance adds an engine "
        "whose outputs cannot be used until it is restarted",
    )
    recheck_every: int = Field(
        default=0, ge=0, description="when idle, score one film in so many again in FP32; 0: none"
    )
    shadow: Path | None = Field(
        default=None,
        description="folder of candidate engines that score every film again when idle and "
        "publish figures alone; default: none",
    )
    memory_mib: int = Field(
        default=2048, ge=256, description="for one film, beyond what the engines take"
    )


class LogSettings(BaseModel):
    """The section ``[logs]``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    format: LogFormat = Field(
        default=LogFormat.AUTO,
        description="auto: systemd's journal with priority and fields where it is connected, else "
        "text; json: one object a line",
    )
    level: LogLevel = Field(default=LogLevel.INFO, description="the least level that is written")


class MetricsSettings(BaseModel):
    """The section ``[metrics]``: figures for Prometheus (extra ``metrics``)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    port: int = Field(default=0, ge=0, le=65535, description="HTTP port; 0: none")
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="address to listen on; another machine reads only what a proxy lets it",
    )
    textfile: Path | None = Field(
        default=None, description="file for node_exporter's textfile collector, ending in .prom"
    )
    every_s: float = Field(default=15.0, gt=0, description="pace of the textfile")


class Config(BaseModel):
    """Everything that a site may set."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    site: SiteSettings = Field(default_factory=SiteSettings)
    folders: FolderSettings
    broker: BrokerSettings = Field(default_factory=BrokerSettings)
    delivery: DeliverySettings = Field(default_factory=DeliverySettings)
    pipeline: PipelineSettings = Field(default_factory=PipelineSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    logs: LogSettings = Field(default_factory=LogSettings)
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    operator: OperatorSettings = Field(default_factory=OperatorSettings)
    dicom: DicomSettings = Field(default_factory=DicomSettings)
    pacs: PacsSettings = Field(default_factory=PacsSettings)
    joining: JoiningSettings = Field(default_factory=JoiningSettings)

    @property
    def device(self) -> DeviceName:
        """The words of our topics."""
        return DeviceName(self.site.name, self.site.room, self.site.device)

    @property
    def state_folder(self) -> Path:
        """Folder of journal, key, pictures, quarantine and archive."""
        return self.folders.state or data_root()


def load(path: Path | None, environment: Mapping[str, str] | None = None) -> Config:
    """Read and check the configuration.

    Parameters
    ----------
    path
        TOML file; None takes the environment alone.
    environment
        Variables; ``os.environ`` by default.

    Raises
    ------
    ConfigError
        Naming the file, line and key, or the variable, and what is wrong with it.
    """
    text, values = "", {}
    if path is not None:
        try:
            # Editors on Windows put a mark before the first byte.
            text = path.read_text(encoding="utf-8-sig")
            values = tomllib.loads(text)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start})") from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path}: {error}") from error
    variables = _from_environment(os.environ if environment is None else environment)
    if path is None and not variables:
        raise ConfigError(
            f"no configuration: name a file with --config, or set {PREFIX}FOLDERS_WATCH"
        )
    for (section, key), (_, value) in variables.items():
        values.setdefault(section, {})[key] = _as_field_wants(section, key, value)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        lines = [_explain(path, text, variables, it) for it in error.errors()]
        raise ConfigError("\n".join(lines)) from error


_Variables = dict[tuple[str, str], tuple[str, Any]]


def _from_environment(environment: Mapping[str, str]) -> _Variables:
    found: _Variables = {}
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in OTHER_VARIABLES:
            continue
        section, _, key = name[len(PREFIX) :].lower().partition("_")
        if section not in Config.model_fields or not key:
            raise ConfigError(
                f"environment: {name}: no such section; "
                f"names are {PREFIX}<SECTION>_<KEY>, sections {', '.join(Config.model_fields)}"
            )
        found[section, key] = (name, environment[name])
    return found


def _as_field_wants(section: str, key: str, text: str) -> Any:
    """Value of a variable: read as TOML, unless the field takes its text as it stands.

    A room that is called ``12`` is text, a port is a number; text may be quoted as in TOML.
    """
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    model = Config.model_fields[section].annotation
    field = getattr(model, "model_fields", {}).get(key)
    as_text = not isinstance(value, str) and field is not None and _takes(field, text)
    return text if as_text else value


def _takes(field: FieldInfo, text: str) -> bool:
    """Whether a field accepts a text as it stands, without any conversion."""
    try:
        TypeAdapter(field.annotation).validate_json(json.dumps(text), strict=True)  # type: ignore[arg-type]
    except ValidationError:
        return False
    return True


def _explain(path: Path | None, text: str, variables: _Variables, error: Any) -> str:
    """Put one fault into a line: where it stands, which key, what is wrong."""
    place = tuple(str(part) for part in error["loc"])
    key = ".".join(place)
    wrong = _unknown(place) if error["type"] == "extra_forbidden" else error["msg"]
    if place[:2] in variables:
        return f"environment: {variables[place[:2]][0]}: {wrong}"  # type: ignore[index]
    if path is None:
        return f"configuration: {key}: {wrong}"
    line = _line_of(text, place)
    return f"{path}:{line}: {key}: {wrong}" if line else f"{path}: {key}: {wrong}"


def _unknown(place: tuple[str, ...]) -> str:
    """Say that a section or key is not known, with the nearest that is."""
    if len(place) == 1:
        known, kind = list(Config.model_fields), "section"
    else:
        model = Config.model_fields[place[0]].annotation
        known, kind = list(getattr(model, "model_fields", {})), "key"
    near = difflib.get_close_matches(place[-1], known, 1)
    # A key under a wrong section is a common slip: say where it belongs.
    elsewhere = [
        f"{section}.{place[-1]}"
        for section, field in Config.model_fields.items()
        if place[-1] in getattr(field.annotation, "model_fields", {})
    ]
    meant = near or elsewhere[:1]
    return f"unknown {kind}" + (f"; did you mean {meant[0]}?" if meant else "")


def _line_of(text: str, place: tuple[str, ...]) -> int | None:
    """Line (from 1) where a key stands in TOML text; the nearest enclosing table if it does not."""
    table: tuple[str, ...] = ()
    best, depth = None, 0
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line)
        entry = re.match(r"\s*([\w.\"'-]+)\s*=", line)
        if header:
            table = here = _dotted(header.group(1))
        elif entry:
            here = (*table, *_dotted(entry.group(1)))
        else:
            continue
        if place[: len(here)] == here and len(here) > depth:
            best, depth = number, len(here)
    return best


def _dotted(text: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in text.split("."))
