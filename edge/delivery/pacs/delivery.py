"""One pass of delivery to the PACS: stores what waits, asks for commitment, takes in reports.

Layer: delivery; on the PACS thread; uses a `Carrier`, the outbox and the folder of documents.
"""

from __future__ import annotations

import logging
import queue
import time
import uuid
from typing import TYPE_CHECKING

from edge.delivery.pacs.answers import Verdict
from edge.delivery.pacs.carrier import Failure, PacsError
from edge.delivery.pacs.commitments import Commitments, Reference
from edge.delivery.pacs.faults import commitment_fault, pacs_fault
from edge.delivery.pacs.patience import Growing, Patience
from edge.delivery.pacs.settings import Transport
from edge.outputs.document_rows import document_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.delivery.pacs.answers import Answer
    from edge.delivery.pacs.carrier import Carrier
    from edge.delivery.pacs.commitments import Report
    from edge.delivery.pacs.files import DocumentFiles
    from edge.delivery.pacs.queue import PacsQueue
    from edge.delivery.pacs.settings import PacsSettings
    from edge.delivery.pacs.steps import Steps
    from edge.delivery.standing import DeliveryAlerts
    from edge.journal.rows import Row
    from edge.outputs.document import StoredDocument

log = logging.getLogger(__name__)

_ROWS = 32
_REFERENCES = 100


