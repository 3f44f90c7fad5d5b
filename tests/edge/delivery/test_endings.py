"""Ends of rows: acknowledgements and receipts."""

from __future__ import annotations

from journal_films import SHA, finish, open_outbox, signature, state_of

from edge.contract.payloads import DeliveryMode
from edge.journal.states import State


def test_a_row_closes_on_puback_only_in_the_weaker_mode(store, journal):
    job = journal.claim(b"/a", SHA, signature()).job
    finish(journal, job)
    strict = open_outbox(store)
    (row,) = strict.next_rows(10, ())
    strict.note_sent([row])
    assert state_of(journal, job) is State.SENT
    strict.endings.acknowledged([row.row])
    assert state_of(journal, job) is State.SENT
    strict.reopen()
    (again,) = strict.next_rows(10, ())
    assert again.result_id == row.result_id
    open_outbox(store, DeliveryMode.PUBACK).endings.acknowledged([row.row])
    assert state_of(journal, job) is State.ACKED
    assert strict.next_rows(10, ()) == []


def test_every_named_receiver_must_answer(store, journal):
    job = journal.claim(b"/a", SHA, signature()).job
    _, found = finish(journal, job)
    outbox = open_outbox(store, receivers=("pacs", "ward"))
    (row,) = outbox.next_rows(1, ())
    outbox.note_sent([row])
    outbox.endings.acknowledged([row.row])
    assert outbox.endings.receipts([("00000000-0000-0000-0000-000000000000", "pacs")]) == 1
    assert outbox.endings.receipts([(found.result_id, "pacs")] * 2) == 0
    assert state_of(journal, job) is State.SENT
    outbox.endings.receipts([(found.result_id, "ward")])
    assert state_of(journal, job) is State.RECEIPTED


def test_a_receipt_for_what_was_never_sent_closes_nothing(store, journal):
    job = journal.claim(b"/a", SHA, signature()).job
    _, found = finish(journal, job)
    outbox = open_outbox(store)
    assert outbox.endings.receipts([(found.result_id, "forger")]) == 1
    assert len(outbox.next_rows(1, ())) == 1
    assert state_of(journal, job) is State.QUEUED


def test_receipts_of_dashboards_that_are_not_named_do_not_fill_the_journal(store, journal):
    _, found = finish(journal, journal.claim(b"/a", SHA, signature()).job)
    outbox = open_outbox(store, receivers=("pacs",))
    outbox.note_sent(outbox.next_rows(1, ()))
    head = store.head()
    assert outbox.endings.receipts([(found.result_id, f"x{n}") for n in range(100)]) == 100
    assert store.head() == head
    anybody = open_outbox(store)
    assert anybody.endings.receipts([(found.result_id, f"x{n}") for n in range(100)]) == 0
    assert store.db.execute("SELECT COUNT(*) FROM receipt").fetchone()[0] == 16
