"""Heads that were published."""

from __future__ import annotations

from journal_films import SHA, finish, signature

from edge.journal.chain import CUT_FOUND, Head
from edge.journal.published import published_row_is_missing


def test_a_published_row_that_is_missing_is_recorded_once_and_numbers_go_on_beyond(store, journal):
    finish(journal, journal.claim(b"/a", SHA, signature()).job)
    head = store.head()
    assert not published_row_is_missing(store, head)
    assert not published_row_is_missing(store, Head(head.row + 5, "e" * 64), first_start=True)
    assert published_row_is_missing(store, Head(head.row + 9, "f" * 64))
    assert published_row_is_missing(store, Head(head.row + 9, "f" * 64))
    assert [e.kind for e in store.events()].count(CUT_FOUND) == 1
    with store.transaction():
        assert store.counter("sequence") > 1_000_000
