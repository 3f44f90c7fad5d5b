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
    """What a site has to say; None leaves a key as the example has it."""

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


def filled(answers: Answers) -> str:
    """Return the example with the answers in it, its comments kept."""
    wanted = {key: value for key, value in answers.keys().items() if value is not None}
    section, lines = "", []
    for line in shared_file(EXAMPLE).read_text(encoding="utf-8").splitlines():
        header = re.fullmatch(r"\[(\w+)\]", line)
        entry = re.match(r"(?:# )?(\w+) = ", line)
        if header:
            section = header.group(1)
        key = (section, entry.group(1)) if entry else None
        if key in wanted:
            # TOML writes text and whole numbers as JSON does.
            value = wanted.pop(key)
            text = f"{key[1]} = {json.dumps(value, ensure_ascii=False)}"
            # A default needs no line of its own. Some comments show an example, not a default.
            shown = line == f"# {text}" and value == _default(*key)
            lines.append(line if shown else text)
        else:
            lines.append(line)
    assert not wanted, wanted  # noqa: S101 - the example has a line for every key
    return "\n".join(lines) + "\n"


def _default(section: str, key: str) -> object:
    """What the configuration takes where a key is not stated."""
    model = config.Config.model_fields[section].annotation
    field = getattr(model, "model_fields", {})[key]
    return field.default


def write(path: Path, answers: Answers, *, replace: bool) -> str:
    """Write the configuration whole, once it has been read back; returns its text.

    A file that is replaced is kept beside it, with the ending ``.before-init``.

    Raises `ConfigError` where an answer cannot be used, or the file exists and is not to be
    replaced, and `OSError`.
    """
    if path.exists() and not replace:
        raise ConfigError(
            f"{path}: exists already; fix: edit it, name another file with --out, or replace it "
            "with --force"
        )
    text = filled(answers)
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
