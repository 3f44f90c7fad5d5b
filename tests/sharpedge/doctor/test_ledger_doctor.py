import time

import pytest
from doctor_box import box_in, fault, faults

from edge.journal.journal import Journal
from edge.journal.store import Store
from sharpedge.doctor.ledger import check_ledger


@pytest.fixture
def journal(tmp_path):
    (tmp_path / "state").mkdir()
    store = Store(tmp_path / "state" / "journal.sqlite", bytes(32))
    Journal(store)
    yield store
    store.close()


def row(store, state, *, age_s=0.0, number=1):
    with store.transaction() as db:
        db.execute(
            "INSERT INTO outbox (id, kind, job, limb_index, outcome, payload, created, state) "
            "VALUES (?, 'result', 1, 0, '{}', x'00', ?, ?)",
            (f"id{number}", time.time() - age_s, state),
        )


def answer(store, receiver):
    with store.transaction() as db:
        db.execute("INSERT INTO receipt VALUES (?, ?, ?)", (receiver, receiver, time.time()))


def test_a_dashboard_that_answered_is_named(tmp_path, journal):
    answer(journal, "ward")
    found = list(check_ledger(box_in(tmp_path)))
    assert faults(found) == []
    assert found[0].what.startswith("ward;")


def test_results_that_nobody_answers_are_found(tmp_path, journal):
    row(journal, "waiting", age_s=900)
    it = fault(check_ledger(box_in(tmp_path)), "dashboard, receipts")
    assert it.what.startswith("1 messages wait, the oldest for 900 s")


def test_a_named_dashboard_that_never_answered_is_found(tmp_path, journal):
    answer(journal, "ward")
    box = box_in(tmp_path, delivery={"receivers": ["ward", "archive"]})
    assert fault(check_ledger(box), "dashboard, receipts").what.startswith("archive:")


def test_messages_that_are_set_aside_are_found(tmp_path, journal):
    answer(journal, "ward")
    row(journal, "set_aside")
    assert "1 messages" in fault(check_ledger(box_in(tmp_path)), "outbox, set aside").what


@pytest.mark.usefixtures("journal")
def test_a_new_box_and_puback_mode_are_skipped(tmp_path):
    assert [it.level for it in check_ledger(box_in(tmp_path))] == ["skipped"]
    box = box_in(tmp_path, delivery={"mode": "puback"})
    assert [it.level for it in check_ledger(box)] == ["skipped"]


def test_a_damaged_journal_is_found(tmp_path):
    box = box_in(tmp_path)
    (box.state / "journal.sqlite").write_bytes(b"no database" * 100)
    assert "cannot be read" in fault(check_ledger(box), "dashboard, receipts").what


def test_the_check_writes_nothing_beside_the_journal_of_a_stopped_service(tmp_path, journal):
    journal.close()
    box = box_in(tmp_path)
    before = {path.name: path.read_bytes() for path in box.state.iterdir()}
    list(check_ledger(box))
    assert {path.name: path.read_bytes() for path in box.state.iterdir()} == before
