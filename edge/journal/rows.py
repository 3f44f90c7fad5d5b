"""A row of the outbox as it is read, and how many rows wait.

Layer: journal; reads rows that are given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

    from edge.journal.chain import Chain


@dataclass(frozen=True)
class Row:
    """One message to be sent."""

    row: int
    kind: str
    result_id: str
    job: int
    sequence: int | None
    payload: bytes
    sendings: int
    sound: bool
    """Whether the seal proves id, kind, destination and payload."""
    name: str = ""
    """Site, room and device under which it was made; empty where that was not stored."""


@dataclass(frozen=True)
class Depth:
    """How many rows wait, for how long the oldest has, and how many are set aside."""

    rows: int
    oldest_s: float
    set_aside: int


def number_of(value: object) -> int:
    """Read a column that counts; 0 where a fault has changed it to another type."""
    return value if isinstance(value, int) else 0


def row_of(store: Chain, found: sqlite3.Row) -> Row:
    """Read a row of the table; values that a fault has changed raise nothing and are not sound."""
    payload = found["payload"] if isinstance(found["payload"], bytes) else b""
    return Row(
        row=found["row"],
        kind=str(found["kind"]),
        result_id=found["id"],
        job=found["job"],
        sequence=found["sequence"],
        payload=payload,
        sendings=number_of(found["sendings"]),
        sound=proves(store, found, str(found["kind"]), str(found["destination"])),
        name=str(found["name"]),
    )


def proves(store: Chain, found: sqlite3.Row, kind: str, destination: str) -> bool:
    """Whether a row's seal proves that it was written with this kind and destination."""
    payload = found["payload"]
    if not isinstance(payload, bytes):
        return False
    seal = store.seal(found["id"], kind, payload, destination=destination)
    return bool(seal == found["seal"])
