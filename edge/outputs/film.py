"""A film while it is worked on, and what its outputs are made of.

Layer: outputs; frozen types only.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.contract.ids import output_id
from edge.journal.kinds import REJECT, RESULT
from edge.journal.records import Parcel
from edge.model import SrClass, Status
from edge.outputs.table import OUTPUTS
from edge.receive.inbox import is_in_conflict
from edge.system.files import suffix_of

if TYPE_CHECKING:
    from pathlib import Path

    from edge.contract.ids import DeviceName
    from edge.contract.payloads import Ledger
    from edge.intake.film import Film
    from edge.model import Identifiers, LimbResult, OperatorStatement
    from edge.system.clock import Anchor

HAVE_RESULT = frozenset({Status.SCORED, Status.NOT_GRADED})
"""Status of limbs whose message is of kind ``result``; of the others it is ``reject``."""


@dataclass(frozen=True)
class FilmInWork:
    """A film with its job, while it is worked on.

    ``recorded`` says that its outcome is recorded already, and only its pictures are wanted.
    ``decoded_s`` is on the monotonic clock, None until it was decoded. ``same_as`` is the job
    that gave a result for the same bytes under another name. ``operator`` is what a person stated
    when releasing the film.
    """

    film: Film
    job: int
    supersedes_job: int | None
    same_as: int | None = None
    decoded_s: float | None = None
    operator: OperatorStatement | None = None
    recorded: bool = False

    @property
    def name(self) -> str:
        """The scanner's name of the file, for the pipeline: it may state limb and side."""
        base = os.path.basename(self.film.path)  # noqa: PTH119 - names that are not UTF-8
        return base.decode("utf-8", "replace")

    @property
    def is_in_conflict(self) -> bool:
        """Whether its SOP instance was received before with other bytes, and no person decided."""
        return self.operator is None and is_in_conflict(self.film.path)

    @property
    def public_name(self) -> str:
        """A name that tells nothing of the patient, unlike the scanner's."""
        return f"film-{self.job}{suffix_of(self.film.path)}"


@dataclass(frozen=True)
class RecordedFilm:
    """A film whose outcome is recorded.

    ``study`` and ``patient`` are pseudonyms; ``identifiers`` are those that the site wants with
    results. ``anchor`` is the moment when the file was closed.
    ``device`` is the appliance's name. ``pictures`` is the folder for files that are sent;
    ``send_pictures`` says whether labelled pictures of this film may be sent. ``documents`` are the
    kinds of documents that are made of it for the PACS, ``sr_class`` that of its reports.
    """

    job: int
    sha256: str
    study: str
    patient: str | None
    anchor: Anchor
    ledger: Ledger
    device: DeviceName
    pictures: Path
    send_pictures: bool
    documents: tuple[str, ...] = ()
    sr_class: SrClass = SrClass.COMPREHENSIVE_3D
    identifiers: Identifiers | None = None


@dataclass(frozen=True)
class LimbRecord:
    """One limb of a recorded film.

    ``limb`` is the result as it may be published. ``outcome`` is status and reason. ``pictured``
    says whether there is a labelled picture of it, which is drawn later.
    """

    limb: LimbResult
    result_id: str
    supersedes: str | None
    outcome: str
    pictured: bool

    @property
    def kind(self) -> str:
        """Kind of the limb's own message: ``result`` or ``reject``."""
        return RESULT if self.limb.status in HAVE_RESULT else REJECT

    def id_of(self, kind: str) -> str:
        """Id of the limb's row of a kind: its own where it needs a receipt, else the message's."""
        if kind == self.kind or not OUTPUTS[kind].needs_receipt:
            return self.result_id
        return output_id(self.result_id, kind)

    def parcel(self, kind: str, payload: bytes, *, undrawn: bool = False) -> Parcel:
        """Outbox row of a kind for this limb; ``undrawn`` where its file is written later."""
        return Parcel(
            kind,
            self.id_of(kind),
            self.limb.limb_index,
            self.outcome,
            payload,
            OUTPUTS[kind].destination,
            undrawn,
        )
