"""Has the documents for the PACS made, film by film, and queues them.

Layer: daemon, on its thread; writes the journal, hands films to the process that makes documents.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING

from edge.outputs.document_rows import NotYetError
from edge.worker.document_messages import (
    NO_PICTURE,
    NO_SOURCE,
    NOT_MADE,
    NOT_WRITTEN,
    DocumentTask,
    LimbDocuments,
    MakerEnded,
    Replaced,
    WantedDocument,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.daemon.alerts import Alerts
    from edge.outputs.document_rows import DocumentRow, DocumentRows
    from edge.outputs.film import FilmInWork
    from edge.worker.document_handle import DocumentMaker
    from edge.worker.document_messages import DocumentsMade, MadeDocument

log = logging.getLogger(__name__)

_DEATHS = 2
"""Processes that a film may end before its documents are set aside."""
_LATER_S = 5.0
_BUSY_S = 5.0
"""While films are scored, documents wait for so long before they are made beside them."""
_KEPT_BYTES = 64 << 20
"""Of films whose documents are to be made; those beyond are read again."""
_NONE = frozenset({NO_SOURCE, NO_PICTURE})
"""Why there is no such document of a limb, which is no fault."""


class Documents:
    """Films whose documents are to be made, in their order.

    Parameters
    ----------
    film_bytes
        Gives the bytes of a job's film; None where neither a copy nor its file is left.
    wake_sender
        Called when there is something new to send.
    """

    def __init__(
        self,
        rows: DocumentRows,
        maker: DocumentMaker,
        alerts: Alerts,
        film_bytes: Callable[[int], bytes | None],
        wake_sender: Callable[[], None],
    ) -> None:
        self._rows = rows
        self._maker = maker
        self._alerts = alerts
        self._film_bytes = film_bytes
        self._wake_sender = wake_sender
        now_s = time.monotonic()
        self._due: OrderedDict[int, float] = OrderedDict.fromkeys(rows.jobs(), now_s)
        """Monotonic time from which each film's documents wait or are tried again."""
        self._kept: dict[int, bytes] = {}
        self._deaths: Counter[int] = Counter()
        self._in_hand: tuple[int, dict[str, DocumentRow]] | None = None

    @property
    def waits_on(self) -> tuple[int, int] | None:
        """Descriptor and `select.poll` events to wait for; None while nothing is made."""
        return self._maker.waits_on

    def recorded(self, film: FilmInWork) -> None:
        """Note a film whose outcome is recorded."""
        try:
            if not self._rows.wanted(film.job):
                return
        except NotYetError as error:
            log.warning("job %d: documents later: %s", film.job, error)
        self.want(film.job)
        if sum(map(len, self._kept.values())) + len(film.film.data) <= _KEPT_BYTES:
            self._kept[film.job] = film.film.data

    def want(self, job: int) -> None:
        """Have the documents of a film made that are not written, or whose file is gone."""
        self._due.setdefault(job, time.monotonic())

    def forgive(self, lost_s: float) -> None:
        """Do not count seconds in which nothing ran."""
        self._maker.forgive(lost_s)

    def next_at_s(self) -> float | None:
        """Monotonic time at which something is to be done; None where nothing is known."""
        return self._maker.deadline_s

    def turn(self, *, scoring: bool) -> None:
        """Take in what was made, and hand over the next film. Raises `sqlite3.Error`, `OSError`.

        ``scoring``: a film is being scored, which goes first.
        """
        answer = self._maker.read()
        if isinstance(answer, MakerEnded):
            self._after_death(answer)
        elif answer is not None:
            self._take_in(answer)
        now_s = time.monotonic()
        if self._maker.busy:
            return
        patience_s = _BUSY_S if scoring else 0.0
        job = next((it for it, at_s in self._due.items() if now_s >= at_s + patience_s), None)
        if job is not None:
            self._hand_over(job)

    def stop(self) -> None:
        """Make nothing more; what is not made is made after the next start."""
        self._maker.kill()

    def _hand_over(self, job: int) -> None:
        try:
            rows = self._rows.wanted(job)
            task = self._task_of(rows)
        except NotYetError as error:
            log.debug("job %d: documents later: %s", job, error)
            self._later(job)
            return
        if not rows:
            self._forget(job)
            return
        data = self._kept.get(job) or self._film_bytes(job)
        if data is None:
            self._give_up(job, rows, "no_copy_left")
            return
        sha256 = hashlib.sha256(data).hexdigest()
        if any(self._rows.message(it.result_id).film_sha256 != sha256 for it in task.limbs):
            # A row that a fault moved to another film must not take that film's patient.
            log.error("job %d: its documents are not of this film", job)
            self._give_up(job, rows, "not_of_this_film")
            return
        try:
            self._maker.make(task, data)
        except OSError as error:
            # No process can be made now: that must not stop the scoring.
            why = error.strerror or "failed"
            told = f"documents for the PACS cannot be made ({why}); fix: free memory or processes"
            self._alerts.update("documents", told)
            self._later(job)
            return
        self._in_hand = job, {row.stored.file: row for row in rows}

    def _task_of(self, rows: list[DocumentRow]) -> DocumentTask:
        by_result: dict[str, list[DocumentRow]] = {}
        for row in rows:
            by_result.setdefault(row.stored.result_id, []).append(row)
        return DocumentTask(limbs=tuple(self._limb(*it) for it in by_result.items()))

    def _limb(self, result_id: str, rows: list[DocumentRow]) -> LimbDocuments:
        message = self._rows.message(result_id)
        given = self._rows.predecessor(message)
        return LimbDocuments(
            result=message.body,
            result_id=result_id,
            queued=message.ledger.queued,
            device=message.name,
            supersedes=None if given is None else Replaced(**given._asdict()),
            wanted=tuple(
                WantedDocument(kind=row.kind, file=row.stored.file, sr_class=row.stored.sr_class)
                for row in rows
            ),
        )

    def _take_in(self, answer: DocumentsMade) -> None:
        if self._in_hand is None:
            return
        (job, rows), self._in_hand = self._in_hand, None
        made = {it.file: it for it in answer.documents}
        unwritten = [self._settled(job, rows[file], made.get(file)) for file in rows]
        fault = next((it for it in unwritten if it), "")
        # The file of another one may have gone missing while these were made.
        if fault or self._waits(job):
            self._later(job)
        else:
            self._forget(job)
        told = f"documents for the PACS cannot be written ({fault}); fix: free the state disk"
        self._alerts.update("documents", told if fault else None)
        self._wake_sender()

    def _settled(self, job: int, row: DocumentRow, made: MadeDocument | None) -> str:
        """Record what became of one document; returns why its file cannot be written now."""
        why = NOT_MADE if made is None else made.why
        if made is not None and why == NOT_WRITTEN:
            return made.detail or NOT_WRITTEN
        if made is not None and not why:
            if self._rows.written(row, made.sop_class, made.sop_instance, made.sha256):
                log.info("job %d: %s written", job, row.kind)
                return ""
            why = NOT_MADE
        detail = "" if made is None else made.detail
        ended = "closed" if why in _NONE else "set_aside"
        log.warning("job %d: %s %s: %s %s", job, row.kind, ended, why, detail)
        self._rows.end(row, ended, why)
        return ""

    def _after_death(self, ended: MakerEnded) -> None:
        log.error("%s", ended.detail)
        if self._in_hand is None:
            return
        (job, rows), self._in_hand = self._in_hand, None
        self._deaths[job] += 1
        if self._deaths[job] >= _DEATHS:
            self._give_up(job, list(rows.values()), NOT_MADE)
        else:
            self._later(job)

    def _give_up(self, job: int, rows: list[DocumentRow], why: str) -> None:
        for row in rows:
            log.error("job %d: %s set aside: %s", job, row.kind, why)
            self._rows.end(row, "set_aside", why)
        self._forget(job)

    def _waits(self, job: int) -> bool:
        try:
            return bool(self._rows.wanted(job))
        except NotYetError:
            return True

    def _later(self, job: int) -> None:
        self._due[job] = time.monotonic() + _LATER_S

    def _forget(self, job: int) -> None:
        self._due.pop(job, None)
        self._kept.pop(job, None)
        self._deaths.pop(job, None)
