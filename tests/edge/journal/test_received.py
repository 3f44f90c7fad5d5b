"""Which received films need their file no more."""

from __future__ import annotations

import pytest
from journal_films import finish, signature

from edge.journal.outcomes import Outcomes
from edge.journal.received import Received
from edge.journal.records import Finish
from edge.journal.states import ENDS, State, move

PATH = b"/state/inbox/1.dcm"


@pytest.fixture
def job(journal):
    return journal.claim(PATH, "a" * 64, signature()).job


@pytest.mark.parametrize("state", State)
def test_exactly_the_end_states_need_the_file_no_more(journal, job, state):
    with journal.store.transaction():
        move(journal.store, job, state)
    found = Received(journal.store).ended(PATH)
    assert (found is not None) == (state in ENDS)


def test_the_latest_job_of_a_path_decides(journal, job):
    Outcomes(journal.store).finish(job, Finish(State.HELD, "side_not_known"))
    with journal.store.transaction():
        move(journal.store, job, State.SET_ASIDE)
    again = journal.claim(PATH, "a" * 64, signature(inode=2)).job
    assert again != job
    assert Received(journal.store).ended(PATH) is None


def test_a_file_without_a_job_stays(journal):
    assert Received(journal.store).ended(PATH) is None
    assert Received(journal.store).ended_job(7) is None


def test_a_film_whose_bytes_were_not_read_keeps_its_file(journal, job):
    end = Finish(State.QUARANTINED, "too_large")
    Outcomes(journal.store).finish(job, end, keep_original=True)
    assert Received(journal.store).ended(PATH) is None


def test_what_was_removed_is_recorded_for_each_job_of_the_path(journal, job):
    finish(journal, job, state=State.QUARANTINED, reason="corrupt")
    received = Received(journal.store)
    assert received.ended(PATH).job == received.ended_job(job).job == job
    received.note_removed(PATH, "deleted")
    assert received.ended(PATH) is None
    query = "SELECT original FROM job WHERE path = ?"
    assert [row[0] for row in journal.store.db.execute(query, (PATH,))] == ["deleted"]
    assert journal.store.verify() is None
