"""Whatever a disk does to the journal's bytes, it opens, and the rest can work with it."""

from __future__ import annotations

import random
import sqlite3

import pytest

from edge.contract.ids import DeviceName, ResultKey
from edge.contract.payloads import DeliveryMode
from edge.daemon.audit import Limits, audit
from edge.daemon.inspection import Inspection
from edge.daemon.repair import open_sound
from edge.delivery.outbox import Outbox
from edge.intake.watch import Folder
from edge.journal.journal import Journal
from edge.journal.kinds import REJECT, RESULT
from edge.journal.outcomes import Outcomes
from edge.journal.places import Places
from edge.journal.recall import Recall
from edge.journal.records import Finish, Parcel, StudyChange
from edge.journal.states import State
from edge.journal.store import JournalError, Store
from edge.model import Signature
from edge.outputs.study import StudyBody

KEY = b"k" * 32
PAYLOAD = b'{"score": 1}'


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "journal.sqlite"
    store = Store(path, KEY)
    journal = Journal(store)
    journal.start_session()
    for number in range(6):
        sha = f"{number:064d}"
        job = journal.claim(b"/drop/%d.jpg" % number, sha, Signature(1, number, 1, 1)).job
        result_id = ResultKey(DeviceName("a", "b", "c"), sha, 0, "e").result_id()
        kind, state = ((RESULT, State.QUEUED), (REJECT, State.HELD))[number % 2]
        parcel = Parcel(kind, result_id, 0, "x:", PAYLOAD)
        change = StudyChange("5" * 32, StudyBody().model_dump_json(), complete=False)
        Outcomes(journal.store).finish(job, Finish(state, None, (parcel,), change))
    store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    return path.read_bytes()


@pytest.mark.parametrize(("seed", "large"), [(0, False), (1, False), (2, True), (3, True)])
def test_no_flip_and_no_cut_keeps_the_appliance_from_starting(
    tmp_path, whole, monkeypatch, seed, large
):
    if large:
        # What a start of a large journal leaves to the inspection must end nothing meanwhile.
        monkeypatch.setattr("edge.daemon.repair._WHOLE_EVENTS", 5)
    dice = random.Random(seed)
    for number in range(60):
        folder = tmp_path / str(number)
        folder.mkdir()
        data = bytearray(whole)
        if number % 5 == 4:
            data = data[: dice.randrange(len(data))]
        for _ in range(3):
            if data:
                data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        # The release that wrote it stands in four bytes, whose flip is refused by name.
        data[60:64] = whole[60:64]
        (folder / "journal.sqlite").write_bytes(bytes(data))
        store, _ = open_sound(folder / "journal.sqlite", KEY, expected=True)
        journal, outbox = Journal(store), Outbox(store, DeliveryMode.RECEIPT, (), 1.0)
        journal.start_session()
        Recall(journal.store._path)(b"/films/1.jpg")
        journal.unfinished()
        journal.counts()
        journal.next_order()
        journal.ended_originals()
        outbox.reopen()
        rows = outbox.next_rows(32, ())
        assert all(row.payload == PAYLOAD for row in rows if row.sound)
        outbox.note_sent(rows)
        outbox.endings.acknowledged([row.row for row in rows])
        outbox.endings.receipts([(row.result_id, "ward") for row in rows])
        outbox.counts.depth()
        outbox.studies.expire(1.0)
        while (study := outbox.studies.next(1e12)) is not None:
            outbox.studies.published(study)
        claim = journal.claim(b"/drop/new.jpg", "f" * 64, Signature(1, 99, 1, 1))
        assert claim.work
        shortly = Limits(1e9, 1e9, 1e9, 1e9)
        audit(store, Places.below(folder), Folder(folder / "drop", ()), shortly)
        inspection = Inspection(store)
        while not inspection.resting:
            inspection.turn(1.0)
        store.close()


def test_a_journal_that_another_holds_is_reported_and_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("edge.journal.store._BUSY_S", 0)
    path = tmp_path / "journal.sqlite"
    Store(path, KEY).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(JournalError, match="other user"):
        open_sound(path, KEY, expected=True)
    other.close()
    assert not list(tmp_path.glob("*.damaged*"))
