"""Counts of rows that wait or are set aside."""

from __future__ import annotations

from journal_films import SHA, finish, open_outbox, signature, state_of

from edge.journal.orders import set_aside, take_back
from edge.journal.states import State


def test_what_is_set_aside_is_counted_and_named_until_it_is_taken_back(store, journal):
    job = journal.claim(b"/a", SHA, signature()).job
    finish(journal, job)
    outbox = open_outbox(store)
    outbox.endings.set_aside(outbox.next_rows(1, ())[0].row, "larger_than_broker_limit")
    assert state_of(journal, job) is State.SET_ASIDE
    assert outbox.counts.latest_set_aside() == (1, f"job {job}: result: larger_than_broker_limit")
    take_back(store, set_aside(store)[0])
    assert state_of(journal, job) is State.QUEUED
    assert outbox.counts.latest_set_aside() is None
    assert len(outbox.next_rows(1, ())) == 1
