"""Which film's documents are made next, and what becomes of one that ends the process."""

from __future__ import annotations

import hashlib
import time
from types import SimpleNamespace

import pytest

from edge.daemon.alerts import Alerts
from edge.daemon.documents import Documents
from edge.outputs.document import StoredDocument
from edge.outputs.document_rows import DocumentRow, NotYetError
from edge.worker.document_messages import DocumentsMade, MadeDocument, MakerEnded


class PlayedRows:
    """Rows of films; those of ``later`` cannot be made now."""

    def __init__(self, *jobs):
        self.open = {job: [self._row(job)] for job in jobs}
        self.later, self.ended, self.queued = set(), [], []
        self.film = b"film"

    def _row(self, job):
        file = f"{job:08d}-0000-0000-0000-000000000000.dcm"
        return DocumentRow(job, "dicom_sr", StoredDocument(file=file, result_id=str(job)))

    def jobs(self):
        return sorted(self.open)

    def wanted(self, job):
        if job in self.later:
            raise NotYetError
        return list(self.open.get(job, []))

    def message(self, result_id):
        from limb_results import a_result

        ledger = SimpleNamespace(queued=1.0)
        return SimpleNamespace(
            body=a_result(), name="n", ledger=ledger, job=int(result_id),
            film_sha256=hashlib.sha256(self.film).hexdigest(),
        )  # fmt: skip

    def predecessor(self, _message):
        return None

    def written(self, row, *_told):
        self.queued.append(row.row)
        return self.open.pop(row.row, None) is not None

    def end(self, row, state, why):
        self.ended.append((row.row, state, why))
        self.open.pop(row.row, None)


class PlayedMaker:
    """A process that answers as a test says."""

    waits_on = deadline_s = None

    def __init__(self):
        self.given, self.answers, self.busy = [], [], False
        self.fault = None

    def make(self, task, data):
        if self.fault is not None:
            raise self.fault
        self.given.append((task, data))
        self.busy = True

    def read(self):
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            self.busy = False
        return answer

    def answer(self, why="", detail=""):
        file = self.given[-1][0].limbs[0].wanted[0].file
        made = MadeDocument(file=file, sop_class="1.2", sop_instance="1.2.3", sha256="a" * 64,
                            why=why, detail=detail)  # fmt: skip
        self.answers.append(DocumentsMade(documents=(made,)))

    def jobs(self):
        return [int(task.limbs[0].result_id) for task, _ in self.given]


@pytest.fixture
def played(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def make(*jobs, film=b"film"):
        it = SimpleNamespace(rows=PlayedRows(*jobs), maker=PlayedMaker(), woken=[], now=now)
        it.alerts = Alerts(lambda: None)
        it.documents = Documents(
            it.rows, it.maker, it.alerts, lambda _job: film, lambda: it.woken.append(1)
        )
        return it

    return make


def test_films_are_taken_in_their_order_one_at_a_time(played):
    it = played(1, 2)
    it.documents.turn(scoring=False)
    it.documents.turn(scoring=False)
    assert it.maker.jobs() == [1]
    it.maker.answer()
    it.documents.turn(scoring=False)
    assert it.maker.jobs() == [1, 2]
    assert it.rows.queued == [1]
    assert it.woken


def test_while_films_are_scored_documents_wait_but_not_for_ever(played):
    it = played(1)
    it.documents.turn(scoring=True)
    assert it.maker.jobs() == []
    it.now[0] += 6
    it.documents.turn(scoring=True)
    assert it.maker.jobs() == [1]


def test_a_film_that_ends_the_process_twice_is_given_up_and_blocks_no_other(played):
    it = played(1, 2)
    for _ in range(2):
        it.documents.turn(scoring=False)
        it.maker.answers.append(MakerEnded("it ended"))
        it.documents.turn(scoring=False)
        it.maker.answer()
        it.documents.turn(scoring=False)
        it.now[0] += 10
    assert it.rows.ended == [(1, "set_aside", "not_made")]
    assert it.rows.queued == [2]


def test_a_full_disk_is_told_and_the_document_made_later(played):
    it = played(1)
    it.documents.turn(scoring=False)
    it.maker.answer("not_written", "No space left on device")
    it.documents.turn(scoring=False)
    (alert,) = it.alerts.active()
    assert (alert.code, "No space left on device" in alert.detail) == ("documents", True)
    it.now[0] += 6
    it.documents.turn(scoring=False)
    it.maker.answer()
    it.documents.turn(scoring=False)
    assert it.rows.queued == [1]
    assert it.alerts.active() == ()


def test_what_cannot_be_made_yet_lets_the_next_film_pass(played):
    it = played(1, 2)
    it.rows.later.add(1)
    it.documents.turn(scoring=False)
    it.documents.turn(scoring=False)
    assert it.maker.jobs() == [2]
    it.rows.later.clear()
    it.maker.answer()
    it.now[0] += 6
    it.documents.turn(scoring=False)
    assert it.maker.jobs() == [2, 1]


@pytest.mark.parametrize(
    ("why", "state"),
    [("no_picture", "closed"), ("no_dicom_source", "closed"), ("not_made", "set_aside")],
)
def test_what_there_is_none_of_is_closed_and_what_failed_is_set_aside(played, why, state):
    it = played(1)
    it.documents.turn(scoring=False)
    it.maker.answer(why)
    it.documents.turn(scoring=False)
    assert it.rows.ended == [(1, state, why)]


def test_a_row_that_a_fault_moved_to_another_film_takes_no_other_patient(played):
    it = played(1)
    it.rows.film = b"another film"
    it.documents.turn(scoring=False)
    assert it.maker.jobs() == []
    assert it.rows.ended == [(1, "set_aside", "not_of_this_film")]


def test_a_process_that_cannot_be_made_is_told_and_stops_nothing_else(played):
    it = played(1)
    it.maker.fault = OSError(11, "Resource temporarily unavailable")
    it.documents.turn(scoring=False)
    (alert,) = it.alerts.active()
    assert "Resource temporarily unavailable" in alert.detail
    it.maker.fault = None
    it.now[0] += 10
    it.documents.turn(scoring=False)
    assert it.maker.jobs() == [1]


def test_a_film_of_which_nothing_is_left_is_given_up(played):
    it = played(1, film=None)
    it.documents.turn(scoring=False)
    assert it.rows.ended == [(1, "set_aside", "no_copy_left")]
    assert it.maker.jobs() == []
