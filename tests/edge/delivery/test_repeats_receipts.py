"""What is sent again until a receipt arrives."""

from __future__ import annotations

from journal_films import SHA, finish, open_outbox, signature

from edge.contract.payloads import DeliveryMode
from edge.delivery.outbox import Outbox


def test_what_has_no_receipt_is_queued_again(store, journal):
    finish(journal, journal.claim(b"/a", SHA, signature()).job)
    outbox = open_outbox(store)
    rows = outbox.next_rows(1, ())
    outbox.note_sent(rows)
    outbox.endings.acknowledged([rows[0].row])
    assert outbox.next_rows(1, ()) == []
    assert outbox.repeats.choose_overdue() == 1
    assert outbox.next_rows(1, ())[0].sendings == 1


def test_a_refused_row_stays_in_the_outbox(store, journal):
    job = journal.claim(b"/a", SHA, signature()).job
    finish(journal, job)
    outbox = open_outbox(store)
    (row,) = outbox.next_rows(1, ())
    for _ in range(50):
        outbox.note_sent([row])
        outbox.repeats.refused(row.row)
    assert [it.row for it in outbox.next_rows(1, ())] == [row.row]
    assert outbox.counts.depth().set_aside == 0


def test_an_answer_to_a_later_sending_shows_that_the_earlier_were_lost(store, journal, monkeypatch):
    now = {"s": 1000.0}
    monkeypatch.setattr("edge.delivery.repeats.time.monotonic", lambda: now["s"])
    ids = []
    for number in range(40):
        sha = f"{number:064d}"
        _, found = finish(journal, journal.claim(b"/%d" % number, sha, signature(number)).job,
                          sha=sha)  # fmt: skip
        ids.append(found.result_id)
    outbox = Outbox(store, DeliveryMode.RECEIPT, (), resend_s=30.0)
    for _ in range(40):
        (row,) = outbox.next_rows(1, ())
        outbox.note_sent([row])
        outbox.endings.acknowledged([row.row])
        now["s"] += 2
    assert outbox.repeats.choose_overdue() == 25
    outbox.note_sent(outbox.next_rows(32, ()))
    # The fifteen latest have time yet (one asks whether a dashboard is back) until the last of
    # them is answered.
    assert outbox.repeats.choose_overdue() == 1
    outbox.endings.receipts([(ids[-1], "ward")])
    assert outbox.repeats.choose_overdue() == 13


def test_while_no_dashboard_answers_the_oldest_asks_often_and_the_rest_ever_less(
    store, journal, monkeypatch
):
    now = {"s": 1000.0}
    monkeypatch.setattr("edge.delivery.repeats.time.monotonic", lambda: now["s"])
    for number in range(5):
        sha = f"{number:064d}"
        finish(journal, journal.claim(b"/%d" % number, sha, signature(number)).job, sha=sha)
    outbox = Outbox(store, DeliveryMode.RECEIPT, (), resend_s=30.0)
    for _ in range(600):
        now["s"] += 1
        rows = outbox.next_rows(32, ())
        outbox.note_sent(rows)
        outbox.endings.acknowledged([row.row for row in rows])
        outbox.repeats.choose_overdue()
    counts = store.db.execute("SELECT sendings FROM outbox ORDER BY row")
    oldest, *others = [r["sendings"] for r in counts]
    assert 25 < oldest < 60
    assert max(others) <= 6
