"""A string enumeration for every Python that is supported.

Layer: vocabulary; imports nothing of ours.
"""

from __future__ import annotations

from enum import Enum


class StrEnum(str, Enum):
    """A string enumeration that prints as its value (`enum.StrEnum` needs Python 3.11)."""

    def __str__(self) -> str:
        return str(self.value)
