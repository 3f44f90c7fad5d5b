"""Requests and answers on the operator socket.

Layer: operator; models only.

A connection carries one request, a line of JSON, and one answer, a line of JSON; the answer to
`Ask.PICTURE` and `Ask.FILM` is followed by as many bytes as it says.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edge.anatomy import Limb  # noqa: TC001 - pydantic needs it at run time
from edge.contract.payloads import (  # noqa: TC001 - as above
    Alert,
    Latency,
    PersonName,
    Pseudonym,
    ResultId,
)
from edge.enums import StrEnum
from edge.model import (
    DISCLAIMER,
    Laterality,
    LateralitySource,
    LimbResult,
    Record,
    Subtotals,
    Versions,
)
from edge.outputs.whois import Known  # noqa: TC001 - as above
from edge.pipeline.picture.words import Caption  # noqa: TC001 - as above

REQUEST_BYTES = 4096
"""No request is longer."""
PICTURE_BYTES = 64 << 20
"""No larger picture is sent."""


class Ask(StrEnum):
    """What may be asked."""

    STATUS = "status"
    HELD = "held"
    RESULTS = "results"
    ALERTS = "alerts"
    RELEASE = "release"
    DISMISS = "dismiss"
    RETRY = "retry"
    PICTURE = "picture"
    FILM = "film"
    """The film of the result ``id``, where it still is as it was scored."""
    WHOIS = "whois"
    """What a pseudonym stands for; each question goes into the journal."""


ORDERS = frozenset({Ask.RELEASE, Ask.DISMISS, Ask.RETRY})
"""What changes a film."""


class Request(Record):
    """One request.

    ``film`` is percent-encoded: a job number, a result id, a path, or the name of a kept copy.
    ``state`` is the state folder of the appliance that is meant, where that is known.
    """

    ask: Ask
    film: str | None = Field(default=None, max_length=2048)
    limb: Limb | None = None
    side: Laterality | None = None
    person: PersonName | None = None
    job: int | None = Field(default=None, ge=1, lt=1 << 62)
    id: ResultId | None = None
    pseudonym: Pseudonym | None = None
    state: str | None = None


class HeldFilm(Record):
    """A film that waits for a person."""

    job: int
    file: str = Field(description="the scanner's name of the file")
    copy_path: str | None = Field(default=None, description="the appliance's own copy")
    reason: str
    meaning: str
    advice: str
    since: float
    age_s: float
    limb: Limb | None = Field(default=None, description="what the film seems to show")
    side: Laterality | None = None
    side_source: LateralitySource | None = None
    n_joints: int = 0
    flags: tuple[str, ...] = Field(default=(), description="e.g. what contradicts what")
    commands: dict[str, str] = Field(default={}, description="ready to be run, by what they say")


class LastResult(Record):
    """A limb whose result is in the outbox or was delivered."""

    id: str
    job: int
    at: float
    file: str
    status: str
    limb: Limb | None
    side: Laterality | None
    side_source: LateralitySource | None
    subtotals: Subtotals | None
    n_scored: int
    n_expected: int
    flags: tuple[str, ...] = ()
    reason: str | None = None
    machine_ms: float | None = Field(
        description="from pick-up to the result; no waiting for people"
    )
    delivery: Literal["waits", "delivered", "set aside"]
    has_picture: bool


class Refused(Record):
    """A film that was rejected."""

    job: int
    file: str
    reason: str
    meaning: str
    advice: str
    at: float


class Decision(Record):
    """What an operator ordered."""

    at: float
    job: int
    operator: str
    what: str


class Waiting(Record):
    """Films and messages that wait, and why."""

    what: Literal["in the folder", "at work", "held", "for the broker", "for the PACS"]
    count: int
    why: str


class Live(Record):
    """What only the running appliance knows."""

    presence: str
    session: int
    uptime_s: float
    folder: str
    folder_waiting: int
    in_work: int
    alerts: tuple[Alert, ...] = ()
    versions: Versions | None = None
    broker: str
    connected: bool
    latency: Latency
    """From file closed to message sent: waiting for people included."""
    worker_restarts: int = 0


class Status(Record):
    """How the appliance is; ``live`` is null where none runs."""

    schema_version: Literal[1] = 1
    at: float
    device: str
    running: bool
    state: str
    line: str
    waiting: tuple[Waiting, ...]
    held: tuple[HeldFilm, ...]
    held_total: int
    rejected: tuple[Refused, ...]
    results: tuple[LastResult, ...]
    decisions: tuple[Decision, ...]
    films: dict[str, int]
    outbox_rows: int
    outbox_oldest_s: float
    outbox_set_aside: int
    pacs_rows: int = 0
    pacs_oldest_s: float = 0.0
    pacs_set_aside: int = 0
    machine_p50_ms: float | None
    live: Live | None = None
    software: str
    notice: Literal["research use only, not a medical device"] = DISCLAIMER


class Answer(Record):
    """One answer; what was asked for, or ``error``."""

    ok: bool
    error: str = ""
    status: Status | None = None
    held: tuple[HeldFilm, ...] | None = None
    results: tuple[LastResult, ...] | None = None
    alerts: tuple[Alert, ...] | None = None
    job: int | None = None
    new_job: int | None = None
    bytes: int | None = None
    kind: str | None = None
    limbs: tuple[LimbResult, ...] = Field(
        default=(), description="what was found on the film that follows"
    )
    caption: Caption | None = Field(default=None, description="words for the film that follows")
    known: Known | None = None
    known_at: float | None = Field(default=None, description="when its latest film came")
    other_state: bool = Field(default=False, description="another appliance answers here")
