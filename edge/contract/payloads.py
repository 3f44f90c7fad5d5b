"""Models of the JSON payloads of the MQTT contract.

Layer: contract; models only. `edge.contract.schemas` generates the published schemas from them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edge.anatomy import Limb  # noqa: TC001 - pydantic needs it at run time
from edge.enums import StrEnum
from edge.model import (
    DISCLAIMER,
    PARTIAL_SVH_NAME,
    Identifiers,
    Laterality,
    LimbResult,
    PixelSource,
    Recheck,
    Record,
    Status,
    Subtotal,
    Subtotals,
    Versions,
)

SCHEMA_VERSION = 1
Notice = Literal["research use only, not a medical device"]
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Pseudonym = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
ResultId = Annotated[str, Field(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
PersonName = Annotated[
    str,
    Field(
        pattern=r'^[^\x00-\x1f\x7f"\\]{1,64}$',
        description="who decided, as a person is called; goes into the device's journal",
    ),
]
UnixSeconds = Annotated[float, Field(description="seconds since 1970, UTC")]


class DeliveryMode(StrEnum):
    """When a result counts as delivered."""

    RECEIPT = "receipt"
    """A dashboard has answered that it stored the result."""
    PUBACK = "puback"
    """The broker has acknowledged it: weaker, a broker can lose what it acknowledged."""


class ClosedSource(StrEnum):
    """Where the ledger's ``closed`` comes from."""

    CLOSE_EVENT = "close_event"
    FIRST_SEEN = "first_seen"
    """A listing of the folder found the file; no event reported its close."""
    AT_START = "at_start"
    """The file was in the folder when the appliance started."""
    ORDERED = "ordered"
    """A person released or retried the film."""
    MTIME = "mtime"
    """The file's own time, in results of version 0.1."""


Joining = Annotated[
    Identifiers | None,
    Field(
        description="identifiers of the DICOM film that the site has switched on for this output; "
        "the key is absent where there are none"
    ),
]


class Ledger(Record):
    """When a film passed each step.

    Differences are exact: all stamps are taken from the monotonic clock and laid onto one reading
    of the wall clock. ``file_time`` is what the file's own modification time says, which a copying
    program or a scanner with a wrong clock may have set to anything.
    """

    closed: UnixSeconds
    closed_source: ClosedSource
    picked_up: UnixSeconds
    decoded: UnixSeconds | None = None
    inferred: UnixSeconds | None = None
    queued: UnixSeconds
    sent: UnixSeconds | None = Field(default=None, description="this sending, not the first")
    file_time: str | None = Field(
        default=None, description="ISO 8601, of the file itself; a note, not of this device's clock"
    )
    stage_ms: dict[str, float] = Field(default_factory=dict)
    clock_synchronised: bool = Field(
        description="whether the wall clock was known to be set; if not, only differences hold"
    )


class Envelope(Record):
    """What delivery adds to a limb's result."""

    schema_version: Literal[1] = 1
    id: ResultId
    sequence: int = Field(ge=1, description="ascends per device; order by this")
    site: str
    room: str
    device: str
    job: int = Field(ge=1, description="number in this device's journal and log")
    film_sha256: Hash
    study: Pseudonym
    patient: Pseudonym | None = None
    identifiers: Joining = None
    supersedes: ResultId | None = Field(default=None, description="earlier result to be replaced")
    historical: bool = Field(description="older than the site's limit when sent")
    sending: int = Field(ge=1, description="1 for the first sending, counts repeats")
    ledger: Ledger


class ResultMessage(LimbResult, Envelope):
    """Topic ``result``: one limb that was scored, or found and not graded.

    Of a limb that is ``not_graded`` every grade and the subtotals are null; ``reason`` is the
    commonest reason of its joints.
    """

    status: Literal[Status.SCORED, Status.NOT_GRADED]


class RejectMessage(LimbResult, Envelope):
    """Topic ``reject``: one limb that was held or rejected, with reason and advice."""

    status: Literal[Status.HELD, Status.REJECTED]
    reason: str


class Presence(StrEnum):
    """What the appliance says of itself."""

    STARTING = "starting"
    """The engines are being loaded; films wait."""
    ONLINE = "online"
    OFFLINE = "offline"
    DEGRADED = "degraded"
    """It works, but not as it should; ``alerts`` say why."""
    UNFIT = "unfit"
    """No engine gives grades that may be used; films wait and no score is published."""


class Alert(Record):
    """Something that a person must see to; repeated until it has passed."""

    code: str
    detail: str


class StateMessage(Record):
    """Topic ``state``, retained: birth, will and every change of the appliance's condition."""

    schema_version: Literal[1] = 1
    state: Presence
    session: int = Field(ge=1, description="counts the appliance's starts")
    site: str
    room: str
    device: str
    since: UnixSeconds
    protocol: Literal["5", "3.1.1"]
    delivery: DeliveryMode
    versions: Versions | None = Field(default=None, description="null until the engines are loaded")
    alerts: tuple[Alert, ...] = ()
    journal_row: int = Field(default=0, ge=0)
    journal_head: str = ""
    notice: Notice = DISCLAIMER


class Latency(Record):
    """Milliseconds from file closed to message sent, over the latest results."""

    count: int
    p50_ms: float | None = None
    p99_ms: float | None = None


