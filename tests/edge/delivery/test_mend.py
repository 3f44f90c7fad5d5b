from __future__ import annotations

import sqlite3

import pytest

from edge.delivery.contract import StudyStatus
from edge.delivery.identity import DeviceName, ResultKey
from edge.delivery.journal import Finish, Journal, Kind, Parcel, State, StudyChange
from edge.delivery.mend import mend, open_sound
from edge.delivery.store import Store
from edge.delivery.study import StudyBody
from edge.intake.settle import Signature

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
        parcel = Parcel(Kind.RESULT, result_id, 0, "scored:", b'{"n": %d}' % number)
        body = StudyBody().model_dump_json()
        change = StudyChange(STUDY, body, complete=False)
        journal.finish(job, Finish(State.QUEUED, None, (parcel,), change))
    yield it
    it.close()


def test_a_sound_journal_is_left_as_it_is(store):
    head = store.head()
    assert mend(store) == {}
    assert store.head() == head


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("UPDATE job SET state = 'quEued' WHERE number = 2", "job"),
        ("UPDATE job SET state = 'dismissed' WHERE number = 2", "job"),
        ("UPDATE job SET sha256 = 'x' WHERE number = 2", "job"),
        ("UPDATE outbox SET kind = 'rusult' WHERE row = 2", "outbox"),
        ("UPDATE outbox SET state = 'queuee' WHERE row = 2", "outbox"),
        ("UPDATE outbox SET sendings = 'x' WHERE row = 2", "outbox"),
        ("UPDATE study SET status = 'fulling'", "study"),
        ("UPDATE study SET body = '{}x'", "study"),
        ("UPDATE meta SET value = 'x' WHERE key = 'sequence'", "meta"),
    ],
)
def test_what_chain_and_seals_prove_is_put_right_and_told(store, statement, table):
    before = [tuple(row) for row in store.db.execute("SELECT number, state, sha256 FROM job")]
    store.db.execute(statement)
    assert mend(store) == {table: 1}
    after = [tuple(row) for row in store.db.execute("SELECT number, state, sha256 FROM job")]
    assert after == before
    rows = store.db.execute("SELECT kind, state, sendings FROM outbox").fetchall()
    assert [tuple(row) for row in rows] == [("result", "queued", 0)] * 3
    study = store.db.execute("SELECT status, body, seal FROM study").fetchone()
    assert study["status"] == StudyStatus.FILLING
    assert store.seal(STUDY, "study", study["body"].encode()) == study["seal"]
    assert mend(store) == {}
    assert [event.kind for event in store.events()][-1] == "mended"


def test_a_changed_payload_is_not_made_sound(store):
    store.db.execute("UPDATE outbox SET payload = x'7b7d', kind = 'what' WHERE row = 1")
    mend(store)
    row = store.db.execute("SELECT kind, state FROM outbox WHERE row = 1").fetchone()
    assert tuple(row) == ("reject", "set_aside")


@pytest.mark.parametrize(
    "statement", ["DROP TABLE study", "ALTER TABLE job RENAME COLUMN inode TO inodf"]
)
def test_damage_beyond_single_values_begins_the_journal_anew_beside_the_old(
    tmp_path, store, statement
):
    path = tmp_path / "journal.sqlite"
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.execute(statement)
    db.close()
    anew, told = open_sound(path, KEY, expected=True)
    assert "begun anew" in told
    assert anew.db.execute("SELECT COUNT(*) FROM study").fetchone()[0] == 0
    assert list(tmp_path.glob("journal.sqlite.damaged-*"))
    anew.close()
