from __future__ import annotations

import sqlite3

import pytest

from edge.contract.ids import DeviceName, ResultKey
from edge.contract.payloads import DeliveryMode
from edge.delivery.outbox import Outbox
from edge.journal.chain import CUT_FOUND, Head
from edge.journal.journal import Journal
from edge.journal.orders import set_aside, take_back
from edge.journal.outcomes import Outcomes
from edge.journal.published import published_row_is_missing
from edge.journal.recall import Recall
from edge.journal.records import REJECT, RESULT, Finish, Parcel
from edge.journal.states import State
from edge.journal.store import JournalError, Store
from edge.model import Signature

KEY = b"k" * 32
DEVICE = DeviceName("clinic", "xr1", "box1")
SHA = "a" * 64


@pytest.fixture
def store(tmp_path):
    it = Store(tmp_path / "journal.sqlite", KEY)
    yield it
    it.close()


@pytest.fixture
def journal(store):
    return Journal(store)


def signature(inode=1, mtime_ns=1):
    return Signature(1, inode, 10, mtime_ns)


def key_of(sha=SHA):
    return lambda revision: ResultKey(DEVICE, sha, 0, "e" * 64, revision=revision)


def finish(journal, job, *, sha=SHA, state=State.QUEUED, reason=None):
    outcome = f"{'scored' if state is State.QUEUED else state}:{reason or ''}"
    found = Outcomes(journal.store).resolve(key_of(sha), outcome)
    kind = RESULT if state is State.QUEUED else REJECT
    parcel = Parcel(kind, found.result_id, 0, outcome, b"{}")
    return Outcomes(journal.store).finish(job, Finish(state, reason, (parcel,))), found


def state_of(journal, job):
    found = journal.store.db.execute("SELECT state FROM job WHERE number = ?", (job,)).fetchone()
    return State(found["state"])


def test_an_edited_a_removed_and_a_cut_row_show(store, journal):
    for number in range(5):
        journal.claim(b"%d" % number, f"{number}" * 64, signature())
    head = store.head()
    assert store.verify() is None
    store.db.execute("UPDATE event SET detail = '{}' WHERE row = 2")
    assert store.verify().row == 2
    store.db.execute("DELETE FROM event WHERE row = 2")
    assert store.verify().expected_row == 2
    store.db.execute("DELETE FROM event WHERE row >= 2")
    assert (store.verify().row, store.verify().expected_row) == (1, head.row)
    store.db.execute("DELETE FROM event")
    assert store.verify().expected_row == head.row
    store.db.execute("DELETE FROM meta WHERE key = 'head'")
    assert store.head() != head


def test_a_checkpoint_starts_the_chain_and_an_edited_one_shows(store, journal):
    for number in range(5):
        journal.claim(b"%d" % number, f"{number}" * 64, signature())
    with store.transaction():
        store.db.execute("INSERT INTO carried VALUES (1, 'acked', ?)", (SHA,))
        store.cut(3)
    assert store.verify() is None
    assert [event.row for event in store.events()] == [4, 5, 6]
    journal.claim(b"9", "9" * 64, signature())
    assert store.verify() is None
    store.db.execute("UPDATE carried SET state = 'dismissed'")
    assert store.verify() is not None
    store.db.execute("UPDATE carried SET state = 'acked'")
    assert store.verify() is None
    cut = store.db.execute("SELECT value FROM meta WHERE key = 'cut'").fetchone()[0]
    store.db.execute("UPDATE meta SET value = ? WHERE key = 'cut'", (cut.replace("3:", "4:", 1),))
    assert store.verify() is not None


def test_a_journal_of_the_first_release_is_taken_over_with_its_outbox(tmp_path):
    from edge.journal import schema

    path = tmp_path / "old.sqlite"
    with sqlite3.connect(path) as db:
        for statement in schema.UPGRADES[0]:
            db.execute(statement)
        db.execute("PRAGMA user_version = 1")
        db.execute(
            "INSERT INTO outbox (id, kind, job, limb_index, outcome, payload, created, state) "
            "VALUES ('x', 'result', 1, 0, 'scored:', x'7b7d', 1, 'queued')"
        )
    db.close()
    it = Store(path, KEY)
    (row,) = open_outbox(it).next_rows(1, ())
    assert row.sound
    it.db.execute("UPDATE outbox SET payload = x'7b7e'")
    (row,) = open_outbox(it).next_rows(1, ())
    assert not row.sound
    it.close()


def test_a_chain_does_not_hold_under_another_key(tmp_path, journal):
    journal.start_session()
    other = Store(tmp_path / "journal.sqlite", b"x" * 32)
    assert other.verify().row == 1
    other.close()


def test_a_journal_of_a_later_release_is_refused(tmp_path):
    path = tmp_path / "later.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(JournalError, match="later release"):
        Store(path, KEY)


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


def open_outbox(store, mode=DeliveryMode.RECEIPT, receivers=()):
    return Outbox(store, mode, receivers, resend_s=0.0)


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


def test_a_published_row_that_is_missing_is_told_once_and_numbers_go_on_beyond(store, journal):
    finish(journal, journal.claim(b"/a", SHA, signature()).job)
    head = store.head()
    assert not published_row_is_missing(store, head)
    assert not published_row_is_missing(store, Head(head.row + 5, "e" * 64), first_start=True)
    assert published_row_is_missing(store, Head(head.row + 9, "f" * 64))
    assert published_row_is_missing(store, Head(head.row + 9, "f" * 64))
    assert [e.kind for e in store.events()].count(CUT_FOUND) == 1
    with store.transaction():
        assert store.counter("sequence") > 1_000_000


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


def test_sequence_numbers_ascend_over_restarts(tmp_path, journal):
    finish(journal, journal.claim(b"/a", SHA, signature()).job)
    other = Store(tmp_path / "journal.sqlite", KEY)
    finish(Journal(other), journal.claim(b"/b", "b" * 64, signature(2)).job, sha="b" * 64)
    rows = open_outbox(other).next_rows(10, ())
    assert [row.sequence for row in rows] == [1, 2]
    other.close()


def test_an_answer_to_a_later_sending_tells_that_the_earlier_were_lost(store, journal, monkeypatch):
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
    assert oldest > 60
    assert max(others) <= 6


def test_a_long_write_ahead_log_is_given_back_unless_a_reader_pins_it(
    tmp_path, store, journal, monkeypatch
):
    monkeypatch.setattr("edge.journal.store._LONG_LOG", 1000)
    journal.claim(b"/a", SHA, signature())
    log_path = tmp_path / "journal.sqlite-wal"
    reader = sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM job").fetchall()
    journal.claim(b"/b", "b" * 64, signature(2))
    assert not store.shorten_log()
    assert log_path.stat().st_size > 1000
    reader.close()
    assert store.shorten_log()
    assert log_path.stat().st_size == 0
