"""Outputs ``dicom_sr`` and ``dicom_sc``: documents of a limb for the PACS.

Layer: outputs; models and pure functions. The document itself is a file, which
`edge.worker.document_child` writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from edge.journal.kinds import DICOM_SC, DICOM_SR
from edge.model import Record, SrClass, Status
from edge.outputs.film import HAVE_RESULT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.journal.records import Parcel
    from edge.outputs.film import LimbRecord, RecordedFilm

_DOCUMENTED = HAVE_RESULT | {Status.HELD}
"""Status of limbs that have documents; a film that was rejected has none."""


class StoredDocument(Record):
    """What the outbox keeps of a document: nothing that names a patient.

    The UIDs and the digest are empty until the file is written.
    """

    file: str = Field(pattern=r"^[0-9a-f-]{36}\.dcm$", description="in the folder of documents")
    result_id: str = Field(description="id of the limb's message")
    sr_class: SrClass | None = Field(default=None, description="of a structured report")
    sop_class: str = ""
    sop_instance: str = ""
    sha256: str = ""

    @property
    def is_written(self) -> bool:
        """Whether the file was written when this was stored."""
        return bool(self.sha256)

    def unwritten(self) -> StoredDocument:
        """Give the same document before its file was written."""
        return StoredDocument(file=self.file, result_id=self.result_id, sr_class=self.sr_class)


def sr_parcels(film: RecordedFilm, results: tuple[LimbRecord, ...]) -> Iterator[Parcel]:
    """Rows of the structured reports; the payload of each is a `StoredDocument`."""
    return _parcels(DICOM_SR, film.sr_class, film, results)


def sc_parcels(film: RecordedFilm, results: tuple[LimbRecord, ...]) -> Iterator[Parcel]:
    """Rows of the Secondary Captures; the payload of each is a `StoredDocument`."""
    return _parcels(DICOM_SC, None, film, results)


def _parcels(
    kind: str, sr_class: SrClass | None, film: RecordedFilm, results: tuple[LimbRecord, ...]
) -> Iterator[Parcel]:
    for result in results if kind in film.documents else ():
        if result.limb.status in _DOCUMENTED:
            file = f"{result.id_of(kind)}.dcm"
            stored = StoredDocument(file=file, result_id=result.result_id, sr_class=sr_class)
            yield result.parcel(kind, stored.model_dump_json().encode(), undrawn=True)
