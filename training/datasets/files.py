"""Files of a data set: film files by name, and text in any encoding.

Layer: training.datasets; reads files below the folder it is given, and nothing outside it.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.errors import FilmError
from edge.imaging.decode import decode_film
from edge.pipeline.settings import PipelineSettings
from training.datasets.truth import Code, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.model import Radiograph

FILM_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".dcm", ".dicom"})
MASK_FOLDER = "masks"
MASK_ENDING = "_mask"
TEXT_LIMIT_BYTES = 256 << 20
"""Larger files are refused."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_NOTHING = frozenset({"", "na", "n/a", "nan", ".", "-", "null", "none"})


class Films:
    """Film files below a folder, found by name, with or without ending."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._by_name: dict[str, list[Path]] = {}
        self.all: list[Path] = []
        for path in walk(folder):
            if path.suffix.lower() in FILM_ENDINGS and not is_mask(path, folder):
                self.all.append(path)
                for key in {path.name.casefold(), path.stem.casefold()}:
                    self._by_name.setdefault(key, []).append(path)

    def named(self, name: str) -> Path | None:
        """The film of that name; with several in different folders the first."""
        base = re.split(r"[/\\]", name)[-1].casefold()
        found = self._by_name.get(base) or self._by_name.get(base.rpartition(".")[0])
        return found[0] if found else None

    def every(self, stem: str) -> list[Path]:
        """Every film of a stem: the same limb as .jpg and .dcm, or in two folders."""
        return self._by_name.get(stem.casefold(), [])


def walk(folder: Path) -> Iterator[Path]:
    """Files below a folder, sorted, none that is hidden. A film may be a link; a folder may not."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.is_file():
            yield path


def is_mask(path: Path, folder: Path) -> bool:
    """Whether a picture is a mask and no film: ``STEM_mask.png``, or one in ``masks/``."""
    inside = path.relative_to(folder).parent.parts
    return path.suffix.lower() == ".png" and (
        path.stem.lower().endswith(MASK_ENDING) or MASK_FOLDER in (part.lower() for part in inside)
    )


def shown(path: Path, folder: Path) -> str:
    """A path as a report prints it: relative to the data set."""
    return path.relative_to(folder).as_posix()


def read_text(path: Path, faults: list[Fault], folder: Path) -> str:
    """Text of a file whatever wrote it (UTF-8, UTF-16, Windows), without its byte order mark.

    Empty, with a fault, where it cannot be read.
    """
    try:
        large = path.stat().st_size > TEXT_LIMIT_BYTES
        data = b"" if large else path.read_bytes()
    except OSError as error:
        why = error.strerror
        faults.append(Fault(Code.NOT_UNDERSTOOD, shown(path, folder), f"cannot be read: {why}"))
        return ""
    if large:
        why = f"over {TEXT_LIMIT_BYTES >> 20} MiB are no table or annotation"
        faults.append(Fault(Code.NOT_UNDERSTOOD, shown(path, folder), why))
    marks = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"),
             (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
    encoding = next((name for mark, name in marks if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def read_table(text: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header and numbered rows of a table separated by comma, semicolon or tab.

    Raises ValueError where the text is no table.
    """
    text = text.replace("\0", "")
    first = text.lstrip("\r\n").partition("\n")[0]
    separator = max(",;\t", key=first.count)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]
    except csv.Error as error:
        raise ValueError(str(error)) from error
    if not rows:
        return [], []
    return rows[0][1], rows[1:]


def number(text: object) -> float | None:
    """A finite number as a person writes it, decimal comma included; ``None`` for any other."""
    if isinstance(text, bool):
        return None
    if isinstance(text, int | float):
        try:
            value = float(text)
        except OverflowError:
            return None
        return value if math.isfinite(value) else None
    if not isinstance(text, str):
        return None
    plain = text.strip().replace(",", ".", 1)
    if not _NUMBER.fullmatch(plain) or len(plain) > 40:
        return None
    value = float(plain)
    return value if math.isfinite(value) else None


def grade(
    given: object, maximum: int, where: str, patient: str | None, faults: list[Fault]
) -> int | None:
    """A grade of 0..``maximum``; ``None`` for an empty cell, and with a fault for any other one."""
    if given is None or (isinstance(given, str) and given.strip().casefold() in _NOTHING):
        return None
    value = number(given)
    if value is None or value != int(value) or not 0 <= value <= maximum:
        faults.append(
            Fault(
                Code.IMPOSSIBLE_SCORE,
                where,
                f"{str(given)[:40]!r} is no whole number of 0 to {maximum}",
                patient,
            )
        )
        return None
    return int(value)


@dataclass(frozen=True)
class Decoded:
    """A film with the hash of its bytes."""

    film: Radiograph
    sha256: str


def decode(path: Path) -> Decoded:
    """Read and decode one film. Raises `FilmError`, or OSError where it cannot be read."""
    data = path.read_bytes()
    film = decode_film(data, path.name, PipelineSettings().max_megapixels)
    return Decoded(film, hashlib.sha256(data).hexdigest())


def decode_or_fault(path: Path, folder: Path, faults: list[Fault]) -> Decoded | None:
    """`decode`, with a fault instead of an error."""
    try:
        return decode(path)
    except (FilmError, OSError) as error:
        faults.append(Fault(Code.FILM_DAMAGED, shown(path, folder), str(error)))
        return None
