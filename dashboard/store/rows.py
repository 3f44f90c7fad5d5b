"""What every writer of rows uses: inserting once, clean text, the order of the worklist.

Layer: dashboard; writes in the transaction that it is given.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table


class Attention(IntEnum):
    """How much a row of the worklist asks for a person; higher comes first."""

    SEEN = 0
    NEW = 1
    HELD = 2


def insert_new(connection: Connection, table: Table, values: dict[str, Any]) -> bool:
    """Insert a row unless one with the same unique columns is there; whether it was inserted."""
    insert: Any = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(values).on_conflict_do_nothing()
    # PostgreSQL gives no count of rows here: what it returns says whether there is a new one.
    return connection.execute(statement.returning(*table.primary_key)).first() is not None


def printable(text: str) -> str:
    """Text without control characters, which PostgreSQL and terminals do not take."""
    return "".join(it if it.isprintable() else "\N{REPLACEMENT CHARACTER}" for it in text)
