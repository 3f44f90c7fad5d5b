"""``dataset.toml``: what is special about a folder, for check and training alike.

Layer: training.datasets; reads that one file.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from edge.model import Record
from training.datasets.readers import READERS
from training.errors import TrainingError

if TYPE_CHECKING:
    from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

OPTIONS_NAME = "dataset.toml"


class Options(Record):
    """Quirks of a folder; the defaults are those of a folder without any."""

    layout: str | None = Field(default=None, description="as `--layout`")
    exclude: tuple[str, ...] = Field(
        default=(),
        description="film names, with or without ending, that are left out of everything",
    )
    swap_hallux_narrowing: bool = Field(
        default=False,
        description="RA2's early release: the narrowing of the two halluces changed places",
    )
    other_side: tuple[str, ...] = Field(
        default=(),
        description="film names whose side is wrong: the grades of the other side are theirs",
    )
    boxes: Literal["stored", "displayed"] = Field(
        default="stored",
        description="whether boxes were drawn on pixels as stored or turned as EXIF says",
    )
    classes: tuple[str, ...] = Field(
        default=(), description="YOLO text: class names in order, where no classes.txt lies there"
    )
    simulated: bool = Field(default=False, description="drawn by the simulator: no patients")
    decimal_comma: bool = Field(default=False, description="YOLO text with 0,5 for 0.5")

    @field_validator("layout")
    @classmethod
    def _known_layout(cls, layout: str | None) -> str | None:
        if layout is not None and layout not in READERS:
            *others, last = (f"'{name}'" for name in READERS)
            raise PydanticCustomError("layout", f"Input should be {', '.join(others)} or {last}")
        return layout


def read_options(folder: Path) -> Options:
    """Options of a folder; defaults where it has no ``dataset.toml``. Raises `TrainingError`."""
    path = folder / OPTIONS_NAME
    if not path.is_file():
        return Options()
    try:
        return Options.model_validate(tomllib.loads(path.read_text("utf-8-sig")))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or OPTIONS_NAME
        known = ", ".join(Options.model_fields)
        raise TrainingError(
            f"{path}: {key}: {first['msg']}", fix=f"correct it; the keys are {known}"
        ) from error
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path}: {error}", fix="correct that line") from error
