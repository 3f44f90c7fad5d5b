"""States of films from the claim on."""

from __future__ import annotations

from journal_films import SHA, finish, signature, state_of

from edge.journal.recall import Recall
from edge.journal.states import State


def test_a_film_is_claimed_before_work_and_resumed_after_a_crash(journal):
    claim = journal.claim(b"/a", SHA, signature())
    assert claim.work
    again = journal.claim(b"/a", SHA, signature())
    assert (again.job, again.work) == (claim.job, True)


def test_the_same_bytes_are_a_duplicate_only_where_the_first_copy_gave_a_result(journal):
    first = journal.claim(b"/a", SHA, signature())
    finish(journal, first.job)
    second = journal.claim(b"/again/a", SHA, signature(2))
    assert (second.work, second.state) == (False, State.DUPLICATE)
    third = journal.claim(b"/b", SHA, signature(2))
    assert (third.work, third.same_as) == (True, first.job)
    held = journal.claim(b"/c", "c" * 64, signature(3))
    finish(journal, held.job, sha="c" * 64, state=State.HELD, reason="side_not_known")
    again = journal.claim(b"/d", "c" * 64, signature(4))
    assert again.work
    assert state_of(journal, held.job) is State.SET_ASIDE


def test_a_touched_film_is_no_new_job(journal):
    first = journal.claim(b"/a", SHA, signature())
    finish(journal, first.job)
    assert journal.claim(b"/a", SHA, signature(mtime_ns=99)).job is None
    assert Recall(journal.store._path)(b"/a") == signature(mtime_ns=99)


def test_new_bytes_under_an_old_name_are_a_new_job_and_end_an_unfinished_one(journal):
    first = journal.claim(b"/a", SHA, signature())
    second = journal.claim(b"/a", "b" * 64, signature(mtime_ns=2))
    assert second.work
    assert state_of(journal, first.job) is State.SET_ASIDE


def test_deaths_are_counted_and_tries_that_were_given_back_are_not(journal):
    job = journal.claim(b"/a", SHA, signature()).job
    assert journal.begin_try(job)
    journal.give_back(job)
    assert journal.note_death(job, "worker_died") == 1
    assert journal.note_death(job, "worker_died") == 2
    assert journal.claim(b"/a", SHA, signature()).deaths == 2


def test_only_leftovers_whose_file_is_gone_are_set_aside(journal):
    gone = journal.claim(b"/gone", SHA, signature())
    here = journal.claim(b"/here", "b" * 64, signature())
    left = journal.unfinished()
    new = journal.claim(b"/new", "c" * 64, signature())
    journal.set_aside_vanished(left, {b"/here"})
    assert state_of(journal, gone.job) is State.SET_ASIDE
    assert state_of(journal, here.job) is State.CLAIMED
    assert state_of(journal, new.job) is State.CLAIMED