class PacsDelivery:
    """Delivery over one connection to the journal.

    Parameters
    ----------
    want_again
        Called with the job of a document whose file is gone or changed.
    """

    def __init__(
        self,
        settings: PacsSettings,
        rows: PacsQueue,
        files: DocumentFiles,
        carrier: Carrier,
        alerts: DeliveryAlerts,
        reports: queue.SimpleQueue[Report],
        want_again: Callable[[int], None],
        steps: Steps,
    ) -> None:
        self._settings = settings
        self._rows = rows
        self._files = files
        self._carrier = carrier
        self._alerts = alerts
        self._reports = reports
        self._want_again = want_again
        self._steps = steps
        self._pauses = Growing(settings.retry_s, settings.longest_retry_s)
        self._patience = Patience(self._pauses)
        self._commitments = Commitments(settings.commitment_s)
        self._failures = self._ask_failures = 0
        self._not_before_s = self._ask_not_before_s = 0.0
        self.stored = 0
        """Documents that the PACS has stored since the start."""
        self._in_hand: Row | None = None
        """The document that is being sent."""
        for number in rows.waiting():
            if carrier.commits:
                self._commitments.stored(number, 0.0)
            elif settings.transport is Transport.STOW:
                # Another service than the one that has it: nothing is known of it there.
                rows.store_again(number, "transport_changed")
            else:
                # The site has switched commitment off: the answer to the C-STORE is the receipt.
                rows.answered(number)

    def turn(self, stopping: Callable[[], bool]) -> None:
        """Do what is due. Raises `sqlite3.Error` and `OSError`."""
        self._steps.begin("taking in reports")
        self._take_reports()
        self._carrier.tidy()
        now_s = time.monotonic()
        if now_s >= self._not_before_s and not stopping():
            self._store(stopping)
        if self._carrier.commits and not stopping():
            self._store_again()
            self._ask()
        self._tell_commitment()

    # -- storing ------------------------------------------------------------------------------

    def _store(self, stopping: Callable[[], bool]) -> None:
        self._steps.begin("reading documents")
        resting = self._patience.resting(time.monotonic())
        rows = self._rows.next_rows(_ROWS, resting)
        if not rows and not resting and not self._ask_failures:
            # What could not be sent was given up by a person.
            self._failures = 0
            self._alerts.clear_alert("pacs")
        ready = [(row, it) for row in rows if (it := self._ready(row)) is not None]
        if not ready:
            return
        self._in_hand = None
        self._steps.begin("connecting")
        try:
            self._carrier.open({document.sop_class for _, document in ready})
            try:
                self._store_all(ready, stopping)
            finally:
                self._steps.begin("ending the connection")
                self._carrier.close()
        except PacsError as error:
            if not stopping():
                self._failed(error, self._in_hand)

    def _store_all(
        self, ready: list[tuple[Row, StoredDocument]], stopping: Callable[[], bool]
    ) -> None:
        """Store documents over an open way. Raises `PacsError`.

        The PACS may be out of resources, or for one document alone: after some tries the next one
        is sent too. Where that is stored, the first counts as refused; else both wait.
        """
        busy: tuple[Row, Answer] | None = None
        for row, document in ready:
            if stopping():
                return
            self._in_hand = row
            self._steps.begin("storing a document")
            answer = self._carrier.store(document, self._files.path(document))
            self._in_hand = None
            if answer.verdict is Verdict.BUSY:
                if busy is not None or not self._patience.is_often_busy(row.row):
                    self._was_busy(answer)
                    return
                busy = row, answer
                continue
            self._take(row, document, answer)
            if busy is not None and answer.verdict is not Verdict.REFUSED:
                self._refused(*busy)
                busy = None
        if busy is not None:
            self._was_busy(busy[1])

    def _was_busy(self, answer: Answer) -> None:
        self._pause(PacsError(Failure.BUSY, f"it is out of resources ({answer.why})"))

    def _ready(self, row: Row) -> StoredDocument | None:
        """Document of a row whose file can be sent; the others are made again or set aside."""
        document = document_of(row)
        if document is None:
            log.error("job %d: %s is damaged in the journal: set aside", row.job, row.kind)
            self._set_aside(row, "damaged")
            return None
        other_class = document.sr_class not in {None, self._settings.sr_class}
        if not (other_class and not row.sendings):
            if document.is_written and self._files.is_whole(document):
                return document
            log.warning("job %d: %s: its file is gone or changed: made again", row.job, row.kind)
        self._rows.lost(row, document)
        self._want_again(row.job)
        return None

    def _take(self, row: Row, document: StoredDocument, answer: Answer) -> None:
        """Take in an answer that concerns this document alone."""
        self._failures = 0
        self._alerts.clear_alert("pacs")
        if answer.verdict is Verdict.REFUSED:
            self._refused(row, answer)
            return
        if answer.verdict is Verdict.WARNED:
            log.warning("job %d: %s stored by the PACS with %s", row.job, row.kind, answer.why)
        self._was_stored(row, document, answer)

    def _was_stored(self, row: Row, document: StoredDocument, answer: Answer) -> None:
        self._patience.stored(row.row)
        self.stored += 1
        self._rows.stored(row, answer.why, closes=not self._carrier.commits)
        log.info("job %d: %s stored by the PACS", row.job, row.kind)
        if self._carrier.commits:
            self._commitments.stored(row.row, time.monotonic())
        else:
            self._files.remove(document.file)

    def _refused(self, row: Row, answer: Answer) -> None:
        log.warning("job %d: %s refused by the PACS: %s", row.job, row.kind, answer.why)
        if self._patience.refused(row.row, time.monotonic()):
            self._set_aside(row, answer.why)

    def _failed(self, error: PacsError, row: Row | None) -> None:
        """Draw conclusions from a way that failed, ``row`` where a document was being sent."""
        self._pause(error)
        if row is None or error.failure not in {Failure.ENDED, Failure.SILENT}:
            return
        if self._patience.ended(row.row, time.monotonic()):
            self._set_aside(row, "ends_association")

    def _pause(self, error: PacsError) -> None:
        self._failures += 1
        self._not_before_s = time.monotonic() + self._pauses.after(self._failures)
        self._alerts.raise_alert("pacs", pacs_fault(self._settings, error))

    def _set_aside(self, row: Row, why: str) -> None:
        log.error("job %d: %s set aside: %s", row.job, row.kind, why)
        self._patience.gone(row.row)
        self._commitments.gone(row.row)
        self._rows.set_aside(row.row, why)

    # -- commitment -----------------------------------------------------------------------------

    def _store_again(self) -> None:
        now_s = time.monotonic()
        for number in self._commitments.due(now_s):
            if self._commitments.exhausted(number):
                rounds = self._commitments.next_round(number)
                self._rows.store_again(number, self._commitments.why() or "no_report")
                # Again at once the first time, then ever later.
                rest_s = self._pauses.after(1) if rounds == 1 else self._commitments.wait_of(rounds)
                self._patience.rest(number, now_s + rest_s)

    def _ask(self) -> None:
        now_s = time.monotonic()
        due = self._commitments.due(now_s)[:_REFERENCES]
        if not due or now_s < self._ask_not_before_s or not self._carrier.may_ask():
            return
        found = {number: _reference_to(self._rows, number) for number in due}
        for number in (number for number, it in found.items() if it is None):
            self._commitments.gone(number)
        references = [it for it in found.values() if it is not None]
        if not references:
            return
        transaction = f"2.25.{uuid.uuid4().int}"
        # Before it is asked: the report may come before the answer.
        self._commitments.asked(transaction, references, now_s)
        self._steps.begin("asking for commitment")
        try:
            self._carrier.ask(transaction, references)
        except PacsError as error:
            self._ask_failures += 1
            self._ask_not_before_s = now_s + self._pauses.after(self._ask_failures)
            self._commitments.put_off([it.row for it in references], self._ask_not_before_s)
            offered = error.failure is not Failure.NOT_OFFERED
            key, fault = ("pacs", pacs_fault) if offered else ("pacs_commitment", commitment_fault)
            self._alerts.raise_alert(key, fault(self._settings, error))
        else:
            self._ask_failures = 0
            if not self._failures:
                self._alerts.clear_alert("pacs")

    def _take_reports(self) -> None:
        while True:
            try:
                report = self._reports.get_nowait()
            except queue.Empty:
                return
            files = _files_of(self._rows, self._commitments.rows_of(report.transaction))
            found = self._commitments.reported(report, time.monotonic())
            self._carrier.reported(report.transaction)
            self._rows.committed(found.committed, report.transaction)
            for number in found.committed:
                self._patience.gone(number)
                # Without one where a person has given the document up meanwhile.
                if number in files:
                    self._files.remove(files[number])
            if found.committed:
                log.info("PACS: committed to %d documents", len(found.committed))
            for number, reason in found.failed.items():
                log.warning("PACS: no commitment to row %d: reason %04x", number, reason)

    def _tell_commitment(self) -> None:
        waits = self._commitments.unanswered()
        if waits:
            why = self._commitments.why() or "no report came"
            error = PacsError(Failure.SILENT, f"no commitment to {waits} documents ({why})")
            self._alerts.raise_alert("pacs_commitment", commitment_fault(self._settings, error))
        elif not self._ask_failures:
            self._alerts.clear_alert("pacs_commitment")


def _reference_to(rows: PacsQueue, number: int) -> Reference | None:
    """What a row is asked about with; None where it does not wait any more."""
    row = rows.row(number)
    document = None if row is None else document_of(row)
    if document is None or not document.is_written:
        return None
    return Reference(number, document.sop_class, document.sop_instance)


def _files_of(rows: PacsQueue, numbers: list[int]) -> dict[int, str]:
    """Names of the files of open rows."""
    files = {}
    for number in numbers:
        row = rows.row(number)
        document = None if row is None else document_of(row)
        if document is not None:
            files[number] = document.file
    return files
