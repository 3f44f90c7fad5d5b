"""A file that was taken from the watched folder.

Layer: intake; a record and how it is made.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.intake.settle import unread_digest

if TYPE_CHECKING:
    from edge.errors import Reason
    from edge.intake.settle import Ready
    from edge.model import Signature


@dataclass(frozen=True)
class Film:
    """A file that was taken: its bytes, or the reason why they were not read.

    ``closed_s`` and ``picked_up_s`` are on the monotonic clock, ``closed_unix_s`` is the same
    moment as ``closed_s`` on the wall's. ``sha256`` is of the bytes; of path and size where they
    were not read.
    """

    path: bytes
    signature: Signature
    data: bytes
    sha256: str
    refusal: Reason | None
    closed_s: float
    closed_unix_s: float
    closed_source: str
    picked_up_s: float


def film_of(ready: Ready, data: bytes, refusal: Reason | None, picked_up_s: float) -> Film:
    """Give a file that is ready as a film; ``refusal`` says why its bytes were not read."""
    unread = unread_digest(ready.path, ready.signature.size)
    return Film(
        path=ready.path,
        signature=ready.signature,
        data=data,
        sha256=unread if refusal is not None else hashlib.sha256(data).hexdigest(),
        refusal=refusal,
        closed_s=ready.closing.monotonic_s,
        closed_unix_s=ready.closing.wall_s,
        closed_source=ready.source,
        picked_up_s=picked_up_s,
    )
