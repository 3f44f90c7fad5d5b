"""Choices of the command line that are the keys of an extension table.

Layer: sharpedge; imports a table when its choices are needed.
"""

from __future__ import annotations

import pkgutil
from enum import Enum, EnumMeta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class TableKeys(EnumMeta):
    """Metaclass of an enumeration whose members are the present keys of a table.

    Typer takes the choices of an option from the members of an enumeration each time it parses a
    command line. The static method ``table`` gives the ``module:attribute`` of the table.
    """

    def __iter__(cls: Any) -> Iterator[Any]:
        keys = pkgutil.resolve_name(cls.table())
        enumeration: Any = Enum
        return iter(list(enumeration(cls.__name__, [(key, key) for key in keys], type=str)))


class BackEnd(str, Enum, metaclass=TableKeys):
    """What runs an engine; the keys of `edge.engine.backend_table.BACKENDS`."""

    @staticmethod
    def table() -> str:
        """Name the table."""
        return "edge.engine.backend_table:BACKENDS"


class Layout(str, Enum, metaclass=TableKeys):
    """Layout of a data set; the keys of `training.datasets.readers.READERS`."""

    @staticmethod
    def table() -> str:
        """Name the table."""
        return "training.datasets.readers:READERS"
