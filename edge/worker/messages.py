"""What daemon and worker send to each other, and how a worker may end.

Layer: worker; models only, no process and no socket.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from edge.anatomy import Limb  # noqa: TC001 - pydantic needs it at run time
from edge.enums import StrEnum
from edge.model import Laterality, OperatorStatement, Outcome, Recheck, Record, Versions


class Kind(StrEnum):
    """First line of each frame that the child sends."""

    READY = "ready"
    FAILED = "failed"
    STAGE = "stage"
    OUTCOME = "outcome"
    SECOND = "second"
    LOST = "lost"
    """An engine failed or gave what cannot be used: this child ends."""


class Ready(Record):
    """The scorer is made; the fields are those of `edge.worker.factory.Made`."""

    versions: Versions
    engine_set: str
    degraded: tuple[str, ...] = ()
    unfit: str = ""
    second_fault: str = ""


class Failed(Record):
    """The scorer cannot be made; the message says how to repair it."""

    message: str


class Lost(Record):
    """An engine failed while it ran.

    ``sha256`` is that of an engine whose outputs cannot be used, empty where its device failed.
    """

    message: str
    sha256: str = ""


class Task(Record):
    """A film to score, whose bytes are the next frame; or, with ``second``, no film.

    ``second`` asks the child to score the film that it kept a second time. ``limb`` and
    ``laterality`` are what an operator stated. ``public_name``, ``sha256`` and ``arrived_unix_s``
    (when the file was closed) are for the words on its pictures.
    """

    name: str = ""
    public_name: str = ""
    sha256: str = ""
    arrived_unix_s: float | None = None
    limb: Limb | None = None
    laterality: Laterality | None = None
    second: bool = False

    @property
    def operator(self) -> OperatorStatement | None:
        """What the operator stated, None where there is nothing."""
        stated = OperatorStatement(self.limb, self.laterality)
        return None if stated == OperatorStatement() else stated


class Stage(Record):
    """A stage of the film in work begins; monotonic seconds."""

    name: str
    at_s: float


class SecondOpinion(Record):
    """The second scoring is done. ``fault`` says why no film is scored a second time any more."""

    figures: Recheck | None = None
    fault: str = ""


class Pictures(NamedTuple):
    """Labelled pictures (JPEG) of the film whose outcome came before, one for each limb.

    None where a limb has none, or it could not be drawn.
    """

    jpegs: tuple[bytes | None, ...]


class Died(NamedTuple):
    """The child is gone, or was killed because it exceeded a limit.

    Attributes
    ----------
    timeout
        It exceeded a limit.
    detail
        One line for the log.
    ready
        It had made its scorer.
    device_lost
        Its engines' device failed.
    bad_engine
        SHA-256 of an engine whose outputs cannot be used; empty otherwise.
    second
        It was scoring a film a second time: no film of the daemon's is concerned.
    outside
        It was ended by a signal that neither it nor the daemon sent, such as the OOM killer's.
    """

    timeout: bool
    detail: str
    ready: bool
    device_lost: bool = False
    bad_engine: str = ""
    second: bool = False
    outside: bool = False


Message = Ready | Failed | Stage | Outcome | Pictures | SecondOpinion | Died


@dataclass(frozen=True)
class Limits:
    """Seconds: making the scorer, one stage, one film (and one second scoring)."""

    start_s: float
    stage_s: float
    film_s: float
