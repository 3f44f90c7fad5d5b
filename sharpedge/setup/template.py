"""Writes a site's answers into the commented example configuration.

Layer: sharpedge; reads the shipped ``systemd/sharpedge.toml``, writes one file.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge import config
from edge.errors import ConfigError
from edge.system.files import write_whole
from edge.system.paths import shared_file

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = "systemd/sharpedge.toml"


@dataclass(frozen=True)
class Answers:
    """What a site has to say; None: the broker needs none, or, of ``state``, it stays."""

    name: str
    room: str
    device: str
    watch: Path
    state: Path | None = None
    host: str = "127.0.0.1"
    port: int = 1883
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    mode: str = "receipt"

    def keys(self) -> dict[tuple[str, str], object]:
        """Section and key to value."""
        paths = {
            ("folders", "watch"): self.watch,
            ("folders", "state"): self.state,
            ("broker", "password_file"): self.password_file,
            ("broker", "ca_file"): self.ca_file,
            ("broker", "certificate_file"): self.certificate_file,
            ("broker", "key_file"): self.key_file,
        }
        return {
            ("site", "name"): self.name,
            ("site", "room"): self.room,
            ("site", "device"): self.device,
            ("broker", "host"): self.host,
            ("broker", "port"): self.port,
            ("broker", "username"): self.username,
            ("delivery", "mode"): self.mode,
        } | {key: None if path is None else str(path) for key, path in paths.items()}


def filled(answers: Answers, before: str | None = None) -> str:
    """Return a configuration with the answers in it, everything else kept.

    It is ``before``, the text of an earlier one, or by default the example.
    """
    wanted = {key: value for key, value in answers.keys().items() if value is not None}
    dropped = {key for key, value in answers.keys().items() if value is None and key[0] == "broker"}
    section, lines = "", []
    text = shared_file(EXAMPLE).read_text(encoding="utf-8") if before is None else before
    for line in text.splitlines():
        header = re.fullmatch(r"\[(\w+)\]", line)
        entry = re.match(r"(?:# )?(\w+) = ", line)
        if header:
            section = header.group(1)
        key = (section, entry.group(1)) if entry else None
        if key in dropped and not line.startswith("#"):
            lines.append(f"# {line}")
        elif key in wanted:
            value = wanted.pop(key)
            stated = _entry(key[1], value)
            # A default needs no line of its own. Some comments show an example, not a default.
            shown = line == f"# {stated}" and value == _default(*key)
            lines.append(line if shown else stated)
        else:
            lines.append(line)
    return "\n".join(_with_missing(lines, wanted)) + "\n"


def _entry(key: str, value: object) -> str:
    # TOML writes text and whole numbers as JSON does.
    return f"{key} = {json.dumps(value, ensure_ascii=False)}"


def _with_missing(lines: list[str], wanted: dict[tuple[str, str], object]) -> list[str]:
    """Add entries that a file has no line for, below their section's header."""
    for (section, key), value in reversed(wanted.items()):
        if value == _default(section, key):
            continue
        header = f"[{section}]"
        if header not in lines:
            lines += ["", header]
        lines.insert(lines.index(header) + 1, _entry(key, value))
    return lines


def _default(section: str, key: str) -> object:
    """What the configuration takes where a key is not stated."""
    model = config.Config.model_fields[section].annotation
    field = getattr(model, "model_fields", {})[key]
    return field.default


def write(path: Path, answers: Answers, before: str | None = None) -> str:
    """Write the configuration whole, once it has been read back; returns its text.

    A file that is replaced is kept beside it, with the ending ``.before-init``. Raises
    `ConfigError` where an answer cannot be used, and `OSError`.
    """
    text = filled(answers, before)
    trial = path.with_name(f".{path.name}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    trial.write_text(text, encoding="utf-8")
    try:
        config.load(trial, {})
    except ConfigError as error:
        raise ConfigError(str(error).replace(f"{trial}:", f"{path}:")) from error
    finally:
        trial.unlink()
    if path.exists():
        write_whole(path.with_name(f"{path.name}.before-init"), path.read_bytes(), durable=True)
    write_whole(path, text.encode(), durable=True)
    return text
