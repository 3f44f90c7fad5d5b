from __future__ import annotations

import sqlite3

import pytest

from edge.contract.ids import DeviceName, ResultKey
from edge.contract.payloads import DeliveryMode, StudyStatus
from edge.daemon.repair import open_sound, repair
from edge.delivery.outbox import Outbox
from edge.journal.chain import CUT_FOUND
from edge.journal.journal import Journal
from edge.journal.kinds import RESULT
from edge.journal.outcomes import Outcomes
from edge.journal.records import Finish, Parcel, StudyChange
from edge.journal.states import State
from edge.journal.store import JournalError, Store
from edge.model import Signature
from edge.outputs.study import StudyBody
from edge.outputs.table import OUTPUTS, Output

KEY = b"k" * 32
STUDY = "5" * 32


@pytest.fixture
def store(tmp_path):
    it = Store(tmp_path / "journal.sqlite", KEY)
    journal = Journal(it)
    journal.start_session()
    for number in range(3):
        sha = f"{number:064d}"
        job = journal.claim(b"/%d" % number, sha, Signature(1, number, 1, 1)).job
        result_id = ResultKey(DeviceName("a", "b", "c"), sha, 0, "e").result_id()
        parcel = Parcel(RESULT, result_id, 0, "scored:", b'{"n": %d}' % number)
        body = StudyBody().model_dump_json()
        change = StudyChange(STUDY, body, complete=False)
        Outcomes(journal.store).finish(job, Finish(State.QUEUED, None, (parcel,), change))
    yield it
    it.close()


def test_a_sound_journal_is_left_as_it_is(store):
    head = store.head()
    assert repair(store) == {}
    assert store.head() == head


ELSEWHERE = Output(
    kind="note", content_type="text/plain", parcels="unused:unused", destination="elsewhere"
)


def test_a_row_of_another_destination_that_was_changed_to_mqtt_is_not_sent(store, monkeypatch):
    monkeypatch.setitem(OUTPUTS, "note", ELSEWHERE)
    parcel = Parcel("note", "n" * 36, 0, "scored:", b"payload", "elsewhere")
    Outcomes(store).finish(3, Finish(State.QUEUED, None, (parcel,)))
    assert repair(store) == {}
    row = "SELECT row, destination, state FROM outbox WHERE kind = 'note'"
    number = store.db.execute(row).fetchone()["row"]
    outbox = Outbox(store, DeliveryMode.RECEIPT, (), 1.0)
    assert number not in {it.row for it in outbox.next_rows(9, ())}
    store.db.execute("UPDATE outbox SET destination = 'mqtt' WHERE row = ?", (number,))
    assert not outbox.row(number).sound
    assert repair(store) == {"outbox": 1}
    assert tuple(store.db.execute(row).fetchone()) == (number, "elsewhere", "queued")
    assert outbox.row(number).sound


def test_a_row_of_an_output_that_the_table_lacks_is_kept_and_not_sent(store, monkeypatch):
    parcel = Parcel("note", "n" * 36, 0, "scored:", b"payload")
    monkeypatch.setitem(OUTPUTS, "note", ELSEWHERE)
    Outcomes(store).finish(3, Finish(State.QUEUED, None, (parcel,)))
    monkeypatch.delitem(OUTPUTS, "note")
    assert repair(store) == {}
    outbox = Outbox(store, DeliveryMode.RECEIPT, (), 1.0)
    assert {it.kind for it in outbox.next_rows(9, ())} == {RESULT}
    assert outbox.counts.depth().rows == 4


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("UPDATE job SET state = 'quEued' WHERE number = 2", "job"),
        ("UPDATE job SET state = 'dismissed' WHERE number = 2", "job"),
        ("UPDATE job SET sha256 = 'x' WHERE number = 2", "job"),
        ("UPDATE outbox SET kind = 'rusult' WHERE row = 2", "outbox"),
        ("UPDATE outbox SET destination = 'mqut' WHERE row = 2", "outbox"),
        ("UPDATE outbox SET state = 'queuee' WHERE row = 2", "outbox"),
        ("UPDATE outbox SET sendings = 'x' WHERE row = 2", "outbox"),
        ("UPDATE study SET status = 'fulling'", "study"),
        ("UPDATE study SET body = '{}x'", "study"),
        ("UPDATE meta SET value = 'x' WHERE key = 'sequence'", "meta"),
    ],
)
def test_what_chain_and_seals_prove_is_repaired_and_reported(store, statement, table):
    before = [tuple(row) for row in store.db.execute("SELECT number, state, sha256 FROM job")]
    store.db.execute(statement)
    assert repair(store) == {table: 1}
    after = [tuple(row) for row in store.db.execute("SELECT number, state, sha256 FROM job")]
    assert after == before
    rows = store.db.execute("SELECT kind, state, sendings FROM outbox").fetchall()
    assert [tuple(row) for row in rows] == [("result", "queued", 0)] * 3
    study = store.db.execute("SELECT status, body, seal FROM study").fetchone()
    assert study["status"] == StudyStatus.FILLING
    assert store.seal(STUDY, "study", study["body"].encode()) == study["seal"]
    assert repair(store) == {}
    assert [event.kind for event in store.events()][-1] == "mended"


