"""Darknet ``.cfg`` text to sections of keys and values.

Layer: export; pure functions over text. Reads what Darknet itself reads: sections without blank
lines between them, comments after a value, CRLF, a byte order mark, the leading number of a value,
the first of two equal keys.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from export.errors import CfgError, LayerError

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?)")
_INTEGER = re.compile(r"[+-]?\d+")
EDIT = "correct that line of the .cfg"
"""What to do about a value that cannot be read."""


@dataclass(frozen=True)
class Section:
    """One ``[name]`` block: its line, and key -> (value, line). Lines count from 1."""

    name: str
    line: int
    index: int
    """Layer number as Darknet counts (the first block after ``[net]`` is 0; ``[net]`` is -1)."""
    values: dict[str, tuple[str, int]]

    @property
    def where(self) -> str:
        """E.g. ``layer 81 [convolutional] (line 599)``."""
        return f"layer {self.index} [{self.name}] (line {self.line})"

    def integer(self, key: str, default: int | None = None) -> int:
        """Return the leading whole number of a value. Raises `CfgError` where there is none."""
        text, line = self._value(key, default)
        found = _INTEGER.match(text)
        if found is None:
            raise self.error(f"{key}={text} (line {line}) is no whole number", EDIT)
        return int(found[0])

    def number(self, key: str, default: float) -> float:
        """Return the leading number of a value. Raises `CfgError` where there is none."""
        text, line = self._value(key, default)
        found = _NUMBER.match(text)
        if found is None:
            raise self.error(f"{key}={text} (line {line}) is no number", EDIT)
        return float(found[0])

    def numbers(self, key: str) -> tuple[float, ...]:
        """Return a comma-separated list. Raises `CfgError` for an entry that is no number."""
        text, line = self._value(key, None)
        out: list[float] = []
        for part in re.split(r"[#;]", text)[0].rstrip(",").split(","):
            found = _NUMBER.match(part)
            if found is None:
                raise self.error(f"{key} (line {line}) has an entry {part!r}", EDIT)
            out.append(float(found[0]))
        return tuple(out)

    def integers(self, key: str) -> tuple[int, ...]:
        """Return a comma-separated list of whole numbers."""
        return tuple(int(v) for v in self.numbers(key))

    def word(self, key: str, default: str) -> str:
        """Return a value of letters, e.g. an activation."""
        text, _ = self._value(key, default)
        return re.split(r"[#;]", text)[0]

    def refuse(self, *keys: str) -> None:
        """Raise `LayerError` where one of the keys is set to something that changes the result."""
        for key in keys:
            if key in self.values and self.word(key, "0") not in ("0", "none"):
                raise LayerError(
                    f"{key}={self.word(key, '0')} (line {self.values[key][1]}) is not supported",
                    where=self.where,
                    fix=f"train without {key}, or convert the model to .onnx elsewhere",
                )

    def refuse_set(self, key: str) -> None:
        """Raise `LayerError` where a key is set at all: 0 is a value like any other."""
        if key in self.values:
            value, line = self.values[key]
            raise LayerError(
                f"{key}={value} (line {line}) is not supported",
                where=self.where,
                fix=f"train without {key}, or convert the model to .onnx elsewhere",
            )

    def error(self, message: str, fix: str) -> CfgError:
        """Return an error that names this section."""
        return CfgError(message, where=self.where, fix=fix)

    def _value(self, key: str, default: float | str | None) -> tuple[str, int]:
        if key in self.values:
            return self.values[key]
        if default is None:
            raise self.error(f"the key {key} is missing", f"add {key}=... to the section")
        return str(default), self.line


def read_sections(text: str) -> tuple[Section, ...]:
    """Split ``.cfg`` text into sections. Raises `CfgError` naming the line."""
    sections: list[Section] = []
    for number, raw in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        line = "".join(raw.split())
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            end = line.find("]")
            if end < 0:
                raise CfgError("a section without ]", where=f"line {number}", fix=EDIT)
            sections.append(Section(line[1:end].lower(), number, len(sections) - 1, {}))
            continue
        key, equals, value = line.partition("=")
        if not equals or not key or not sections:
            raise CfgError(
                f"{raw.strip()!r} is neither a [section], a comment nor key=value in a section",
                where=f"line {number}",
                fix=EDIT,
            )
        sections[-1].values.setdefault(key, (value, number))
    return tuple(sections)