class HealthMessage(Record):
    """Topic ``health``, retained: figures for a dashboard, sent at an even pace."""

    schema_version: Literal[1] = 1
    session: int
    at: UnixSeconds
    uptime_s: float
    folder_waiting: int
    folder_native: bool
    folder_fault: str | None = None
    outbox_depth: int
    outbox_oldest_s: float
    pacs_depth: int = Field(default=0, description="documents that the PACS has no receipt for")
    pacs_oldest_s: float = 0.0
    pacs_set_aside: int = Field(default=0, description="documents that are not sent any more")
    jobs: dict[str, int] = Field(description="number of files in each state")
    disk_free_mib: int
    temperature_c: float | None = None
    worker_restarts: int
    broker_reconnects: int
    messages_dropped: int = Field(
        default=0, description="receipts and commands that were malformed, retained or not ours"
    )
    latency: Latency
    recheck: Recheck | None = Field(
        default=None, description="disagreement of second engines; null where none look"
    )
    journal_row: int
    journal_head: str
    notice: Notice = DISCLAIMER


class MeasuredSpace(Record):
    """Mean width of one joint space, as a limb's result has it."""

    mean_px: float = Field(ge=0)
    mean_mm: float | None = Field(default=None, ge=0)
    source: PixelSource | None = Field(default=None, description="what the mm were taken from")


class NoDifference(StrEnum):
    """Why two sides of a study are not compared."""

    LEFT_NOT_MEASURED = "left_not_measured"
    RIGHT_NOT_MEASURED = "right_not_measured"
    NOT_MEASURED = "not_measured"
    SCALE_NOT_KNOWN = "scale_not_known"
    """A film states no size of a pixel: its pixels are not comparable with the other's."""
    SCALES_DIFFER = "scales_differ"
    """One film states the size at the patient, the other at the detector."""


class SideDifference(Record):
    """Left mean width less the right one, of the same joint in one study."""

    difference_mm: float | None = None
    reason: NoDifference | None = Field(default=None, description="why it is null")


class StudyLimb(Record):
    """One limb of a study: the result that counts now."""

    id: ResultId
    subtotals: Subtotals
    n_scored: int
    n_expected: int
    spaces: dict[str, MeasuredSpace] = Field(
        default_factory=dict, description="measured joint spaces by joint"
    )


class StudyStatus(StrEnum):
    """How far a study has come."""

    FILLING = "filling"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"


class StudyMessage(Record):
    """Topic ``study/<pseudonym>``, retained: a patient's set (LH RH LF RF) as it fills."""

    schema_version: Literal[1] = 1
    study: Pseudonym
    patient: Pseudonym | None = None
    identifiers: Joining = None
    status: StudyStatus
    limbs: dict[Literal["LH", "RH", "LF", "RF"], StudyLimb]
    missing: tuple[Literal["LH", "RH", "LF", "RF"], ...]
    hands: Subtotals
    feet: Subtotals
    partial_svh: Subtotal
    partial_svh_name: str = PARTIAL_SVH_NAME
    left_right: dict[Literal["hands", "feet"], dict[str, SideDifference]] = Field(
        default_factory=dict,
        description="joint spaces of both sides compared; hands, feet or both, once both films "
        "are there",
    )
    changed: UnixSeconds
    notice: Notice = DISCLAIMER


def absent_keys(message: Record) -> set[str]:
    """Keys that are left out of a message's JSON: `identifiers` where it has none."""
    return {"identifiers"} if getattr(message, "identifiers", message) is None else set()


def json_of(message: Record) -> bytes:
    """JSON of a message as it is sent."""
    return message.model_dump_json(exclude=absent_keys(message)).encode()


class ReceiptMessage(Record):
    """Topic ``receipt``, from a dashboard: a result with this id is stored for good."""

    id: ResultId
    receiver: str = Field(min_length=1, max_length=128)


class Command(StrEnum):
    """What a dashboard may ask of an appliance."""

    PAUSE = "pause"
    """Take no further films; those in hand and in the outbox go on."""
    RESUME = "resume"
    RESCAN = "rescan"
    """List the watched folder now."""
    REPLAY = "replay"
    """Send the message ``id`` again."""
    PICTURE = "picture"
    """Send the labelled picture of the message ``id`` again, while it is kept."""
    REBIRTH = "rebirth"
    """Publish state, health and studies again."""


class CommandMessage(Record):
    """Topic ``command``, from a dashboard."""

    command: Command
    id: ResultId | None = Field(
        default=None, description="for `replay` and `picture`: which message"
    )


class OperatorCommand(StrEnum):
    """What an operator may decide about a film."""

    RELEASE = "release"
    """Score a held film with the limb and side that the person states."""
    DISMISS = "dismiss"
    """End a held film without a score."""
    RETRY = "retry"
    """Work again on a film that was held, rejected, dismissed or set aside."""


class OperatorMessage(Record):
    """Topic ``operator/<account>``: a person's decision about a film."""

    command: OperatorCommand
    id: ResultId = Field(description="of the film's message on `reject` or `result`")
    operator: PersonName
    limb: Limb | None = Field(default=None, description="for `release`: what the film shows")
    side: Laterality | None = Field(default=None, description="for `release`: side of the patient")


class AnswerMessage(Record):
    """Topic ``answer``, or the command's response topic: what became of a command."""

    schema_version: Literal[1] = 1
    command: Command | OperatorCommand | None = Field(
        description="null where the message was no command"
    )
    done: bool
    detail: str = ""
