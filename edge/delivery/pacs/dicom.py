"""The way to the PACS by C-STORE, with storage commitment (N-ACTION, N-EVENT-REPORT).

Layer: delivery; one association for storing, and one for each question about commitment, which is
kept while a report may come on it.
"""

from __future__ import annotations

import time
from io import BytesIO
from typing import TYPE_CHECKING

from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from edge.delivery.pacs.answers import CLASS_REFUSED, NOT_ENCODED, answer_of
from edge.delivery.pacs.association import Deadline, associate, quiet
from edge.delivery.pacs.carrier import Failure, PacsError
from edge.delivery.pacs.listener import Listener
from edge.delivery.pacs.reports import Reports

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from edge.delivery.pacs.answers import Answer
    from edge.delivery.pacs.association import PacsAssociation
    from edge.delivery.pacs.commitments import Reference, Report
    from edge.delivery.pacs.settings import PacsSettings
    from edge.outputs.document import StoredDocument

_REQUEST_COMMITMENT = 1
_MOST_ASKING = 2
"""Questions at a time whose report may come on their own association."""
_ANSWERED_S = 0.2
"""Time for the answer to a report, before its association is released."""
_LISTENED_S = 5.0
"""How long an association is kept for a report where the PACS may send it on one of its own."""


class DicomCarrier:
    """The way by DICOM; ``take_report`` is called with each report, on other threads."""

    def __init__(self, settings: PacsSettings, take_report: Callable[[Report], None]) -> None:
        quiet()
        self._settings = settings
        self._reports = Reports(take_report)
        self._store: PacsAssociation | None = None
        self._refuses_all = False
        self._asking: dict[str, tuple[float, PacsAssociation]] = {}
        """By transaction, until when its association is kept."""
        self._answered_s = 0.0
        """When the latest report is answered."""
        self._deadlines: list[Deadline] = []
        self._message = 0
        self._listener: Listener | None = None
        self.commits = settings.commitment

    def listen(self) -> None:
        """Listen for reports where the site names a port. Raises `PacsError`."""
        wanted = self.commits and self._settings.commitment_port
        if wanted and self._listener is None:
            self._listener = Listener(self._settings, self._reports)

    def open(self, classes: Collection[str]) -> None:
        """Open an association for these classes, and for no others. Raises `PacsError`."""
        # A context of its own for each: the PACS then takes files as they lie, if it can.
        contexts = [
            build_context(it, syntax)
            for it in sorted(classes)
            for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
        ]
        self._refuses_all = False
        try:
            self._store = associate(self._settings, contexts, self._deadline())
        except PacsError as error:
            if error.failure is not Failure.NOT_OFFERED:
                raise
            self._refuses_all = True

    def store(self, document: StoredDocument, path: Path) -> Answer:
        """Store one document. Raises `PacsError`."""
        if self._refuses_all:
            return CLASS_REFUSED
        it = self._store
        if it is None or not it.is_open:
            raise PacsError(Failure.ENDED, "the association was ended")
        sent: Path | Dataset = path
        if not it.accepts(document.sop_class, ExplicitVRLittleEndian):
            if not it.accepts(document.sop_class, ImplicitVRLittleEndian):
                return CLASS_REFUSED
            converted = _converted(path)
            if converted is None:
                return NOT_ENCODED
            sent = converted
        number = self._next_message()
        return answer_of(
            it.request(lambda: it.association.send_c_store(sent, msg_id=number, priority=0))
        )

    def close(self) -> None:
        """Release the association for storing."""
        it, self._store = self._store, None
        if it is not None:
            it.end()

    def ask(self, transaction: str, references: list[Reference]) -> None:
        """Ask for commitment on an association of its own. Raises `PacsError`."""
        wanted = Dataset()
        wanted.TransactionUID = UID(transaction)
        wanted.ReferencedSOPSequence = [_reference(it) for it in references]
        context = build_context(StorageCommitmentPushModel)
        it = associate(self._settings, [context], self._deadline(), self._reports)
        number = self._next_message()
        try:
            status = it.request(
                lambda: it.association.send_n_action(
                    wanted,
                    _REQUEST_COMMITMENT,
                    StorageCommitmentPushModel,
                    StorageCommitmentPushModelInstance,
                    msg_id=number,
                )[0]
            )
        except PacsError:
            it.end(abort=True)
            raise
        if status != 0:
            it.end()
            raise PacsError(Failure.NOT_OFFERED, f"it refuses the request (status {status:04x})")
        listened = self._listener is not None
        wait_s = _LISTENED_S if listened else self._settings.commitment_s
        self._asking[transaction] = (time.monotonic() + wait_s, it)

    def may_ask(self) -> bool:
        """Whether there are not too many associations that wait for a report."""
        return len(self._asking) < _MOST_ASKING

    def reported(self, transaction: str) -> None:
        """Keep the association whose report has come until that is answered."""
        found = self._asking.get(transaction)
        if found is not None:
            # pynetdicom's thread ends by a fault where it answers on one that is being released.
            self._answered_s = time.monotonic() + _ANSWERED_S
            self._asking[transaction] = (self._answered_s, found[1])

    def tidy(self) -> None:
        """End associations whose report has not come in time, or that the PACS has ended."""
        now_s = time.monotonic()
        over = [
            transaction
            for transaction, (until_s, it) in self._asking.items()
            if now_s >= until_s or not it.is_open
        ]
        for transaction in over:
            self._asking.pop(transaction)[1].end()

    def cut(self) -> None:
        """End everything at once; any thread."""
        for deadline in list(self._deadlines):
            deadline.cut()

    def stop(self) -> None:
        """End everything, on the sender's thread."""
        self.close()
        left_s = self._answered_s - time.monotonic()
        if left_s > 0:
            time.sleep(left_s)
        for _, it in self._asking.values():
            it.end()
        self._asking.clear()
        if self._listener is not None:
            self._listener.stop()
            self._listener = None

    def _deadline(self) -> Deadline:
        # Few are alive at a time; the oldest are over.
        self._deadlines = [*self._deadlines[-15:], Deadline()]
        return self._deadlines[-1]

    def _next_message(self) -> int:
        self._message = self._message % 65_535 + 1
        return self._message


def _converted(path: Path) -> Dataset | None:
    """Give a document in implicit VR; None where it has no such form.

    Raises `OSError` where its file cannot be read.
    """
    data = path.read_bytes()
    try:
        document = dcmread(BytesIO(data))
        document.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        implicit = BytesIO()
        dcmwrite(implicit, document, implicit_vr=True, little_endian=True)
        implicit.seek(0)
        return dcmread(implicit)
    except Exception:  # noqa: BLE001 - pydicom raises whatever a film's copied elements provoke
        return None


def _reference(it: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = UID(it.sop_class)
    item.ReferencedSOPInstanceUID = UID(it.sop_instance)
    return item
