"""What the daemon and the process that makes documents send to each other.

Layer: worker; models only, no process and no socket.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from edge.model import LimbResult, Record, SrClass

NO_SOURCE: Final = "no_dicom_source"
"""The film states no valid UIDs of study, series and object, or a class of nobody's."""
NO_PICTURE: Final = "no_picture"
"""Nothing can be drawn of this limb."""
NOT_MADE: Final = "not_made"
NOT_WRITTEN: Final = "not_written"
"""The disk takes no file; tried again."""


class Replaced(Record):
    """The earlier result that a report names as its predecessor."""

    result_id: str
    sr_class: SrClass


class WantedDocument(Record):
    """One document of a limb; ``file`` is its name in the folder of documents."""

    kind: str
    file: str
    sr_class: SrClass | None = None


class LimbDocuments(Record):
    """A limb's result, and the documents that are wanted of it; ``queued`` is when it was made."""

    result: LimbResult
    result_id: str
    queued: float
    device: str
    supersedes: Replaced | None = None
    wanted: tuple[WantedDocument, ...]


class DocumentTask(Record):
    """The limbs of one film, whose bytes are the next frame."""

    limbs: tuple[LimbDocuments, ...]


class MadeDocument(Record):
    """A document that was written, or ``why`` there is none; ``detail`` is for the log."""

    file: str
    sop_class: str = ""
    sop_instance: str = ""
    sha256: str = ""
    why: str = ""
    detail: str = ""


class DocumentsMade(Record):
    """Answer to a task: one entry for each document that was wanted."""

    documents: tuple[MadeDocument, ...]


class MakerEnded(NamedTuple):
    """The process ended before it had answered, or was killed because it took too long."""

    detail: str
