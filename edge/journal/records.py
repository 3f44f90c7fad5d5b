"""Values that the journal takes and gives: claims, orders, rows for the outbox, a film's end.

Layer: journal; frozen types only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from edge.journal.kinds import MQTT
from edge.model import Signature

if TYPE_CHECKING:
    import sqlite3

    from edge.journal.states import State
    from edge.model import OperatorStatement

ORDERED = "order"
"""Origin of a job that a person ordered; all others come from the folder."""


@dataclass(frozen=True)
class Claim:
    """What is to be done with a film that was read.

    ``job`` is None where the file is known and its bytes are unchanged. ``work`` says whether it
    must be scored; where not, it has reached ``state``. ``deaths`` counts the worker processes that
    ended while they scored it. ``supersedes_job`` is an earlier job of the same path whose reject
    is replaced. ``same_as`` is a job that gave a result for the same bytes under another name: the
    film is then scored to check whether the new name contradicts that result.
    """

    job: int | None
    work: bool
    state: State | None = None
    deaths: int = 0
    supersedes_job: int | None = None
    same_as: int | None = None


@dataclass(frozen=True)
class Order:
    """A film that a person ordered to be scored again; its bytes are kept or still in place."""

    job: int
    path: bytes
    signature: Signature
    sha256: str
    operator: OperatorStatement | None
    deaths: int
    supersedes_job: int | None


@dataclass(frozen=True)
class Resolved:
    """Id of a limb's message; ``known`` when this very outcome is in the outbox already."""

    result_id: str
    supersedes: str | None
    known: bool


@dataclass(frozen=True)
class Parcel:
    """One row for the outbox.

    ``kind`` is a key of `edge.outputs.table.OUTPUTS`, which says what ``payload`` holds. A row that
    is ``undrawn`` names a file that is written later, and is not sent before.
    """

    kind: str
    result_id: str
    limb_index: int
    outcome: str
    payload: bytes
    destination: str = MQTT
    undrawn: bool = False


@dataclass(frozen=True)
class StudyChange:
    """New body of a study, as `edge.outputs.study` made it."""

    study: str
    body: str
    complete: bool


@dataclass(frozen=True)
class Finish:
    """A film's final state, and everything that goes out for it."""

    state: State
    reason: str | None = None
    parcels: tuple[Parcel, ...] = ()
    study: StudyChange | None = None
    stage_ms: dict[str, float] = field(default_factory=dict)


class Original(NamedTuple):
    """The scanner's own file of a job."""

    job: int
    path: bytes
    signature: Signature
    sha256: str


def signature_in(row: sqlite3.Row) -> Signature:
    """Signature of a job's file, read from its row."""
    return Signature(row["device"], row["inode"], row["size"], row["mtime_ns"], row["ctime_ns"])
