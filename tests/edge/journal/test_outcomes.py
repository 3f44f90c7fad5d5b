"""Ids of messages, and a film's end."""

from __future__ import annotations

from journal_films import SHA, finish, signature

from edge.journal.states import State


def test_two_copies_claimed_before_either_was_scored_give_one_result(journal):
    first = journal.claim(b"/a", SHA, signature())
    second = journal.claim(b"/b", SHA, signature(2))
    state, one = finish(journal, first.job)
    assert state is State.QUEUED
    state, two = finish(journal, second.job)
    assert state is State.DUPLICATE
    assert one.result_id == two.result_id
    rows = journal.store.db.execute("SELECT COUNT(*) FROM outbox").fetchone()[0]
    assert rows == 1


def test_another_outcome_of_the_same_film_gets_a_new_id_that_supersedes(journal):
    first = journal.claim(b"/a", SHA, signature())
    _, held = finish(journal, first.job, state=State.HELD, reason="side_not_known")
    again = journal.claim(b"/b", SHA, signature(2))
    _, scored = finish(journal, again.job)
    assert scored.result_id != held.result_id
    assert scored.supersedes == held.result_id
