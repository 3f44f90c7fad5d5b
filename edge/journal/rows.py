"""Delivery: a row of the outbox as it is read, and how many there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.journal.journal import Kind

if TYPE_CHECKING:
    import sqlite3

    from edge.journal.store import Store


@dataclass(frozen=True)
class Row:
    """One message to be sent."""

    row: int
    kind: Kind
    result_id: str
    job: int
    sequence: int | None
    payload: bytes
    sendings: int
    sound: bool
    """Whether the payload is the one that was written."""
    name: str = ""
    """Site, room and device under which it was made; empty where that was not kept."""


@dataclass(frozen=True)
class Depth:
    """How much waits."""

    rows: int
    oldest_s: float
    set_aside: int


def number_of(value: object) -> int:
    """Read a column that counts; 0 where a fault has changed it into something else."""
    return value if isinstance(value, int) else 0


def row_of(store: Store, found: sqlite3.Row) -> Row:
    """Read a row of the table; what a fault has changed in it must show, and end nothing."""
    payload = found["payload"] if isinstance(found["payload"], bytes) else b""
    return Row(
        row=found["row"],
        kind=Kind(found["kind"]),
        result_id=found["id"],
        job=found["job"],
        sequence=found["sequence"],
        payload=payload,
        sendings=number_of(found["sendings"]),
        sound=store.seal(found["id"], found["kind"], payload) == found["seal"],
        name=str(found["name"]),
    )