def test_a_changed_payload_is_not_made_sound(store):
    store.db.execute("UPDATE outbox SET payload = x'7b7d', kind = 'what' WHERE row = 1")
    repair(store)
    row = store.db.execute("SELECT kind, state FROM outbox WHERE row = 1").fetchone()
    assert tuple(row) == ("reject", "set_aside")


def test_a_deleted_film_is_written_replaced_from_the_chain(store):
    before = [tuple(r) for r in store.db.execute("SELECT number, state, sha256 FROM job")]
    store.db.execute("DELETE FROM job")
    assert repair(store)["job"] == 3
    after = [tuple(r) for r in store.db.execute("SELECT number, state, sha256 FROM job")]
    assert after == before


def test_a_film_whose_message_was_deleted_is_scored_replaced_once(store):
    store.db.execute("DELETE FROM outbox WHERE job = 2")
    assert repair(store) == {"job": 1}
    states = [r["state"] for r in store.db.execute("SELECT state FROM job ORDER BY number")]
    assert states == ["queued", "set_aside", "queued", "claimed"]
    order = Journal(store).next_order()
    assert (order.job, order.supersedes_job) == (4, 2)
    assert repair(store) == {}


def test_a_message_that_somebody_closed_goes_out_all_the_same(store):
    store.db.execute("UPDATE outbox SET state = 'closed' WHERE job = 2")
    assert repair(store) == {"outbox": 1}
    found = store.db.execute("SELECT state FROM outbox WHERE job = 2").fetchone()
    assert found["state"] == "queued"


@pytest.mark.parametrize("statement", ["UPDATE meta SET value = 1", "DELETE FROM meta"])
def test_no_number_is_given_twice_after_a_counter_was_set_back(store, statement):
    store.db.execute(statement + " WHERE key = 'sequence'")
    assert repair(store) == {"meta": 1}
    with store.transaction():
        assert store.counter("sequence") > 3


def test_a_cut_end_stays_recorded_when_new_rows_are_written(store):
    last = store.head().row
    store.db.execute("DELETE FROM event WHERE row > 6")
    repair(store)
    (text,) = [event for event in store.events() if event.kind == CUT_FOUND]
    assert text.detail["published"] == last
    assert store.verify() is None


def test_a_journal_of_another_key_is_refused_and_left_as_it_is(tmp_path, store):
    store.close()
    path = tmp_path / "journal.sqlite"
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"device\.key"):
        open_sound(path, b"x" * 32, expected=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize("other", [None, b"no database" * 500])
def test_a_journal_that_was_taken_away_in_use_is_put_back_whole(tmp_path, store, other):
    path = tmp_path / "journal.sqlite"
    assert store.is_in_place()
    head = store.head()
    for part in tmp_path.glob("journal.sqlite*"):
        part.unlink()
    if other is not None:
        path.write_bytes(other)
    assert not store.is_in_place()
    store.put_back()
    again, text = open_sound(path, KEY, expected=True)
    assert text == ""
    assert again.head() == head
    assert len(list(tmp_path.glob("journal.sqlite.foreign-*"))) == (other is not None)
    again.close()


@pytest.mark.parametrize(
    "statement", ["DROP TABLE study", "ALTER TABLE job RENAME COLUMN inode TO inodf"]
)
def test_damage_beyond_single_values_replaces_the_journal_and_keeps_the_old_one(
    tmp_path, store, statement
):
    path = tmp_path / "journal.sqlite"
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.execute(statement)
    db.close()
    replaced, text = open_sound(path, KEY, expected=True)
    assert "a new one is in use" in text
    assert replaced.db.execute("SELECT COUNT(*) FROM study").fetchone()[0] == 0
    assert list(tmp_path.glob("journal.sqlite.damaged-*"))
    replaced.close()
