"""A start on journals of every size and age: quick, bounded, and nothing is lost."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from box import KEY

from edge.daemon import inspection, repair
from edge.daemon.inspection import Inspection
from edge.daemon.repair import open_sound
from edge.delivery.outbox import Outbox
from edge.journal.schema import is_ours
from edge.journal.store import JournalError, Store

OLD = {
    "meta": "key, value",
    "event": "row, at, job, kind, detail, mac",
    "job": "number, path, sha256, device, inode, size, mtime_ns, state, since, tries, deaths, "
    "reason, first_job, previous_job, original, operator_limb, operator_side, origin, copy",
    "outbox": "row, id, kind, job, limb_index, outcome, sequence, payload, created, state, "
    "sendings, refusals, last_sent, why, seal",
    "receipt": "id, receiver, at",
    "study": "study, body, status, opened, changed, version, published, cleared, seal",
    "carried": "job, state, sha256",
}


def of_first_release(path, target):
    """The same journal as release 0.1 would have written it."""
    with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as db:
        # As that release wrote it, letter by letter: SQLite keeps the text of a table.
        db.executescript((Path(__file__).parent / "schema_0_1.sql").read_text())
        db.execute("PRAGMA user_version = 2")
        db.execute("ATTACH ? AS new", (str(path),))
        for table, columns in OLD.items():
            db.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM new.{table}")  # noqa: S608


def test_a_journal_of_release_0_1_with_a_full_outbox_is_taken_over_whole(tmp_path, make_box):
    box = make_box()
    ids = [box.film(number, picture=True, study=True) for number in range(12)]
    box.run(2)
    box.outbox.endings.set_aside(1, "Not authorized")
    box.film(99)
    box.close()
    of_first_release(box.path, tmp_path / "old.sqlite")
    for part in tmp_path.glob("journal.sqlite*"):
        part.unlink()
    (tmp_path / "old.sqlite").rename(box.path)
    store, told = open_sound(box.path, KEY, expected=True)
    assert told == ""
    assert is_ours(store.db)
    assert store.verify() is None
    store.close()
    box.start()
    box.broker.taken = []
    box.run(30, box.answer_new())
    bodies = {payload for _, payload, _ in box.broker.words("image")}
    assert {f"picture of {it}".encode() for it in ids[1:]} <= bodies
    assert len(box.broker.sequences()) == 12
    assert box.outbox.counts.latest_set_aside()[0] == 1


def test_an_older_release_is_told_apart_from_an_empty_outbox(tmp_path):
    path = tmp_path / "later.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="install that release again; or move the journal away"):
        Store(path, KEY)


@pytest.fixture
def large(make_box, monkeypatch):
    """A journal that counts as large, delivered and stopped."""
    box = make_box()
    for number in range(60):
        box.film(number, study=True)
    box.run(10, box.answer_new())
    monkeypatch.setattr(repair, "_WHOLE_EVENTS", 50)
    monkeypatch.setattr(inspection, "_ROWS", 20)
    monkeypatch.setattr(inspection, "_FILMS", 5)
    return box


TAMPERINGS = {
    "UPDATE event SET detail = '{}' WHERE row = 3": "journal_chain",
    "DELETE FROM event WHERE row = 3": "journal_chain",
    "UPDATE job SET state = 'queued' WHERE number = 2": "journal_mended",
    "UPDATE job SET sha256 = 'x' WHERE number = 2": "journal_mended",
    "DELETE FROM job WHERE number = 2": "journal_mended",
    "UPDATE outbox SET payload = x'7b7d' WHERE job = 2": "journal_mended",
    "UPDATE outbox SET job = 'x' WHERE job = 2": "journal_mended",
    "UPDATE outbox SET job = 5000 WHERE job = 2": "journal_mended",
    "UPDATE outbox SET kind = 'what' WHERE job = 2": "journal_mended",
    "UPDATE study SET body = '{}x' WHERE study = (SELECT MIN(study) FROM study)": "journal_mended",
}


@pytest.mark.parametrize("statement", TAMPERINGS)
def test_what_was_changed_long_ago_is_found_while_idle(large, statement):
    large.store.db.execute(statement)
    store, told = open_sound(large.path, KEY, expected=True)
    # The start looks at the end only: what it reports has nothing to do with row 3 or film 2.
    assert told == ""
    it, found, turns = Inspection(store), [], 0
    while not it.resting:
        found += it.turn(-1.0)
        turns += 1
    assert TAMPERINGS[statement] in {fault.code for fault in found}, found
    assert turns > 10
    store.close()


def test_a_sound_large_journal_gives_no_finding_and_is_left_as_it_is(large):
    store, told = open_sound(large.path, KEY, expected=True)
    head, it = store.head(), Inspection(store)
    assert told == ""
    while not it.resting:
        assert it.turn(-1.0) == []
    assert store.head() == head
    assert it.turn(1.0) == []
    store.close()


def test_films_that_come_while_it_looks_are_no_findings(large):
    store, _ = open_sound(large.path, KEY, expected=True)
    it, number = Inspection(store), 1000
    while not it.resting:
        assert it.turn(-1.0) == []
        if number < 1020:
            large.film(number, study=True)
            large.run(0.4, large.answer_new())
            number += 1
    store.close()


def test_the_start_reads_the_end_of_a_large_journal_only(large):
    large.store.mark_clean()
    for number in range(100, 103):
        large.film(number)
    counted = []
    store, _ = open_sound(large.path, KEY, expected=True)
    store.db.set_trace_callback(counted.append)
    follow, rows = store.follow, []

    def following(before, last):
        rows.append(before.row)
        return follow(before, last)

    store.follow = following
    assert store.verify_end(20_000) is None
    assert rows[0] > 300
    store.close()


@pytest.mark.parametrize("value", ["5:x:y", "-3:a:b", "²:a:b", "9" * 40 + ":a:b", "", "x"])
def test_a_clean_mark_that_was_changed_is_not_believed(large, value):
    large.store.db.execute("INSERT OR REPLACE INTO meta VALUES ('clean', ?)", (value,))
    large.store.db.execute("UPDATE event SET detail = '{}' WHERE row = 3")
    assert large.store.verify_end(1_000_000).row == 3


def test_the_start_asks_for_time_while_it_works(make_box):
    box = make_box()
    box.film(1)
    asked = []
    store = Store(box.path, KEY, busy=lambda: asked.append(1))
    store.db.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000) "
        "SELECT SUM(i) FROM n"
    ).fetchone()
    assert asked
    store.end_opening()
    store.close()


def test_an_outbox_with_rows_of_unknown_kind_or_state_works(make_box):
    box = make_box()
    for number in range(4):
        box.film(number)
    box.store.db.execute("UPDATE outbox SET kind = 'what' WHERE row = 1")
    box.store.db.execute("UPDATE outbox SET state = 'nonsense' WHERE row = 2")
    assert [row.row for row in Outbox(box.store, box.settings.mode, (), 1.0).next_rows(9, ())] == [
        3, 4,
    ]  # fmt: skip
    assert box.outbox.counts.depth().rows == 4
