"""The choice of ``sharpedge tune``: for each recipe the engine and threads that were fastest.

Layer: engine; reads and writes one file, ``tuned.json``, beside the passports. It is signed under
the device's key, and holds only for the processor and the libraries that it was measured with.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import platform
from importlib import metadata
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationError

from edge.engine.backend_table import BACKENDS, is_installed
from edge.engine.installed import Refusal
from edge.model import DISCLAIMER, Record
from edge.system.files import write_whole
from edge.system.processor import processor_name, usable_cores

if TYPE_CHECKING:
    from pathlib import Path

TUNED_NAME = "tuned.json"
FIX = "sharpedge tune"


class TunedEngine(Record):
    """The engine that serves a recipe, and how it was measured beside the others."""

    stem: str
    threads: int = Field(ge=1, description="inside one run")
    p50_ms: float = Field(description="median of one run, in turns with the other engines")


class Tuned(Record):
    """What ``tuned.json`` holds; ``engines`` maps a recipe to its engine."""

    schema_version: Literal[1] = 1
    machine: dict[str, str]
    engines: dict[str, TunedEngine]
    measured_at: str = Field(description="UTC, ISO 8601")
    notice: Literal["research use only, not a medical device"] = DISCLAIMER
    hmac: str = Field(default="", description="HMAC-SHA256 under the device's key")


def machine_identity() -> dict[str, str]:
    """What a measurement depends on: processor, cores, and versions of the back ends' libraries."""
    found = {
        "processor": processor_name(),
        "architecture": platform.machine(),
        "cores": str(usable_cores()),
    }
    for name, row in BACKENDS.items():
        if is_installed(name):
            try:
                found[name] = metadata.version(row.module)
            except metadata.PackageNotFoundError:
                found[name] = "installed"
    return found


def write_tuned(folder: Path, tuned: Tuned, key: bytes) -> None:
    """Sign a choice under ``key`` and put it beside the passports, whole."""
    signed = tuned.model_copy(update={"hmac": _mac(tuned, key)})
    write_whole(
        folder / TUNED_NAME, (signed.model_dump_json(indent=1) + "\n").encode(), durable=True
    )


def read_tuned(folder: Path, key: bytes) -> tuple[Tuned | None, Refusal | None]:
    """Return the choice that holds on this machine, or why the one that is there does not.

    Both are None where there is none, and where it was measured on another processor or with
    other libraries: nothing is wrong then, it only has to be measured again.
    """
    path = folder / TUNED_NAME
    try:
        tuned = Tuned.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None, None
    except (OSError, ValidationError):
        return None, Refusal(path.stem, f"{path}: the tuned choice cannot be read", FIX)
    if not hmac.compare_digest(tuned.hmac, _mac(tuned, key)):
        why = f"{path}: the signature of the tuned choice is not this device's"
        return None, Refusal(path.stem, why, FIX)
    return (tuned if tuned.machine == machine_identity() else None), None


def _mac(tuned: Tuned, key: bytes) -> str:
    fields = tuned.model_dump(mode="json", exclude={"hmac"})
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hmac.new(key, b"tuned choice\0" + text.encode(), hashlib.sha256).hexdigest()
