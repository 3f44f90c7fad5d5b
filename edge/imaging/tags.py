"""Reads single DICOM tags so that no malformed value ends the reading.

Layer: imaging; pure functions over a pydicom data set. pydicom decodes a value on access,
and raises then for what devices write: empty sequences, words for numbers, unknown sets of
characters. A tag that cannot be read counts as missing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement


def element(data: Dataset, keyword: str) -> DataElement | None:
    """Element of a keyword; None when it is missing or cannot be read."""
    try:
        found = data[keyword] if keyword in data else None  # noqa: SIM401 - get() swallows no error
    except Exception:  # noqa: BLE001 - pydicom raises whatever the bytes provoke
        return None
    return found


def value(data: Dataset, keyword: str) -> Any:
    """Value of a keyword as pydicom gives it; None when missing, empty or unreadable."""
    found = element(data, keyword)
    return None if found is None else found.value


def text(data: Dataset, keyword: str) -> str:
    """Text of a keyword without padding; several values are joined by blanks; else empty."""
    found = value(data, keyword)
    if found is None:
        return ""
    if isinstance(found, (list, tuple, MultiValue)):
        found = " ".join(str(part) for part in found)
    return str(found).strip(" \0\t\r\n")


def numbers(data: Dataset, keyword: str) -> tuple[float, ...]:
    """Finite numbers of a keyword; those that are none are left out."""
    found = value(data, keyword)
    if found is None or isinstance(found, bytes):
        return ()
    parts = found if not isinstance(found, str) and isinstance(found, Iterable) else [found]
    given = []
    for part in parts:
        try:
            number = float(part)
        except (TypeError, ValueError):
            continue
        if math.isfinite(number):
            given.append(number)
    return tuple(given)


def number(data: Dataset, keyword: str) -> float | None:
    """First finite number of a keyword; None when there is none."""
    return next(iter(numbers(data, keyword)), None)


def integer(data: Dataset, keyword: str) -> int | None:
    """First number of a keyword as an integer; None when there is none."""
    found = number(data, keyword)
    return None if found is None else int(found)


def items(data: Dataset, keyword: str) -> list[Dataset]:
    """Items of a sequence that hold anything; empty when it is missing or unreadable."""
    found = value(data, keyword)
    if found is None or isinstance(found, (str, bytes)) or not isinstance(found, Iterable):
        return []
    return [item for item in found if isinstance(item, Dataset) and len(item) > 0]
